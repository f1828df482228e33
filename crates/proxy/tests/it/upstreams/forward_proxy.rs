//! Dynamic forward proxies: clusters of whatever names requests bring along.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ir::dns::DnsFamily;
use ir::dns_cache::{ForwardProxy, ForwardProxyOverride, SniForwardProxy};
use ir::listener::ListenerFilter;
use ir::*;
use tokio_rustls::rustls;

use crate::support::backend::{self, Backend};
use crate::support::client::{Client, Reply};
use crate::support::names::Names;
use crate::support::{Running, Setup, cluster, free_port};

const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;

fn cache(names: &Names) -> DnsCache {
    let dns = Dns { family: DnsFamily::V4Only, resolvers: vec![names.address], ..Dns::default() };
    DnsCache { name: "c".into(), dns, ..DnsCache::default() }
}

fn dynamic(cache: DnsCache) -> Cluster {
    let proxy = ForwardProxy { cache, allow_insecure_cluster_options: true };
    Cluster {
        discovery: ClusterDiscovery::DynamicForwardProxy(Box::new(proxy)),
        lb_policy: LbPolicy::ClusterProvided,
        ..cluster("b", &[])
    }
}

fn start(cache: DnsCache) -> Running {
    let mut setup = Setup { concurrency: 1, ..Setup::new() };
    setup.hcm.http_filters.push(HttpFilter::DynamicForwardProxy(Box::new(cache.clone())));
    setup.clusters.push(dynamic(cache));
    setup.route("/", "b").start()
}

fn get(to: SocketAddr, host: &str) -> Reply {
    let mut client = Client::connect(to);
    client.send(format!("GET /headers HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    client.read().unwrap()
}

#[test]
fn a_name_is_resolved_once_and_again_when_it_is_old() {
    let (backend, names) = (Backend::start("a"), Names::start(&[("a.test", HERE)], Duration::ZERO));
    let soon = Some(Duration::from_millis(60));
    let mut config = DnsCache { min_refresh_rate: soon, ..cache(&names) };
    config.dns.refresh_rate = soon;
    let proxy = start(config);
    let host = format!("a.test:{}", backend.address.port());
    for _ in 0..3 {
        assert!(get(proxy.address, &host).text().contains(&format!("host: {host}")));
    }
    assert_eq!(proxy.stat("dns_cache.c.host_added"), 1);
    assert_eq!(proxy.stat("cluster.b.upstream_cx_total"), 1, "pools are kept by name");
    testkit::eventually("another query", Duration::from_secs(5), || match names.queries() {
        0..=2 => Err("not yet".to_owned()),
        _ => Ok(()),
    });
    // Who has an address keeps it.
    names.known.lock().unwrap().clear();
    let before = names.queries();
    testkit::eventually("answers without an address", Duration::from_secs(5), || {
        if names.queries() > before + 2 { Ok(()) } else { Err("not yet".to_owned()) }
    });
    assert_eq!(get(proxy.address, &host).status, 200);
    assert_eq!(proxy.stat("dns_cache.c.num_hosts"), 1);
}

#[test]
fn many_wait_for_one_answer() {
    let backend = Backend::start("a");
    let names = Names::start(&[("a.test", HERE)], Duration::from_millis(100));
    let proxy = start(cache(&names));
    let (to, host) = (proxy.address, format!("a.test:{}", backend.address.port()));
    let all: Vec<_> = (0..8)
        .map(|_| {
            let host = host.clone();
            std::thread::spawn(move || get(to, &host).status)
        })
        .collect();
    assert!(all.into_iter().all(|one| one.join().unwrap() == 200));
    assert_eq!(names.queries(), 1);
}

#[test]
fn names_beyond_the_limit_wait_until_others_are_forgotten() {
    let known = [("a.test", HERE), ("b.test", HERE)];
    let (backend, names) = (Backend::start("a"), Names::start(&known, Duration::ZERO));
    let (min_refresh_rate, host_ttl) = (Some(Duration::from_millis(50)), Some(Duration::from_millis(300)));
    let proxy = start(DnsCache { min_refresh_rate, host_ttl, max_hosts: Some(1), ..cache(&names) });
    let host = |name: &str| format!("{name}:{}", backend.address.port());
    assert_eq!(get(proxy.address, &host("a.test")).status, 200);
    let refused = get(proxy.address, &host("b.test"));
    assert_eq!((refused.status, refused.text().as_str()), (503, "DNS cache overflow"));
    assert!(proxy.logged("GET /headers HTTP/1.1 503").contains("503 - dns_cache_overflow"));
    testkit::eventually("room", Duration::from_secs(5), || {
        match get(proxy.address, &host("b.test")).status {
            200 => Ok(()),
            other => Err(other.to_string()),
        }
    });
    assert_eq!(proxy.stat("dns_cache.c.host_removed"), 1);
}

#[test]
fn few_may_wait_at_once() {
    let names = Names::start(&[("a.test", HERE)], Duration::ZERO);
    let proxy = start(DnsCache { max_pending_requests: Some(0), ..cache(&names) });
    assert_eq!(get(proxy.address, "a.test").text(), "Dynamic forward proxy pending request overflow");
    proxy.logged("GET /headers HTTP/1.1 503 - dynamic_forward_proxy_pending_request_overflow");
    assert_eq!((names.queries(), proxy.stat("dns_cache.c.dns_rq_pending_overflow")), (0, 1));
}

#[test]
fn nobody_waits_longer_than_the_query_may_take() {
    let names = Names::start(&[("a.test", HERE)], Duration::from_secs(5));
    let proxy = start(DnsCache { query_timeout: Some(Duration::from_millis(50)), ..cache(&names) });
    assert_eq!(get(proxy.address, "a.test").text(), "DNS resolution failure");
    assert!(proxy.logged("GET /headers").contains("503 DF dns_resolution_failure{resolve_timeout}"));
    assert_eq!(get(proxy.address, "127.0.0.1:1").status, 503, "an address is used as it is");
    assert_eq!(names.queries(), 1);
}

/// The first flight of a TLS client.
fn hello(name: &'static str) -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.unwrap().with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
    let name = rustls::pki_types::ServerName::try_from(name).unwrap();
    let mut bytes = Vec::new();
    let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

#[test]
fn a_tls_client_says_where_it_goes() {
    let (echo, names) = (backend::tcp_echo(), Names::start(&[("a.test", HERE)], Duration::ZERO));
    let mut setup = Setup { concurrency: 1, ..Setup::new() };
    setup.listener_filters = vec![ListenerFilter::TlsInspector { disabled_ports: Vec::new() }];
    let sni = SniForwardProxy { cache: cache(&names), port: echo.port() };
    setup.filters = vec![NetworkFilter::SniDynamicForwardProxy(Box::new(sni))];
    setup.clusters.push(dynamic(cache(&names)));
    setup.terminal = Some(Terminal::Tcp(TcpProxy::to("test", "b")));
    let proxy = setup.start();
    let mut client = Client::connect(proxy.address);
    let bytes = hello("a.test");
    client.send(&bytes);
    assert_eq!(client.read_exact(bytes.len()), bytes);
    let mut client = Client::connect(proxy.address);
    client.send(hello("gone.test"));
    assert!(client.is_closed());
    let mut client = Client::connect(proxy.address);
    client.send("GET / HTTP/1.1\r\n\r\n");
    assert!(client.is_closed(), "there is no name");
    proxy.logged("- - - 0 UH");
}

#[test]
fn a_route_says_another_host() {
    let (backend, names) = (Backend::start("a"), Names::start(&[("a.test", HERE)], Duration::ZERO));
    let mut setup = Setup { concurrency: 1, ..Setup::new() };
    setup.hcm.http_filters.push(HttpFilter::DynamicForwardProxy(Box::new(cache(&names))));
    setup.clusters.push(dynamic(cache(&names)));
    let mut setup = setup.route("/", "b");
    let header = ForwardProxyOverride::HostRewriteHeader("x-to".into());
    setup.routes[0].filters.forward_proxy = Some(Box::new(header));
    let proxy = setup.start();
    let asked = |to: &str| get(proxy.address, &format!("gone.test\r\nx-to: {to}"));
    assert_eq!(asked(&format!("a.test:{}", backend.address.port())).status, 200);
    assert_eq!(get(proxy.address, "gone.test").status, 503, "without the header nothing changes");
    let nobody = asked("");
    assert_eq!((nobody.status, nobody.text().as_str()), (400, "Empty host header"));
}

#[test]
fn without_a_filter_the_cluster_resolves_by_itself() {
    let (backend, names) = (Backend::start("a"), Names::start(&[("a.test", HERE)], Duration::ZERO));
    let mut setup = Setup::new();
    setup.clusters.push(dynamic(cache(&names)));
    let proxy = setup.route("/", "b").start();
    assert_eq!(get(proxy.address, &format!("a.test:{}", backend.address.port())).status, 200);
    assert_eq!(get(proxy.address, "gone.test").text(), "no healthy upstream");
    let line = proxy.logged("GET /headers HTTP/1.1 503");
    assert!(line.contains("503 UH dns_resolution_failure{cares_norecords:Domain_name_not_found}"), "{line}");
}

#[test]
fn a_name_whose_server_fails_is_left_alone_for_a_while() {
    let known = [("a.test", HERE), ("b.test", HERE)];
    let (backend, names) = (Backend::start("a"), Names::start(&known, Duration::ZERO));
    let mut setup = Setup { concurrency: 2, ..Setup::new() };
    let outlier = OutlierDetection {
        consecutive_5xx: Some(2),
        interval: Some(Duration::from_millis(50)),
        base_ejection_time: Some(Duration::from_millis(100)),
        max_ejection_percent: Some(100),
        ..Default::default()
    };
    setup.clusters.push(Cluster { outlier: Some(Box::new(outlier)), ..dynamic(cache(&names)) });
    let proxy = setup.route("/", "b").start();
    let dead = format!("a.test:{}", free_port().port());
    let well = format!("b.test:{}", backend.address.port());
    assert_eq!(get(proxy.address, &well).status, 200);
    for _ in 0..2 {
        assert!(get(proxy.address, &dead).text().starts_with("upstream connect error"));
    }
    let left = get(proxy.address, &dead);
    assert_eq!((left.status, left.text().as_str()), (503, "no healthy upstream"));
    assert_eq!(get(proxy.address, &well).status, 200, "another name is another host");
    assert_eq!(proxy.stat("cluster.b.outlier_detection.ejections_enforced_total"), 1);
    testkit::eventually("its return", Duration::from_secs(5), || {
        match get(proxy.address, &dead).text().starts_with("upstream connect error") {
            true => Ok(()),
            false => Err("not yet".to_owned()),
        }
    });
}
