//! What proxies are told of themselves: by ProxyConfigs, the mesh and their pods' annotations.

use std::collections::BTreeMap;
use std::time::Duration;

use ir::http::{ForwardClientCert, ServerHeader};
use ir::listener::ListenerFilter;
use ir::{Address, Cluster, ClusterDiscovery, HttpConnectionManager, Terminal};
use istio_api::mesh::proxy::{ANNOTATION, ProxySettings};
use model::{Labels, Node, Str};
use registry::Snapshot;

use crate::common::{Proxy, router, service, sidecar, snapshot, with_mesh};

fn config(name: &str, namespace: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1beta1\nkind: ProxyConfig\n\
         metadata: {{name: {name}, namespace: {namespace}}}\nspec: {spec}\n"
    )
}

fn of(snapshot: &Snapshot, namespace: &str, app: &str, annotation: &str) -> ProxySettings {
    let labels: Labels = [("app", app)].into_iter().collect();
    let annotations = match annotation {
        "" => BTreeMap::new(),
        text => [(Str::from(ANNOTATION), Str::from(text))].into(),
    };
    snapshot.proxy_settings(namespace, &labels, &annotations)
}

fn variables(settings: &ProxySettings) -> String {
    let all = settings.proxy_metadata.iter().map(|(name, value)| format!("{name}={value}"));
    all.collect::<Vec<_>>().join(" ")
}

#[test]
fn the_nearest_proxy_config_says_how_a_proxy_starts() {
    let yaml = config("all", "istio-system", "{concurrency: 2, environmentVariables: {A: root, B: root}}")
        + &config("shop", "shop", "{concurrency: 3, environmentVariables: {B: shop, C: shop}}")
        + &config("younger", "shop", "{concurrency: 9}")
        + &config(
            "web",
            "shop",
            "{selector: {matchLabels: {app: web}}, concurrency: 0, environmentVariables: {C: web}}",
        );
    let snapshot = with_mesh(
        &snapshot(&yaml),
        "defaultConfig: {concurrency: 1, proxyMetadata: {A: mesh, M: mesh}, terminationDrainDuration: 7s}",
    );
    let found = |namespace, app, annotation| {
        let settings = of(&snapshot, namespace, app, annotation);
        assert_eq!(settings.termination_drain, Some(Duration::from_secs(7)));
        (settings.concurrency, variables(&settings))
    };
    assert_eq!(found("other", "x", ""), (Some(2), "A=root B=root M=mesh".into()));
    assert_eq!(found("shop", "x", ""), (Some(3), "A=root B=shop C=shop M=mesh".into()));
    assert_eq!(found("istio-system", "x", ""), (Some(2), "A=root B=root M=mesh".into()));
    let annotation = "{concurrency: 4, proxyMetadata: {C: pod, D: pod}}";
    assert_eq!(found("shop", "x", annotation), (Some(4), "A=root B=shop C=pod D=pod M=mesh".into()));
    // What selects the workload goes before its annotation, also with 0: as many as there are cores.
    assert_eq!(found("shop", "web", annotation), (Some(0), "A=root B=shop C=web D=pod M=mesh".into()));
}

const INGRESS: &str = "---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw, namespace: shop}
spec: {selector: {istio: gw}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [\"*\"]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: shop}
spec: {hosts: [\"*\"], gateways: [gw], http: [{route: [{destination: {host: web, port: {number: 80}}}]}]}
";

fn mesh(mesh: &str) -> Snapshot {
    let web = service("web", "10.0.0.1", "{port: 80, targetPort: 8080, name: http}");
    with_mesh(&snapshot(&format!("{INGRESS}{web}")), mesh)
}

fn manager(proxy: &Proxy, listener: &str) -> HttpConnectionManager {
    let chains = &proxy.listener(listener).filter_chains;
    let mut managers = chains.iter().filter_map(|chain| match &chain.terminal {
        Terminal::Http(manager) => Some((**manager).clone()),
        _ => None,
    });
    managers.next_back().expect("a connection manager")
}

fn gateway(snapshot: &Snapshot, proxy_config: &str) -> Proxy {
    let node = router("shop", "10.1.0.1", "istio=gw");
    Proxy::of(snapshot, &Node { proxy_config: proxy_config.into(), ..node })
}

#[test]
fn gateways_believe_those_who_stand_before_them() {
    let snapshot = mesh(
        "defaultConfig: {gatewayTopology: {numTrustedProxies: 2, forwardClientCertDetails: ALWAYS_FORWARD_ONLY}}",
    );
    let proxy = gateway(&snapshot, "");
    let found = manager(&proxy, "0.0.0.0_80");
    assert_eq!(found.xff_num_trusted_hops, 2);
    assert_eq!(found.forward_client_cert, ForwardClientCert::AlwaysForwardOnly);
    assert!(!found.client_cert_details.subject);
    assert!(proxy.listener("0.0.0.0_80").listener_filters.is_empty());
    // What the pod's own annotation says goes before that, field by field.
    let proxy = gateway(&snapshot, "gatewayTopology: {numTrustedProxies: 1, proxyProtocol: {}}");
    let found = manager(&proxy, "0.0.0.0_80");
    assert_eq!(found.xff_num_trusted_hops, 1);
    assert_eq!(found.forward_client_cert, ForwardClientCert::AlwaysForwardOnly);
    let expected = [ListenerFilter::ProxyProtocol { optional: false, disallowed: Vec::new() }];
    assert_eq!(proxy.listener("0.0.0.0_80").listener_filters, expected);
}

#[test]
fn proxies_write_the_headers_they_are_told_to() {
    let snapshot = mesh(
        "defaultConfig: {proxyHeaders: {server: {value: a}, requestId: {disabled: true}, attemptCount: {disabled: true}, \
         xForwardedHost: {enabled: true}, forwardedClientCert: SANITIZE_SET, setCurrentClientCertDetails: {cert: true, uri: false}}}",
    );
    let proxy = gateway(&snapshot, "");
    let found = manager(&proxy, "0.0.0.0_80");
    assert_eq!((found.server_name.as_deref(), found.generate_request_id), (Some("a"), false));
    let host = &proxy.routes("http.80").virtual_hosts[0];
    assert!(!host.include_request_attempt_count);
    let ir::RouteAction::Forward(forward) = &host.routes[0].action else { panic!() };
    assert!(forward.append_x_forwarded_host);

    let node = sidecar("shop", "10.1.0.1", "app=web");
    let found = manager(&Proxy::of(&snapshot, &node), "virtualInbound");
    assert_eq!(found.forward_client_cert, ForwardClientCert::SanitizeSet);
    let details = found.client_cert_details;
    assert_eq!((details.subject, details.cert, details.uri, details.dns), (true, true, false, true));
    let proxy_config = "proxyHeaders: {server: {disabled: true}}".into();
    let found = manager(&Proxy::of(&snapshot, &Node { proxy_config, ..node }), "virtualInbound");
    assert_eq!((found.server_name, found.server_header), (None, ServerHeader::PassThrough));
}

#[test]
fn applications_may_be_asked_at_the_loopback_address() {
    let node = sidecar("shop", "10.1.0.1", "app=web");
    let inbound =
        |snapshot: &Snapshot| -> Cluster { Proxy::of(snapshot, &node).cluster("inbound|8080||").clone() };
    let cluster = inbound(&mesh("inboundTrafficPolicy: {mode: LOCALHOST}"));
    let ClusterDiscovery::Static(endpoints) = &cluster.discovery else { panic!("{:?}", cluster.discovery) };
    let address = &endpoints.localities[0].endpoints[0].address;
    assert_eq!((address, cluster.bind_source), (&Address::Socket("127.0.0.1:8080".parse().unwrap()), None));
    let cluster = inbound(&mesh("inboundTrafficPolicy: {mode: PASSTHROUGH}"));
    assert!(matches!(cluster.discovery, ClusterDiscovery::OriginalDst) && cluster.bind_source.is_some());
}
