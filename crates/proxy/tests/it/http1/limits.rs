//! The limits of connections and requests.

use std::time::{Duration, Instant};

use ir::route::Forward;
use ir::{Cluster, HttpConnectionManager};

use super::simple;
use crate::support::backend::{self, Backend};
use crate::support::client::{Client, get};
use crate::support::{Running, Setup, in_time};

const SHORT: Option<Duration> = Some(Duration::from_millis(100));
/// For what has to do something first, on a busy machine.
const LONGER: Option<Duration> = Some(Duration::from_millis(500));

fn with(backend: &Backend, edit: impl FnOnce(&mut HttpConnectionManager)) -> Running {
    let mut setup = simple(backend);
    edit(&mut setup.hcm);
    setup.start()
}

/// What a client is told that sends this and then waits.
fn told(proxy: &Running, request: &str) -> (u16, bool) {
    let mut client = Client::connect(proxy.address);
    client.send(request);
    let reply = client.read().unwrap();
    (reply.status, client.is_closed())
}

#[test]
fn heads_are_bounded_in_size_and_lines() {
    let backend = Backend::start("b");
    let proxy = with(&backend, |hcm| {
        hcm.max_request_headers_kb = Some(1);
        hcm.max_headers_count = Some(5);
    });
    let head = |fields: &str| format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    let mut client = Client::connect(proxy.address);
    client.send(head(&"X: y\r\n".repeat(4)));
    assert_eq!(client.read().unwrap().status, 200);
    assert_eq!(told(&proxy, &head(&"X: y\r\n".repeat(5))), (431, true));
    assert_eq!(told(&proxy, &head(&format!("X: {}\r\n", "y".repeat(1100)))), (431, true));
    proxy.logged("- - HTTP/1.1 431 DPE http1.too_many_headers");
    proxy.logged("- - HTTP/1.1 431 DPE http1.headers_too_large");
    assert_eq!(backend.seen(), 1);
}

#[test]
fn a_head_and_a_request_have_to_arrive_in_time() {
    let backend = Backend::start("b");
    let proxy = with(&backend, |hcm| hcm.request_headers_timeout = SHORT);
    assert_eq!(told(&proxy, "GET / HTTP/1.1\r\nHost: a\r\n"), (408, true));
    proxy.logged("- - HTTP/1.1 408 DPE request_header_timeout");
    let proxy = with(&backend, |hcm| hcm.request_timeout = SHORT);
    assert_eq!(told(&proxy, "POST /sleep/5000 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel").0, 408);
}

#[test]
fn an_idle_connection_ends() {
    let backend = Backend::start("b");
    let proxy = with(&backend, |hcm| hcm.idle_timeout = LONGER);
    let mut client = Client::connect(proxy.address);
    assert_eq!(client.get("/").status, 200);
    let begin = Instant::now();
    assert!(client.is_closed());
    assert!(begin.elapsed() >= Duration::from_millis(400), "{:?}", begin.elapsed());
    proxy.expect_stat("http.test.downstream_cx_idle_timeout", 1);
}

#[test]
fn a_connection_has_its_time_and_its_requests() {
    let backend = Backend::start("b");
    let proxy = with(&backend, |hcm| hcm.max_connection_duration = LONGER);
    let mut client = Client::connect(proxy.address);
    assert_eq!(client.get("/").header("connection"), None);
    assert!(client.is_closed());

    let proxy = with(&backend, |hcm| {
        hcm.max_connection_duration = SHORT;
        hcm.http1_safe_max_connection_duration = true;
    });
    let mut client = Client::connect(proxy.address);
    // The beginning of a request, and the rest when time is over.
    client.send("GET / HTTP/1.1\r\n");
    std::thread::sleep(Duration::from_millis(150));
    client.send("Host: a\r\n\r\n");
    assert_eq!(client.read().unwrap().header("connection"), Some("close"), "only a response ends it");
    assert!(client.is_closed());

    let proxy = with(&backend, |hcm| {
        hcm.max_connection_duration = SHORT;
        hcm.max_connection_duration_jitter_percent = Some(100);
    });
    let (begin, mut client) = (Instant::now(), Client::connect(proxy.address));
    assert!(client.is_closed());
    let life = begin.elapsed();
    assert!((90..5000).contains(&life.as_millis()), "{life:?}");

    let proxy = with(&backend, |hcm| hcm.max_requests_per_connection = Some(2));
    let mut client = Client::connect(proxy.address);
    assert_eq!(client.get("/").header("connection"), None);
    assert_eq!(client.get("/").header("connection"), Some("close"));
    assert!(client.is_closed());
}

#[test]
fn names_with_underscores_are_dropped_or_refused() {
    use ir::http::HeadersWithUnderscores::{Allow, DropHeader, RejectRequest};
    let backend = Backend::start("b");
    let request = "GET /headers HTTP/1.1\r\nHost: a\r\nX_User: me\r\nX-User: you\r\n\r\n";
    for (action, status, seen) in [(Allow, 200, true), (DropHeader, 200, false), (RejectRequest, 400, false)]
    {
        let proxy = with(&backend, |hcm| hcm.headers_with_underscores = action);
        let mut client = Client::connect(proxy.address);
        client.send(request);
        let reply = client.read().unwrap();
        assert_eq!((reply.status, reply.text().contains("x_user: me")), (status, seen), "{action:?}");
        assert_eq!(reply.text().contains("x-user: you"), status == 200);
    }
}

#[test]
fn a_request_on_which_nothing_moves_ends() {
    let backend = Backend::start("b");
    let proxy = with(&backend, |hcm| hcm.stream_idle_timeout = SHORT);
    let reply = get(proxy.address, "/sleep/2000");
    assert_eq!((reply.status, reply.text().as_str()), (504, "stream timeout"));
    proxy.logged("GET /sleep/2000 HTTP/1.1 504 SI stream_idle_timeout");
}

#[test]
fn a_client_that_does_not_read_is_not_waited_for() {
    let backend = Backend::start("b");
    // The answer has to begin first.
    in_time(Duration::from_millis(500), |limit| {
        let setup = Setup::new().cluster("b", &[backend.address]);
        let forward = Forward { idle_timeout: Some(limit), ..Forward::to("b") };
        let proxy = setup.route_with("/", forward).start();
        let mut client = Client::connect(proxy.address);
        client.send("GET /big/30000000 HTTP/1.1\r\nHost: a\r\n\r\n");
        let line = proxy.logged("GET /big");
        assert!(line.contains(" 200 SI stream_idle_timeout "), "{line}");
        assert!(client.read().is_err(), "half a response must not look whole");
    });
}

/// What comes through from an upstream that sends these field lines.
fn limited(fields: String, edit: impl FnOnce(&mut Cluster)) -> u16 {
    let upstream = backend::tcp(move |mut stream| {
        use std::io::{Read, Write};
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{fields}\r\n").as_bytes());
    });
    let mut setup = Setup::new().cluster("b", &[upstream]).route("/", "b");
    edit(&mut setup.clusters[0]);
    get(setup.start().address, "/").status
}

#[test]
fn responses_are_bounded_in_size_and_lines() {
    let lines = |count: usize| "X: y\r\n".repeat(count);
    assert_eq!(limited(lines(4), |c| c.max_headers_count = Some(5)), 200);
    assert_eq!(limited(lines(5), |c| c.max_headers_count = Some(5)), 502);
    let long = |len: usize| format!("X: {}\r\n", "y".repeat(len));
    assert_eq!(limited(long(900), |c| c.max_response_headers_kb = Some(1)), 200);
    assert_eq!(limited(long(1100), |c| c.max_response_headers_kb = Some(1)), 502);
}

#[test]
fn an_old_connection_to_an_endpoint_is_not_used_again() {
    let backend = Backend::start("b");
    let mut setup = simple(&backend);
    setup.clusters[0].max_connection_duration = LONGER;
    let proxy = setup.start();
    let mut client = Client::connect(proxy.address);
    let connections = || backend.connections.load(std::sync::atomic::Ordering::SeqCst);
    assert_eq!((client.get("/").status, client.get("/").status, connections()), (200, 200, 1));
    std::thread::sleep(Duration::from_millis(520));
    assert_eq!((client.get("/").status, connections()), (200, 2));
}
