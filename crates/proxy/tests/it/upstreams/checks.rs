//! Endpoints are asked whether they are well.

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use ir::health_check::{GrpcCheck, HealthChecker, HttpCheck, TcpCheck};
use ir::*;

use super::{backend_of, get_with};
use crate::support::backend::{self, Backend};
use crate::support::{Running, Setup, cluster, free_port};

fn check(checker: HealthChecker) -> HealthCheck {
    HealthCheck {
        timeout: Duration::from_millis(500),
        interval: Duration::from_millis(20),
        initial_jitter: None,
        interval_jitter: None,
        interval_jitter_percent: 0,
        unhealthy_threshold: 1,
        healthy_threshold: 1,
        alt_port: None,
        reuse_connection: true,
        no_traffic_interval: Some(Duration::from_millis(20)),
        no_traffic_healthy_interval: None,
        unhealthy_interval: None,
        unhealthy_edge_interval: None,
        healthy_edge_interval: None,
        alpn: Vec::new(),
        transport_criteria: Default::default(),
        checker,
    }
}

fn http(path: &str) -> HealthChecker {
    HealthChecker::Http(HttpCheck { path: path.into(), ..HttpCheck::default() })
}

/// Without a panic: who is not well gets nothing.
fn checked(to: &[SocketAddr], check: HealthCheck) -> Setup {
    let mut cluster = Cluster { health_checks: vec![check], ..cluster("b", to) };
    cluster.common_lb.healthy_panic_threshold = Some(Fraction { parts_per_million: 0 });
    let mut setup = Setup::new();
    setup.clusters.push(cluster);
    setup.route("/", "b")
}

fn statuses(proxy: &Running, count: usize) -> Vec<u16> {
    let mut all: Vec<u16> = (0..count).map(|_| get_with(proxy.address, "/", "").status).collect();
    all.sort_unstable();
    all.dedup();
    all
}

#[test]
fn an_endpoint_that_is_down_gets_nothing_until_it_is_up() {
    let (up, down) = (Backend::start("up"), free_port());
    let proxy = checked(&[up.address, down], check(http("/status/200"))).start();
    assert_eq!(statuses(&proxy, 20), [200], "the listener waits for the first check of each");
    assert_eq!(proxy.stat("cluster.b.membership_total"), 2);
    assert_eq!(proxy.stat("cluster.b.membership_healthy"), 1);
    assert_eq!(proxy.stat("cluster.b.health_check.healthy"), 1);
    assert!(proxy.stat("cluster.b.health_check.network_failure") >= 1);
    let late = Backend::on(TcpListener::bind(down).unwrap(), "late");
    proxy.expect_stat("cluster.b.membership_healthy", 2);
    let answers: Vec<String> = (0..20).map(|_| backend_of(&get_with(proxy.address, "/", ""))).collect();
    assert!(answers.iter().any(|name| name == "late") && late.seen() > 0);
}

#[test]
fn one_that_says_no_is_out_at_once_and_nobody_is_left() {
    let backend = Backend::start("a");
    let mut config = check(http("/status/503"));
    config.unhealthy_threshold = 100;
    let proxy = checked(&[backend.address], config).start();
    assert_eq!(statuses(&proxy, 2), [503]);
    assert!(proxy.logged("GET /").contains("503 UH"));
    assert_eq!(proxy.stat("cluster.b.membership_healthy"), 0);
    assert!(proxy.stat("cluster.b.health_check.failure") >= 1);
    assert_eq!(proxy.stat("cluster.b.health_check.network_failure"), 0);
}

#[test]
fn statuses_hosts_and_ports_are_the_ones_configured() {
    let (backend, health) = (Backend::start("a"), Backend::start("h"));
    let checker = HttpCheck {
        path: "/status/204".into(),
        expected_statuses: vec![(201, 205)],
        receive: Vec::new(),
        ..HttpCheck::default()
    };
    let mut setup = checked(&[backend.address], check(HealthChecker::Http(checker)));
    let ClusterDiscovery::Static(assignment) = &mut setup.clusters[0].discovery else { unreachable!() };
    let own = ir::endpoint::EndpointHealthCheck {
        port: Some(health.address.port()),
        ..ir::endpoint::EndpointHealthCheck::default()
    };
    assignment.localities[0].endpoints[0].health_check = Some(Box::new(own));
    let proxy = setup.start();
    assert_eq!(statuses(&proxy, 1), [200]);
    assert!(health.seen() >= 1);
    assert_eq!(backend.seen(), 1, "checks went elsewhere");
}

#[test]
fn what_is_asked_looks_as_configured() {
    let backend = Backend::start("a");
    let checker = HttpCheck {
        host: "checked.example".into(),
        path: "/headers".into(),
        headers: vec![ir::header::HeaderValue {
            name: "x-check".into(),
            value: "100%%".into(),
            action: Default::default(),
        }],
        receive: vec![b"GET /headers HTTP/1.1".to_vec(), b"x-check: 100%".to_vec()],
        ..HttpCheck::default()
    };
    let proxy = checked(&[backend.address], check(HealthChecker::Http(checker.clone()))).start();
    assert_eq!(statuses(&proxy, 1), [200]);
    let other = HttpCheck { receive: vec![b"host: other.example".to_vec()], ..checker };
    let proxy = checked(&[backend.address], check(HealthChecker::Http(other))).start();
    assert_eq!(statuses(&proxy, 1), [503]);
}

#[test]
fn tcp_and_grpc() {
    let backend = Backend::start("a");
    let proxy = checked(&[backend.address], check(HealthChecker::Tcp(TcpCheck::default()))).start();
    assert_eq!(statuses(&proxy, 1), [200]);
    let silent = backend::tcp(|_| {});
    let payload = TcpCheck { send: b"x".to_vec(), receive: vec![b"y".to_vec()] };
    let proxy = checked(&[silent], check(HealthChecker::Tcp(payload))).start();
    assert_eq!(statuses(&proxy, 1), [503]);
    // It answers anything, but it is no gRPC.
    let proxy = checked(&[backend.address], check(HealthChecker::Grpc(GrpcCheck::default()))).start();
    assert_eq!(statuses(&proxy, 1), [503]);
    assert_eq!(proxy.stat("cluster.b.health_check.network_failure"), 0);
}

#[test]
fn an_ejection_ends_with_a_check_that_succeeds() {
    let failing = backend::tcp(|mut stream| {
        use std::io::{Read, Write};
        let mut buffer = [0; 4096];
        while let Ok(read) = stream.read(&mut buffer)
            && read > 0
        {
            let check = buffer[..read].windows(8).any(|it| it == b"Envoy/HC");
            let status = if check { "200 Fine" } else { "500 No" };
            let _ = stream.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes());
        }
    });
    let mut setup = checked(&[failing], check(http("/")));
    setup.clusters[0].outlier = Some(Box::new(OutlierDetection {
        consecutive_5xx: Some(1),
        max_ejection_percent: Some(100),
        ..OutlierDetection::default()
    }));
    let proxy = setup.start();
    assert_eq!(get_with(proxy.address, "/", "").status, 500);
    proxy.expect_stat("cluster.b.outlier_detection.ejections_enforced_total", 1);
    // The base time of an ejection is 30 s.
    proxy.expect_stat("cluster.b.outlier_detection.ejections_active", 0);
}

#[test]
fn a_removed_cluster_is_not_checked_any_more() {
    let backend = Backend::start("a");
    let mut setup = checked(&[backend.address], check(http("/status/200")));
    setup.routes.clear();
    let proxy = setup.start_dynamic();
    let begin = Instant::now();
    while backend.seen() < 3 && begin.elapsed() < Duration::from_secs(3) {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(backend.seen() >= 3);
    let gone = crate::support::update(Vec::new(), &[(ResourceType::Cluster, "b")]);
    assert_eq!(proxy.handle.update(gone), []);
    std::thread::sleep(Duration::from_millis(60));
    let seen = backend.seen();
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(backend.seen(), seen);
}
