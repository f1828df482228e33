//! Filters on connections: the connection limit and the direct response.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ir::body::BodySource;
use ir::*;

use crate::support::backend;
use crate::support::client::Client;
use crate::support::{Running, Setup};

fn limited(max_connections: u64, delay: Duration) -> Running {
    let mut setup = Setup::new();
    setup.concurrency = 2;
    setup.terminal = Some(Terminal::Tcp(TcpProxy::to("test", "b")));
    let (stat_prefix, delay) = ("x".into(), Some(delay));
    let limit = ConnectionLimit { stat_prefix, max_connections, delay, enabled: true };
    setup.filters = vec![NetworkFilter::ConnectionLimit(limit)];
    setup.cluster("b", &[backend::tcp_echo()]).start()
}

fn open(proxy: &Running) -> Client {
    let mut client = Client::connect(proxy.address);
    client.send("x");
    assert_eq!(client.read_exact(1), b"x");
    client
}

#[test]
fn connections_over_a_limit_are_refused_on_all_workers_together() {
    let proxy = limited(2, Duration::ZERO);
    let held = (open(&proxy), open(&proxy));
    for _ in 0..3 {
        assert!(Client::connect(proxy.address).is_closed());
    }
    proxy.expect_stat("connection_limit.x.limited_connections", 3);
    proxy.expect_stat("connection_limit.x.active_connections", 2);
    drop(held.0);
    proxy.expect_stat("connection_limit.x.active_connections", 1);
    open(&proxy);
    proxy.expect_stat("connection_limit.x.limited_connections", 3);
}

#[test]
fn a_refused_connection_stays_for_a_while_and_counts() {
    let proxy = limited(1, Duration::from_millis(150));
    let held = open(&proxy);
    let begin = Instant::now();
    let mut refused = Client::connect(proxy.address);
    refused.send("x");
    proxy.expect_stat("connection_limit.x.active_connections", 2);
    // There would be room, if the refused one did not take it.
    drop(held);
    proxy.expect_stat("connection_limit.x.active_connections", 1);
    let mut other = Client::connect(proxy.address);
    assert!(refused.is_closed());
    assert!(begin.elapsed() >= Duration::from_millis(150));
    assert!(other.is_closed());
    proxy.expect_stat("connection_limit.x.active_connections", 0);
    open(&proxy);
}

#[test]
fn a_direct_response_comes_whole_and_ends() {
    let mut setup = Setup::new();
    let text = "x".repeat(300_000);
    setup.terminal = Some(Terminal::Direct(text.as_str().into()));
    let proxy = setup.start();
    let mut client = Client::connect(proxy.address);
    assert_eq!(client.read_to_end(), text.as_bytes());
    // Also to who says something that nobody reads.
    let mut client = Client::connect(proxy.address);
    client.send(vec![b'y'; 100_000]);
    assert_eq!(client.read_to_end(), text.as_bytes());
}

#[test]
fn a_response_from_a_file_that_is_not_there_is_refused_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none");
    let mut setup = Setup::new();
    setup.terminal = Some(Terminal::Direct(BodySource::File(path.to_str().unwrap().into())));
    let listener = setup.listener("/dev/null");
    let proxy = Setup::new().start_dynamic();
    let rejects =
        proxy.handle.update(crate::support::update(vec![Resource::Listener(Arc::new(listener))], &[]));
    let [reject] = rejects.as_slice() else { panic!("{rejects:?}") };
    let start = "filter_chains[0].filters[0].response.filename: ";
    assert!(reject.message.starts_with(start), "{}", reject.message);
}
