//! Circuit breakers.

use std::time::{Duration, Instant};

use ir::cluster::{RetryBudget, Thresholds};
use ir::retry::{RetryOn, RetryPolicy};
use ir::route::{Forward, RoutingPriority};

use super::get_with;
use crate::support::backend::Backend;
use crate::support::{Running, Setup};

/// One backend behind these limits.
fn limited(backend: &Backend, thresholds: Thresholds) -> Setup {
    let mut setup = Setup::new().cluster("b", &[backend.address]);
    setup.clusters[0].thresholds = thresholds;
    setup.concurrency = 1;
    setup
}

/// A slow request in the background, which has reached the backend.
fn slow(proxy: &Running, backend: &Backend) -> std::thread::JoinHandle<u16> {
    let (to, before) = (proxy.address, backend.seen());
    let asking = std::thread::spawn(move || get_with(to, "/sleep/300", "").status);
    let begin = Instant::now();
    while backend.seen() == before && begin.elapsed() < Duration::from_secs(2) {
        std::thread::sleep(Duration::from_millis(2));
    }
    asking
}

#[test]
fn too_many_requests_are_refused() {
    let backend = Backend::start("a");
    let limits = Thresholds { max_requests: Some(1), track_remaining: true, ..Default::default() };
    let setup = limited(&backend, limits);
    let high = Forward { priority: RoutingPriority::High, ..Forward::to("b") };
    let proxy = setup.route_with("/high", high).route("/", "b").start();
    assert_eq!(proxy.stat("cluster.b.circuit_breakers.default.remaining_rq"), 1);
    let first = slow(&proxy, &backend);
    assert_eq!(proxy.stat("cluster.b.circuit_breakers.default.rq_open"), 1);
    let reply = get_with(proxy.address, "/now", "");
    assert_eq!(reply.status, 503);
    assert_eq!(reply.header("x-envoy-overloaded"), Some("true"));
    assert_eq!(get_with(proxy.address, "/high", "").status, 200, "it has limits of its own");
    assert_eq!(first.join().unwrap(), 200);
    assert!(proxy.logged("GET /now").contains("503 UO"));
    proxy.expect_stat("cluster.b.upstream_rq_pending_overflow", 1);
    assert_eq!(get_with(proxy.address, "/now", "").status, 200);
}

#[test]
fn too_many_connections_are_refused() {
    let backend = Backend::start("a");
    for limits in [
        Thresholds { max_connections: Some(1), ..Default::default() },
        Thresholds { max_connections: Some(1), max_pending_requests: Some(0), ..Default::default() },
    ] {
        let proxy = limited(&backend, limits).route("/", "b").start();
        if limits.max_pending_requests == Some(0) {
            assert_eq!(get_with(proxy.address, "/", "").status, 503, "nobody may wait for a connection");
            continue;
        }
        let first = slow(&proxy, &backend);
        assert_eq!(proxy.stat("cluster.b.circuit_breakers.default.cx_open"), 1);
        assert_eq!(get_with(proxy.address, "/now", "").status, 200, "it waited for the connection");
        assert_eq!(first.join().unwrap(), 200);
        assert_eq!(proxy.stat("cluster.b.upstream_cx_overflow"), 1);
        assert_eq!(proxy.stat("cluster.b.upstream_cx_total"), 1);
    }
}

#[test]
fn only_so_many_wait_for_a_connection() {
    let backend = Backend::start("a");
    let limits = Thresholds { max_connections: Some(1), max_pending_requests: Some(1), ..Default::default() };
    let proxy = limited(&backend, limits).route("/", "b").start();
    let first = slow(&proxy, &backend);
    let to = proxy.address;
    let second = std::thread::spawn(move || get_with(to, "/second", "").status);
    proxy.expect_stat("cluster.b.circuit_breakers.default.rq_pending_open", 1);
    let third = get_with(proxy.address, "/third", "");
    assert_eq!((third.status, third.header("x-envoy-overloaded")), (503, Some("true")));
    assert!(proxy.logged("GET /third").contains("503 UO"));
    assert_eq!((first.join().unwrap(), second.join().unwrap()), (200, 200));
    assert_eq!(backend.connections.load(std::sync::atomic::Ordering::SeqCst), 1);
    proxy.expect_stat("cluster.b.upstream_rq_pending_overflow", 1);
    // Who gives up leaves the queue, and the connection to the next.
    let slow_one = slow(&proxy, &backend);
    let mut gone = crate::support::client::Client::connect(proxy.address);
    gone.send("GET /gone HTTP/1.1\r\nHost: a.example\r\n\r\n");
    proxy.expect_stat("cluster.b.circuit_breakers.default.rq_pending_open", 1);
    drop(gone);
    proxy.expect_stat("cluster.b.circuit_breakers.default.rq_pending_open", 0);
    assert_eq!(get_with(proxy.address, "/last", "").status, 200);
    assert_eq!(slow_one.join().unwrap(), 200);
}

fn retrying() -> Forward {
    let retry = RetryPolicy {
        on: [RetryOn::FiveXx].into(),
        base_interval: Some(Duration::from_millis(1)),
        ..RetryPolicy::default()
    };
    Forward { retry: Some(retry), ..Forward::to("b") }
}

#[test]
fn retries_have_a_limit_and_a_budget() {
    let backend = Backend::start("a");
    let run = |limits: Thresholds| {
        let proxy = limited(&backend, limits).route_with("/", retrying()).start();
        assert_eq!(get_with(proxy.address, "/status/503", "").status, 503);
        let line = proxy.logged("GET /status/503");
        (line.contains(" UO "), proxy.stat("cluster.b.upstream_rq_retry_overflow"))
    };
    assert_eq!(run(Thresholds { max_retries: Some(0), ..Default::default() }), (true, 1));
    assert_eq!(run(Thresholds::default()), (false, 0));
    let budget = |least| RetryBudget { budget: None, interval: None, min_retry_concurrency: Some(least) };
    let limits = Thresholds { retry_budget: Some(budget(0)), max_retries: Some(9), ..Default::default() };
    assert_eq!(run(limits), (true, 1), "20 % of one request is none");
    let looking_back = RetryBudget { interval: Some(Duration::from_secs(60)), ..budget(0) };
    let limits = Thresholds { retry_budget: Some(looking_back), ..Default::default() };
    let proxy = limited(&backend, limits).route_with("/", retrying()).start();
    let overflows = [(); 6].map(|()| {
        assert_eq!(get_with(proxy.address, "/status/503", "").status, 503);
        proxy.stat("cluster.b.upstream_rq_retry_overflow")
    });
    assert_eq!(overflows, [1, 2, 3, 4, 4, 4], "the fifth request of a minute may be tried again");
    let limits = Thresholds { retry_budget: Some(budget(1)), max_retries: Some(0), ..Default::default() };
    assert_eq!(run(limits), (false, 0));
}
