use ir::http::RouteSource;
use ir::listener::ListenerFilter;
use ir::tcp::TcpClusters;
use ir::{FilterChain, HttpFilter, Listener, ResourceType, Terminal};

use crate::common::{Proxy, service, sidecar, snapshot, with_mesh};

#[track_caller]
fn routes_of(chain: &FilterChain) -> &str {
    match &chain.terminal {
        Terminal::Http(manager) => match &manager.routes {
            RouteSource::Rds(name) => name,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn cluster_of(chain: &FilterChain) -> &str {
    match &chain.terminal {
        Terminal::Tcp(tcp) => match &tcp.clusters {
            TcpClusters::Single(name) => name,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

fn inspectors(listener: &Listener) -> Vec<&'static str> {
    let name = |filter: &ListenerFilter| match filter {
        ListenerFilter::OriginalDst => "original_dst",
        ListenerFilter::TlsInspector { .. } => "tls",
        ListenerFilter::HttpInspector { .. } => "http",
        ListenerFilter::ProxyProtocol { .. } => "proxy_protocol",
    };
    listener.listener_filters.iter().map(name).collect()
}

#[test]
fn captured_connections_arrive_at_one_listener() {
    let proxy = Proxy::in_shop("");
    let listener = proxy.listener("virtualOutbound");
    assert_eq!(listener.address.to_string(), "0.0.0.0:15001");
    assert!(listener.bind_to_port && listener.use_original_dst);
    assert_eq!(listener.filter_chains[0].matches.destination_port, Some(15001));
    assert_eq!(cluster_of(&listener.filter_chains[0]), "BlackHoleCluster");
    assert_eq!(cluster_of(&listener.filter_chains[1]), "PassthroughCluster");
    let closed = with_mesh(&snapshot(""), "outboundTrafficPolicy: {mode: REGISTRY_ONLY}");
    let proxy = Proxy::of(&closed, &sidecar("shop", "10.1.0.9", ""));
    assert_eq!(cluster_of(&proxy.listener("virtualOutbound").filter_chains[1]), "BlackHoleCluster");
}

#[test]
fn http_of_a_port_shares_the_wildcard_address() {
    let yaml = service("a", "10.0.0.1", "{port: 80, name: http}")
        + &service("b", "10.0.0.2", "{port: 80, name: grpc}");
    let proxy = Proxy::in_shop(&yaml);
    let listener = proxy.listener("0.0.0.0_80");
    assert!(!listener.bind_to_port);
    assert_eq!(inspectors(listener), ["http"]);
    assert_eq!(listener.filter_chains[0].matches.application_protocols, ["http/1.0", "http/1.1", "h2c"]);
    assert_eq!(routes_of(&listener.filter_chains[0]), "80");
    assert_eq!(cluster_of(listener.default_filter_chain.as_ref().unwrap()), "PassthroughCluster");
    let hosts: Vec<_> = proxy.routes("80").virtual_hosts.iter().map(|v| v.name.to_string()).collect();
    assert_eq!(hosts, ["a.shop.svc.cluster.local:80", "b.shop.svc.cluster.local:80", "allow_any"]);
}

#[test]
fn bytes_go_by_the_services_address() {
    let proxy = Proxy::in_shop(&service("db", "10.0.0.3", "{port: 3306, name: tcp}"));
    let listener = proxy.listener("10.0.0.3_3306");
    assert!(inspectors(listener).is_empty(), "a server may speak first");
    assert_eq!(cluster_of(&listener.filter_chains[0]), "outbound|3306||db.shop.svc.cluster.local");
    assert!(listener.default_filter_chain.is_none());
    assert_eq!(proxy.names(ResourceType::Route), Vec::<String>::new());
}

#[test]
fn undeclared_ports_are_looked_at() {
    let proxy = Proxy::in_shop(&service("web", "10.0.0.4", "{port: 9000, name: x}"));
    let listener = proxy.listener("10.0.0.4_9000");
    assert_eq!(inspectors(listener), ["http"]);
    assert_eq!(routes_of(&listener.filter_chains[0]), "web.shop.svc.cluster.local:9000");
    let bytes = listener.default_filter_chain.as_ref().unwrap();
    assert_eq!(cluster_of(bytes), "outbound|9000||web.shop.svc.cluster.local");
    let routes = proxy.routes("web.shop.svc.cluster.local:9000");
    assert_eq!(routes.virtual_hosts.len(), 1);
    assert_eq!(routes.virtual_hosts[0].domains, ["*"]);
}

#[test]
fn of_two_services_that_want_all_bytes_the_older_wins() {
    let entry = |name: &str, created: &str| {
        format!(
            "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\n\
             metadata: {{name: {name}, namespace: shop, creationTimestamp: \"{created}\"}}\n\
             spec: {{hosts: [{name}.com], resolution: STATIC, ports: [{{number: 700, name: tcp, protocol: TCP}}], \
             endpoints: [{{address: 1.1.1.1}}]}}\n"
        )
    };
    let yaml = entry("aa", "2024-01-02T00:00:00Z") + &entry("zz", "2024-01-01T00:00:00Z");
    let proxy = Proxy::in_shop(&yaml);
    assert_eq!(cluster_of(&proxy.listener("0.0.0.0_700").filter_chains[0]), "outbound|700||zz.com");
    let lost = proxy.findings().iter().find(|finding| finding.code == "LTN0201").expect("a finding");
    assert_eq!(lost.object.as_ref().unwrap().name, "aa");
}

#[test]
fn the_connection_manager_is_istios() {
    let proxy = Proxy::in_shop(&service("a", "10.0.0.1", "{port: 80, name: http}"));
    let Terminal::Http(manager) = &proxy.listener("0.0.0.0_80").filter_chains[0].terminal else { panic!() };
    assert_eq!(manager.server_name, None, "which is Envoy's name");
    assert_eq!(manager.upgrades, ["websocket"]);
    assert!(manager.normalize_path && !manager.use_remote_address && manager.generate_request_id);
    assert_eq!(manager.stream_idle_timeout, Some(std::time::Duration::ZERO));
    let alpn = |filter: &HttpFilter| matches!(filter, HttpFilter::IstioAlpn { .. });
    assert!(manager.http_filters.iter().any(alpn));
    assert!(manager.access_log.is_empty());
    let logging = with_mesh(
        &snapshot(&service("a", "10.0.0.1", "{port: 80, name: http}")),
        "accessLogFile: /dev/stdout",
    );
    let proxy = Proxy::of(&logging, &sidecar("shop", "10.1.0.9", ""));
    let Terminal::Http(manager) = &proxy.listener("0.0.0.0_80").filter_chains[0].terminal else { panic!() };
    assert_eq!(manager.access_log[0].sink, ir::AccessLogSink::Stdout);
    let ir::access_log::LogContent::Text(format) = &manager.access_log[0].format.as_ref().unwrap().content
    else {
        panic!()
    };
    assert!(
        format.starts_with("[%START_TIME%] \"%REQ(:METHOD)%") && format.ends_with("%ROUTE_NAME%\n"),
        "{format}"
    );
    assert!(proxy.listener("virtualOutbound").access_log[0].filter.is_some());
}

#[test]
fn paths_are_normalised_as_the_mesh_says() {
    use ir::http::EscapedSlashes::{KeepUnchanged, UnescapeAndForward};
    for (mode, expected) in [
        ("NONE", (false, false, KeepUnchanged)),
        ("BASE", (true, false, KeepUnchanged)),
        ("DEFAULT", (true, false, KeepUnchanged)),
        ("MERGE_SLASHES", (true, true, KeepUnchanged)),
        ("DECODE_AND_MERGE_SLASHES", (true, true, UnescapeAndForward)),
    ] {
        let before = snapshot(&service("a", "10.0.0.1", "{port: 80, name: http}"));
        let mesh = with_mesh(&before, &format!("pathNormalization: {{normalization: {mode}}}"));
        let proxy = Proxy::of(&mesh, &sidecar("shop", "10.1.0.9", ""));
        let Terminal::Http(manager) = &proxy.listener("0.0.0.0_80").filter_chains[0].terminal else {
            panic!()
        };
        let found = (manager.normalize_path, manager.merge_slashes, manager.escaped_slashes);
        assert_eq!(found, expected, "{mode}");
        assert!(proxy.findings().is_empty(), "{mode}: {:?}", proxy.findings());
    }
}
