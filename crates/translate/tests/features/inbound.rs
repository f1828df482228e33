use ir::http::{ForwardClientCert, RouteSource};
use ir::listener::{ListenerFilter, TransportProtocol};
use ir::{FilterChain, HttpProtocol, Terminal};

use crate::common::{Proxy, pod, service, sidecar, snapshot};

fn mesh(port: &str, policy: &str) -> Proxy {
    let yaml = service("web", "10.0.0.1", port) + &pod("web", "10.1.0.1", "app: web") + policy;
    Proxy::of(&snapshot(&yaml), &sidecar("shop", "10.1.0.1", "app=web"))
}

fn peers(spec: &str) -> String {
    format!(
        "---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\n\
         metadata: {{name: p, namespace: shop}}\nspec: {{{spec}}}\n"
    )
}

/// The chains of a port as `tls|plain`, `mutual`, `http|tcp`.
fn chains(proxy: &Proxy, port: Option<u16>) -> Vec<String> {
    let of_port = |chain: &&FilterChain| chain.matches.destination_port == port;
    proxy.listener("virtualInbound").filter_chains.iter().filter(of_port).map(describe).collect()
}

fn describe(chain: &FilterChain) -> String {
    let transport = match chain.matches.transport_protocol {
        Some(TransportProtocol::Tls) => "tls",
        Some(TransportProtocol::RawBuffer) => "plain",
        None => "any",
    };
    let mutual = if chain.tls.is_some() { " mutual" } else { "" };
    let serves = if matches!(chain.terminal, Terminal::Http(_)) { "http" } else { "tcp" };
    format!("{transport}{mutual} {serves}")
}

#[test]
fn a_declared_port_takes_mutual_tls_and_plaintext() {
    let proxy = mesh("{port: 80, targetPort: 8080, name: http}", "");
    assert_eq!(chains(&proxy, Some(8080)), ["tls mutual http", "plain http"]);
    assert_eq!(chains(&proxy, None).len(), 5);
    assert_eq!(chains(&proxy, Some(15006)), ["any tcp"]);
    let listener = proxy.listener("virtualInbound");
    assert_eq!(listener.address.to_string(), "0.0.0.0:15006");
    assert!(listener.default_filter_chain.is_none(), "what matches nothing is closed");
    assert_eq!(listener.listener_filters[0], ListenerFilter::OriginalDst);
    assert_eq!(listener.listener_filters[1], ListenerFilter::TlsInspector { disabled_ports: vec![15006] });
    assert_eq!(
        listener.listener_filters[2],
        ListenerFilter::HttpInspector { disabled_ports: vec![8080, 15006] }
    );
}

#[test]
fn strict_has_no_chain_for_plaintext() {
    let proxy = mesh("{port: 80, targetPort: 8080, name: http}", &peers("mtls: {mode: STRICT}"));
    assert_eq!(chains(&proxy, Some(8080)), ["tls mutual http"]);
    assert_eq!(chains(&proxy, None), ["tls mutual http", "tls mutual tcp"]);
    let chain = proxy
        .listener("virtualInbound")
        .filter_chains
        .iter()
        .find(|c| c.matches.destination_port == Some(8080));
    let tls = chain.unwrap().tls.as_ref().unwrap();
    assert!(tls.require_client_certificate);
    assert_eq!(tls.common.alpn, ["h2", "http/1.1"]);
    let sans = &tls.common.validation.as_ref().unwrap().match_sans;
    assert_eq!(sans[0].matcher, ir::StringMatcher::prefix("spiffe://cluster.local/"));
}

#[test]
fn ports_may_differ() {
    let spec = "selector: {matchLabels: {app: web}}, mtls: {mode: STRICT}, portLevelMtls: {8080: {mode: DISABLE}, 9999: {mode: PERMISSIVE}}";
    let proxy = mesh("{port: 80, targetPort: 8080, name: tcp}", &peers(spec));
    assert_eq!(chains(&proxy, Some(8080)), ["plain tcp"]);
    assert_eq!(chains(&proxy, Some(9999)).len(), 5);
    assert_eq!(chains(&proxy, None).len(), 2);
}

#[test]
fn a_broken_policy_closes_what_it_selects_to_plaintext() {
    let proxy = mesh("{port: 80, targetPort: 8080, name: http}", &peers("mtls: {mode: NONSENSE}"));
    assert_eq!(chains(&proxy, Some(8080)), ["tls mutual http"]);
}

#[test]
fn requests_go_to_the_application() {
    let proxy = mesh("{port: 80, targetPort: 8080, name: http}", "");
    let cluster = proxy.cluster("inbound|8080||");
    assert_eq!(
        (cluster.protocol, cluster.bind_source),
        (HttpProtocol::Http1, Some("127.0.0.6".parse().unwrap()))
    );
    let listener = proxy.listener("virtualInbound");
    let chain = listener.filter_chains.iter().find(|c| c.matches.destination_port == Some(8080)).unwrap();
    assert_eq!(chain.name, "0.0.0.0_8080");
    let Terminal::Http(manager) = &chain.terminal else { panic!() };
    assert_eq!(manager.forward_client_cert, ForwardClientCert::AppendForward);
    assert_eq!(manager.server_name.as_deref(), Some("istio-envoy"));
    let details = manager.client_cert_details;
    assert!(details.subject && details.dns && details.uri && !details.cert);
    let RouteSource::Inline(config) = &manager.routes else { panic!() };
    assert_eq!(
        (config.name.as_str(), config.virtual_hosts[0].name.as_str()),
        ("inbound|8080||", "inbound|http|80")
    );
    assert_eq!(config.virtual_hosts[0].routes[0].name, "default");
}

#[test]
fn two_services_on_one_port_are_served_as_the_older_says() {
    let older =
        service("aaa", "10.0.0.2", "{port: 90, targetPort: 8080, name: tcp}").replace("app: aaa", "app: web");
    let proxy = mesh("{port: 80, targetPort: 8080, name: http}", &older);
    assert_eq!(chains(&proxy, Some(8080)), ["tls mutual tcp", "tls tcp", "plain tcp"]);
    let finding = proxy.findings().iter().find(|f| f.code == "LTN0202").expect("a finding");
    assert_eq!(finding.object.as_ref().unwrap().name, "web");
}
