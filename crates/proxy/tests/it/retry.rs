//! Retries.

use std::time::{Duration, Instant};

use crate::support::backend::Backend;
use crate::support::client::{Client, get};
use crate::support::{Setup, free_port};
use ir::retry::{RetryOn, RetryPolicy};
use ir::route::Forward;

fn policy(on: &[RetryOn], retries: u32) -> RetryPolicy {
    RetryPolicy {
        on: on.iter().copied().collect(),
        num_retries: retries,
        avoid_previous_hosts: true,
        host_selection_attempts: 5,
        base_interval: Some(Duration::from_millis(1)),
        ..RetryPolicy::default()
    }
}

fn retrying(on: &[RetryOn], retries: u32) -> Forward {
    Forward { retry: Some(policy(on, retries)), ..Forward::to("b") }
}

#[test]
fn a_failed_request_is_sent_again_with_its_body() {
    let backend = Backend::start("b");
    let proxy = Setup::new()
        .cluster("b", &[backend.address])
        .route_with("/", retrying(&[RetryOn::FiveXx], 2))
        .start();
    let reply = Client::connect(proxy.address).post("/flaky/2", b"hello");
    assert_eq!((reply.status, backend.seen()), (200, 3));
    assert!(proxy.logged("POST /flaky").contains("200 - via_upstream rx=5 tx=2 attempts=3"));
    proxy.expect_stat("cluster.b.upstream_rq_retry", 2);
    proxy.expect_stat("cluster.b.upstream_rq_retry_success", 1);
}

#[test]
fn retries_end() {
    let backend = Backend::start("b");
    let proxy = Setup::new()
        .cluster("b", &[backend.address])
        .route_with("/", retrying(&[RetryOn::FiveXx], 2))
        .start();
    assert_eq!(get(proxy.address, "/status/503").status, 503);
    assert_eq!(backend.seen(), 3);
    assert!(proxy.logged("GET /status").contains("503 URX via_upstream"));
}

#[test]
fn another_endpoint_is_tried() {
    let backend = Backend::start("b");
    let dead = free_port();
    let proxy = Setup::new()
        .cluster("b", &[dead, backend.address])
        .route_with("/", retrying(&[RetryOn::ConnectFailure], 1))
        .start();
    for _ in 0..10 {
        assert_eq!(get(proxy.address, "/").status, 200);
    }
}

#[test]
fn an_attempt_has_its_own_time() {
    let backend = Backend::start("b");
    let mut forward = retrying(&[RetryOn::FiveXx], 1);
    forward.retry.as_mut().unwrap().per_try_timeout = Some(Duration::from_millis(100));
    let proxy = Setup::new().cluster("b", &[backend.address]).route_with("/", forward).start();
    let begin = Instant::now();
    assert_eq!(get(proxy.address, "/sleep/3000").status, 504);
    assert!(begin.elapsed() < Duration::from_millis(1000), "{:?}", begin.elapsed());
    assert_eq!(backend.seen(), 2);
    assert!(proxy.logged("GET /sleep").contains("504 URX,UT upstream_per_try_timeout"));
}

#[test]
fn a_body_too_large_to_keep_is_not_sent_twice() {
    let backend = Backend::start("b");
    let proxy = Setup::new()
        .cluster("b", &[backend.address])
        .route_with("/", retrying(&[RetryOn::FiveXx], 2))
        .start();
    let reply = Client::connect(proxy.address).post("/flaky/1", &vec![b'x'; 2_000_000]);
    assert_eq!((reply.status, backend.seen()), (503, 1));
}

fn header(name: &str, value: &str) -> ir::HeaderMatcher {
    ir::HeaderMatcher {
        name: name.into(),
        matches: ir::matcher::HeaderMatch::Value(ir::StringMatcher::exact(value)),
        invert: false,
        treat_missing_as_empty: false,
    }
}

#[test]
fn headers_ask_for_retries_and_forbid_them() {
    let backend = Backend::start("b");
    let by_header = RetryPolicy {
        retriable_headers: vec![header("x-backend", "b")],
        retriable_request_headers: vec![header("x-again", "1")],
        ..policy(&[RetryOn::RetriableHeaders], 2)
    };
    let proxy = Setup::new()
        .cluster("b", &[backend.address])
        .route_with("/", Forward { retry: Some(by_header), ..Forward::to("b") })
        .start();
    assert_eq!(get(proxy.address, "/status/200").status, 200);
    assert_eq!(backend.seen(), 1, "the request has no header that allows it");
    let mut client = Client::connect(proxy.address);
    client.send("GET /status/200 HTTP/1.1\r\nHost: a.example\r\nx-again: 1\r\n\r\n");
    assert_eq!(client.read().unwrap().status, 200);
    assert_eq!(backend.seen(), 4);
}

#[test]
fn an_attempt_on_which_nothing_moves_ends() {
    let backend = Backend::start("b");
    let idle = RetryPolicy {
        per_try_idle_timeout: Some(Duration::from_millis(50)),
        ..policy(&[RetryOn::FiveXx], 1)
    };
    let proxy = Setup::new()
        .cluster("b", &[backend.address])
        .route_with("/", Forward { retry: Some(idle), ..Forward::to("b") })
        .start();
    assert_eq!(get(proxy.address, "/sleep/400").status, 504);
    assert_eq!(backend.seen(), 2);
    assert!(proxy.logged("GET /sleep").contains("upstream_per_try_idle_timeout"));
    proxy.expect_stat("cluster.b.upstream_rq_per_try_idle_timeout", 2);
}

#[test]
fn a_later_attempt_is_told_what_time_is_left() {
    let (requests, seen) = std::sync::mpsc::channel();
    let requests = std::sync::Mutex::new(requests);
    let failing = crate::support::backend::tcp(move |mut stream| {
        use std::io::{Read, Write};
        let mut buffer = [0; 4096];
        while let Ok(read) = stream.read(&mut buffer)
            && read > 0
        {
            let head = String::from_utf8_lossy(&buffer[..read]).into_owned();
            let time = head.lines().find_map(|line| line.strip_prefix("x-envoy-expected-rq-timeout-ms: "));
            let _ = requests.lock().unwrap().send(time.unwrap().trim().parse::<u64>().unwrap());
            std::thread::sleep(Duration::from_millis(20));
            let _ = stream.write_all(b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n");
        }
    });
    let forward = Forward { timeout: Some(Duration::from_secs(2)), ..retrying(&[RetryOn::FiveXx], 1) };
    let proxy = Setup::new().cluster("b", &[failing]).route_with("/", forward).start();
    assert_eq!(get(proxy.address, "/").status, 503);
    let times: Vec<u64> = seen.try_iter().collect();
    assert!(times.len() == 2 && times[0] == 2000 && (1..=1980).contains(&times[1]), "{times:?}");
}
