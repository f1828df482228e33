//! The TCP proxy.

use std::net::Shutdown;
use std::time::Duration;

use crate::support::backend;
use crate::support::client::Client;
use crate::support::{Setup, free_port};
use ir::*;

fn tcp(cluster: &str) -> Setup {
    let mut setup = Setup::new();
    setup.terminal =
        Some(Terminal::Tcp(TcpProxy { max_connect_attempts: 2, ..TcpProxy::to("test", cluster) }));
    setup
}

#[test]
fn bytes_and_half_closes_pass() {
    let proxy = tcp("b").cluster("b", &[backend::tcp_echo()]).start();
    let mut client = Client::connect(proxy.address);
    client.send("hello");
    assert_eq!(client.read_exact(5), b"hello");
    client.stream().shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.read_to_end(), b"bye");
    let line = proxy.logged("- - - 0 -");
    assert!(line.contains("rx=5 tx=8 attempts=1 cluster=b"), "{line}");
    proxy.expect_stat("tcp.test.downstream_cx_total", 1);
    proxy.expect_stat("tcp.test.downstream_cx_active", 0);
}

#[test]
fn large_transfers_pass_whole() {
    let proxy = tcp("b").cluster("b", &[backend::tcp_echo()]).start();
    let mut client = Client::connect(proxy.address);
    let mut writer = client.stream().try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        use std::io::Write;
        writer.write_all(&vec![7; 5_000_000]).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let all = client.read_to_end();
    sender.join().unwrap();
    assert_eq!(all.len(), 5_000_003);
}

#[test]
fn a_dead_endpoint_is_skipped_and_flagged() {
    let proxy = tcp("b").cluster("b", &[free_port(), backend::tcp_echo()]).start();
    for _ in 0..6 {
        let mut client = Client::connect(proxy.address);
        client.send("x");
        assert_eq!(client.read_exact(1), b"x");
    }
    let dead = tcp("b").cluster("b", &[free_port()]).start();
    assert!(Client::connect(dead.address).is_closed());
    assert!(dead.logged("- - - 0 UF,URX").contains("attempts=2"));
    let empty = tcp("b").cluster("b", &[]).start();
    assert!(Client::connect(empty.address).is_closed());
    empty.logged("- - - 0 UH");
    let none = tcp("none").start();
    assert!(Client::connect(none.address).is_closed());
    none.logged("- - - 0 NC");
}

#[test]
fn an_idle_connection_ends() {
    let mut setup = tcp("b").cluster("b", &[backend::tcp_echo()]);
    if let Some(Terminal::Tcp(tcp)) = &mut setup.terminal {
        tcp.idle_timeout = Some(Duration::from_millis(200));
    }
    let proxy = setup.start();
    let mut client = Client::connect(proxy.address);
    client.send("x");
    assert_eq!(client.read_exact(1), b"x");
    assert!(client.is_closed());
}

#[test]
fn a_connection_that_no_policy_allows_is_closed() {
    let mut setup = tcp("b").cluster("b", &[backend::tcp_echo()]);
    let rules = Rbac { action: ir::rbac::RbacAction::Allow, policies: Default::default() };
    setup.filters = vec![NetworkFilter::Rbac(ir::RbacFilter::enforce("tcp.", rules))];
    let proxy = setup.start();
    let mut client = Client::connect(proxy.address);
    assert!(client.is_closed());
    proxy.logged("- - - 0 - rbac_access_denied_matched_policy[none]");
}
