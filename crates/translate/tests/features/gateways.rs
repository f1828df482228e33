use ir::http::ForwardClientCert;
use ir::{ResourceType, Terminal};

use crate::common::{Proxy, router, service, snapshot};

const INGRESS: &str = "---
apiVersion: v1
kind: Service
metadata: {name: istio-ingressgateway, namespace: istio-system}
spec: {clusterIP: 10.0.9.9, selector: {istio: ingressgateway}, ports: [{port: 80, targetPort: 8080, name: http2}]}
";

fn gateway(servers: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: gw, namespace: shop}}\n\
         spec: {{selector: {{istio: ingressgateway}}, servers: [{servers}]}}\n"
    )
}

fn rules(name: &str, host: &str, gateway: &str, uri: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}, namespace: shop}}\n\
         spec: {{hosts: [\"{host}\"], gateways: [\"{gateway}\"], http: [{{match: [{{uri: {{exact: {uri}}}}}], \
         route: [{{destination: {{host: productpage}}}}]}}]}}\n"
    )
}

fn proxy(yaml: &str) -> Proxy {
    let all = format!("{INGRESS}{}{yaml}", service("productpage", "10.0.0.1", "{port: 9080, name: http}"));
    Proxy::of(&snapshot(&all), &router("istio-system", "10.1.0.1", "istio=ingressgateway"))
}

const HTTP: &str = "{port: {number: 80, name: http, protocol: HTTP}, hosts: [\"*\"]}";

#[test]
fn the_port_is_the_pods_behind_the_service() {
    let proxy = proxy(&(gateway(HTTP) + &rules("web", "*", "gw", "/productpage")));
    assert_eq!(proxy.names(ResourceType::Listener), ["0.0.0.0_8080"]);
    let listener = proxy.listener("0.0.0.0_8080");
    assert!(listener.bind_to_port && !listener.use_original_dst);
    let Terminal::Http(manager) = &listener.filter_chains[0].terminal else { panic!() };
    assert!(manager.use_remote_address);
    assert_eq!(manager.forward_client_cert, ForwardClientCert::SanitizeSet);
    assert_eq!(manager.server_name.as_deref(), Some("istio-envoy"));
    assert_eq!(manager.routes.name(), "http.8080");
    let host = &proxy.routes("http.8080").virtual_hosts[0];
    assert_eq!((host.name.as_str(), host.domains[0].as_str()), ("*:80", "*"));
    proxy.cluster("outbound|9080||productpage.shop.svc.cluster.local");
    assert_eq!(proxy.names(ResourceType::Cluster).iter().filter(|n| n.contains("Passthrough")).count(), 0);
}

#[test]
fn a_port_without_rules_answers_404() {
    let proxy = proxy(&gateway(HTTP));
    let host = &proxy.routes("http.8080").virtual_hosts[0];
    assert_eq!((host.name.as_str(), host.routes.len()), ("blackhole:80", 0));
}

#[test]
fn rules_for_one_host_are_merged_and_others_kept_out() {
    let yaml = gateway("{port: {number: 80, name: http, protocol: HTTP}, hosts: [\"./*.shop.com\"]}")
        + &rules("a", "a.shop.com", "shop/gw", "/a")
        + &rules("b", "a.shop.com", "gw", "/b")
        + &rules("c", "a.other.com", "gw", "/c")
        + &rules("d", "a.shop.com", "istio-system/gw", "/d");
    let proxy = proxy(&yaml);
    let hosts = &proxy.routes("http.8080").virtual_hosts;
    assert_eq!(hosts.len(), 1);
    assert_eq!((hosts[0].name.as_str(), hosts[0].routes.len()), ("a.shop.com:80", 2));
}

#[test]
fn what_cannot_be_served_opens_no_port() {
    let tls = "{port: {number: 443, name: https, protocol: HTTPS}, hosts: [\"*\"], \
               tls: {mode: SIMPLE, credentialName: c, maxProtocolVersion: TLSV1_1}}";
    let proxy = proxy(&gateway(tls));
    assert_eq!(proxy.names(ResourceType::Listener), Vec::<String>::new());
    let said =
        proxy.findings().iter().find(|finding| finding.field == "spec.servers[0].tls.maxProtocolVersion");
    assert!(
        said.is_some_and(|finding| finding.message.contains("nothing is served")),
        "{:?}",
        proxy.findings()
    );
}

#[test]
fn other_gateways_are_not_configured() {
    let yaml = format!("{INGRESS}{}", gateway(HTTP));
    let proxy = Proxy::of(&snapshot(&yaml), &router("istio-system", "10.1.0.1", "istio=egressgateway"));
    assert_eq!(proxy.names(ResourceType::Listener), Vec::<String>::new());
}
