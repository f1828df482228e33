use std::sync::Arc;

use ir::http::RouteSource;
use ir::listener::{FilterChain, FilterChainMatch, Listener, ListenerFilter, TransportProtocol};
use ir::route::{Forward, RequireTls, RouteMatch};
use ir::{HttpConnectionManager, Resource, Route, RouteAction, RouteConfig, TcpProxy, Terminal, VirtualHost};

use super::*;

fn chain(matches: FilterChainMatch, terminal: Terminal) -> FilterChain {
    FilterChain {
        name: "chain".into(),
        matches,
        tls: None,
        transport_socket_connect_timeout: None,
        filters: Vec::new(),
        terminal,
        origin: None,
    }
}

fn bytes_to(cluster: &str) -> Terminal {
    Terminal::Tcp(TcpProxy::to("", cluster))
}

fn listener(name: &str, address: &str, filters: Vec<ListenerFilter>, chains: Vec<FilterChain>) -> Resource {
    Resource::Listener(Arc::new(Listener {
        name: name.into(),
        address: ir::Address::Socket(address.parse().unwrap()),
        additional_addresses: Vec::new(),
        bind_to_port: true,
        use_original_dst: false,
        direction: ir::Direction::Outbound,
        listener_filters: filters,
        listener_filters_timeout: None,
        continue_on_listener_filters_timeout: false,
        filter_chains: chains,
        default_filter_chain: None,
        access_log: Vec::new(),
        origin: None,
    }))
}

/// Port 80 is HTTP by the name `web`, port 443 TLS by server name, and 10.0.0.9:25 somebody's.
fn mesh(require_tls: bool) -> Configuration {
    let manager = HttpConnectionManager { routes: RouteSource::Rds("web".into()), ..Default::default() };
    let http = chain(
        FilterChainMatch { application_protocols: vec!["http/1.1".into()], ..Default::default() },
        Terminal::Http(Box::new(manager)),
    );
    let by_name = chain(
        FilterChainMatch {
            server_names: vec!["a.com".into()],
            transport_protocol: Some(TransportProtocol::Tls),
            ..Default::default()
        },
        bytes_to("a"),
    );
    let route = Route {
        name: "only".into(),
        ..Route::new(RouteMatch::prefix("/shop"), RouteAction::Forward(Forward::to("shop")))
    };
    let host = VirtualHost {
        name: "host".into(),
        domains: vec!["a.com".into()],
        routes: vec![route],
        require_tls: if require_tls { RequireTls::All } else { RequireTls::None },
        ..VirtualHost::default()
    };
    let routes =
        RouteConfig { name: "web".into(), virtual_hosts: vec![Arc::new(host)], ..RouteConfig::default() };
    let http_inspector = vec![ListenerFilter::HttpInspector { disabled_ports: Vec::new() }];
    let tls_inspector = vec![ListenerFilter::TlsInspector { disabled_ports: Vec::new() }];
    Configuration::new([
        listener("0.0.0.0_80", "0.0.0.0:80", http_inspector, vec![http]),
        listener("0.0.0.0_443", "0.0.0.0:443", tls_inspector, vec![by_name]),
        listener("10.0.0.9_25", "10.0.0.9:25", Vec::new(), vec![chain(Default::default(), bytes_to("mail"))]),
        Resource::Route(Arc::new(routes)),
    ])
    .unwrap()
}

fn call(destination: &str) -> Call {
    Call {
        mode: Mode::Gateway,
        destination: destination.parse().unwrap(),
        spoken: Spoken::Http1,
        tls: ClientTls::Plaintext,
        server_name: String::new(),
        alpn: Vec::new(),
        authority: "a.com".into(),
        path: "/shop/1".into(),
    }
}

#[track_caller]
fn check(call: &Call, refusal: Option<Refusal>, cluster: &str) {
    let found = follow(&mesh(false), call);
    assert_eq!((found.refusal, found.cluster.as_deref().unwrap_or_default()), (refusal, cluster), "{call:?}");
}

#[test]
fn a_request_is_followed_to_its_cluster_or_its_refusal() {
    check(&call("1.1.1.1:80"), None, "shop");
    check(&Call { path: "/else".into(), ..call("1.1.1.1:80") }, Some(Refusal::NoRoute), "");
    check(&Call { authority: "b.com".into(), ..call("1.1.1.1:80") }, Some(Refusal::NoVirtualHost), "");
    check(&Call { spoken: Spoken::Bytes, ..call("1.1.1.1:80") }, Some(Refusal::NoFilterChain), "");
    check(&call("1.1.1.1:81"), Some(Refusal::NoListener), "");
    let found = follow(&mesh(false), &Call { path: "/else".into(), ..call("1.1.1.1:80") });
    assert_eq!(
        (found.listener.as_deref(), found.virtual_host.as_deref()),
        (Some("0.0.0.0_80"), Some("host"))
    );
    assert_eq!(follow(&mesh(true), &call("1.1.1.1:80")).refusal, Some(Refusal::TlsRedirect));
}

#[test]
fn a_connection_is_told_by_what_inspectors_see() {
    let hello = |name: &str| Call {
        tls: ClientTls::Simple,
        server_name: name.into(),
        alpn: vec!["h2".into()],
        ..call("1.1.1.1:443")
    };
    check(&hello("a.com"), None, "a");
    check(&hello("b.com"), Some(Refusal::NoFilterChain), "");
    check(&call("1.1.1.1:443"), Some(Refusal::NoFilterChain), "");
    // Its own address goes before all addresses; nobody looks, so TLS is bytes.
    check(&Call { destination: "10.0.0.9:25".parse().unwrap(), ..hello("a.com") }, None, "mail");
}
