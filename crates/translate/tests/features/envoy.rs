//! What stock Envoy gets instead: nothing it does not know.

use ir::{HttpFilter, NetworkFilter, Resource, Terminal};
use model::DataPlane;

use crate::common::{Proxy, pod, service, sidecar, snapshot};

fn proxy() -> Proxy {
    let yaml = service("web", "10.0.0.1", "{port: 80, name: http}")
        + &service("api", "10.0.0.2", "{port: 81, name: grpc}")
        + &service("any", "10.0.0.3", "{port: 82, name: x}")
        + &service("db", "10.0.0.4", "{port: 83, name: tcp}")
        + &pod("web", "10.1.0.1", "app: web");
    let mut node = sidecar("shop", "10.1.0.1", "app=web");
    node.data_plane = DataPlane::Envoy;
    Proxy::of(&snapshot(&yaml), &node)
}

#[test]
fn no_filter_of_istios_own_is_sent() {
    let mut managers = 0;
    for resource in proxy().0.iter() {
        let Resource::Listener(listener) = resource else { continue };
        for chain in listener.filter_chains.iter().chain(&listener.default_filter_chain) {
            assert!(!chain.filters.iter().any(|f| matches!(f, NetworkFilter::IstioStats { .. })));
            let Terminal::Http(manager) = &chain.terminal else { continue };
            managers += 1;
            let istio = |f: &HttpFilter| {
                matches!(
                    f,
                    HttpFilter::IstioAlpn { .. } | HttpFilter::IstioStats { .. } | HttpFilter::PeerMetadata
                )
            };
            assert!(!manager.http_filters.iter().any(istio), "{}", listener.name);
        }
    }
    assert!(managers > 4);
}

#[track_caller]
fn alpn(proxy: &Proxy, port: u16, host: &str, expected: &[&str]) {
    let cluster = proxy.cluster(&format!("outbound|{port}||{host}.shop.svc.cluster.local"));
    assert_eq!(cluster.transport_matches[0].tls.as_ref().unwrap().common.alpn, expected, "{host}");
}

#[test]
fn each_cluster_offers_what_its_port_speaks() {
    let proxy = proxy();
    alpn(&proxy, 80, "web", &["istio-http/1.1", "istio", "http/1.1"]);
    alpn(&proxy, 81, "api", &["istio-h2", "istio", "h2"]);
    alpn(&proxy, 83, "db", &["istio-peer-exchange", "istio"]);
    // Bytes and requests share this one, so its connection manager says what it is.
    alpn(&proxy, 82, "any", &["istio-peer-exchange", "istio"]);
    let Terminal::Http(manager) = &proxy.listener("10.0.0.3_82").filter_chains[0].terminal else { panic!() };
    assert!(manager.http_filters.iter().any(|f| matches!(f, HttpFilter::UpstreamAlpn { .. })));
}
