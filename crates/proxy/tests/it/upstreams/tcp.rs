//! The TCP proxy's clusters and times.

use std::time::{Duration, Instant};

use ir::lb::RingHash;
use ir::tcp::TcpClusters;
use ir::*;

use crate::support::client::Client;
use crate::support::{Setup, backend, cluster, free_port};

/// A server that says its name.
fn named(name: &'static str) -> std::net::SocketAddr {
    backend::tcp(move |mut stream| {
        let _ = std::io::Write::write_all(&mut stream, name.as_bytes());
    })
}

#[test]
fn connections_go_by_weight() {
    let mut setup = Setup::new().cluster("a", &[named("a")]).cluster("b", &[named("b")]);
    let clusters = TcpClusters::Weighted(vec![("a".into(), 3), ("b".into(), 1)]);
    setup.terminal = Some(Terminal::Tcp(TcpProxy { clusters, ..TcpProxy::to("test", "") }));
    let proxy = setup.start();
    let to_a = (0..80).filter(|_| Client::connect(proxy.address).read_exact(1) == b"a").count();
    assert!((45..75).contains(&to_a), "{to_a}");
}

#[test]
fn a_client_sticks_to_an_endpoint() {
    let servers = [named("a"), named("b"), named("c")];
    let mut setup = Setup::new();
    let ring = LbPolicy::RingHash(RingHash::default());
    setup.clusters.push(Cluster { lb_policy: ring, ..cluster("b", &servers) });
    setup.terminal = Some(Terminal::Tcp(TcpProxy { hash_source_ip: true, ..TcpProxy::to("test", "b") }));
    let proxy = setup.start();
    let first = Client::connect(proxy.address).read_exact(1);
    for _ in 0..8 {
        assert_eq!(Client::connect(proxy.address).read_exact(1), first);
    }
}

#[test]
fn a_connection_ends_with_its_time() {
    let mut setup = Setup::new().cluster("b", &[backend::tcp_echo()]);
    let max = Some(Duration::from_millis(150));
    setup.terminal = Some(Terminal::Tcp(TcpProxy {
        max_downstream_connection_duration: max,
        ..TcpProxy::to("test", "b")
    }));
    let proxy = setup.start();
    let begin = Instant::now();
    let mut client = Client::connect(proxy.address);
    client.send("x");
    assert_eq!(client.read_exact(1), b"x");
    assert!(client.is_closed());
    assert!(begin.elapsed() >= Duration::from_millis(140), "{:?}", begin.elapsed());
    proxy.logged("- - - 0 DT");
    proxy.expect_stat("tcp.test.max_downstream_connection_duration", 1);
}

#[test]
fn attempts_wait_in_between() {
    let mut setup = Setup::new().cluster("b", &[free_port()]);
    let back_off = Some((Duration::from_millis(100), Some(Duration::from_millis(100))));
    setup.terminal = Some(Terminal::Tcp(TcpProxy {
        max_connect_attempts: 4,
        connect_back_off: back_off,
        ..TcpProxy::to("test", "b")
    }));
    let proxy = setup.start();
    let begin = Instant::now();
    assert!(Client::connect(proxy.address).is_closed());
    // Three waits of up to 100 ms, at random: that all are short has no chance to speak of.
    assert!(begin.elapsed() >= Duration::from_millis(3), "{:?}", begin.elapsed());
    proxy.logged("- - - 0 UF,URX");
}
