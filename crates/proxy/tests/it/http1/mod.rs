//! HTTP/1 through a proxy.

#[path = "../../../../http1/corpus/mod.rs"]
mod corpus;
mod interim;
mod limits;
mod smuggling;
use std::time::{Duration, Instant};

use crate::support::backend::{self, Backend};
use crate::support::client::{Client, get};
use crate::support::{Setup, free_port, route};
use ir::fault::{AbortStatus, FaultAbort, FaultDelay};
use ir::rbac::{Permission, Policy, Principal, RbacAction};
use ir::route::{DirectResponse, Forward, RouteClusters, WeightedCluster};
use ir::*;

fn simple(backend: &Backend) -> Setup {
    Setup::new().cluster("b", &[backend.address]).route("/", "b")
}

#[test]
fn one_connection_carries_many_requests() {
    let backend = Backend::start("one");
    let proxy = simple(&backend).start();
    let mut client = Client::connect(proxy.address);
    for _ in 0..3 {
        let reply = client.get("/hello");
        assert_eq!((reply.status, reply.text().as_str()), (200, "one\n"));
        assert_eq!(reply.header("server"), Some("envoy"));
        assert!(reply.header("x-envoy-upstream-service-time").is_some());
        assert!(reply.header("date").is_some());
    }
    let body = vec![b'y'; 300_000];
    assert_eq!(client.post("/echo", &body).body, body);
    assert_eq!(backend.connections.load(std::sync::atomic::Ordering::SeqCst), 1);
    let line = proxy.logged("POST /echo");
    assert_eq!(line, "POST /echo HTTP/1.1 200 - via_upstream rx=300000 tx=300000 attempts=1 cluster=b");
    proxy.expect_stat("http.test.downstream_rq_2xx", 4);
    proxy.expect_stat("cluster.b.upstream_rq_2xx", 4);
    proxy.expect_stat("http.test.downstream_cx_active", 1);
}

#[test]
fn chunks_and_trailers_pass() {
    let backend = Backend::start("b");
    let proxy = simple(&backend).start();
    let mut client = Client::connect(proxy.address);
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    let head = client.read_head().unwrap();
    assert_eq!(head.status, 200);
    // The response has begun while the request is still under way.
    assert_eq!(client.line().unwrap(), "5");
    assert_eq!(client.read_exact(7), b"hello\r\n");
    client.send("6\r\n world\r\n0\r\n\r\n");
    assert_eq!(client.line().unwrap(), "6");
    assert_eq!(client.read_exact(8), b" world\r\n");
    assert_eq!(client.line().unwrap(), "0");
}

#[test]
fn the_next_hop_is_told_what_envoy_tells() {
    let backend = Backend::start("b");
    let mut setup = simple(&backend);
    setup.hcm.use_remote_address = true;
    let proxy = setup.start();
    let mut client = Client::connect(proxy.address);
    client.send(
        "GET /headers HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-For: 1.1.1.1\r\nX-Envoy-Retry-On: 5xx\r\n\
         X-Forwarded-Client-Cert: By=me\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nX-Request-Id: mine\r\n\r\n",
    );
    let text = client.read().unwrap().text();
    let line =
        |name: &str| text.lines().find_map(|l| l.strip_prefix(&format!("{name}: ")).map(str::to_owned));
    assert_eq!(line("x-forwarded-for").as_deref(), Some("1.1.1.1,127.0.0.1"), "{text}");
    assert_eq!(line("x-forwarded-proto").as_deref(), Some("http"));
    assert_eq!(line("x-envoy-expected-rq-timeout-ms").as_deref(), Some("15000"));
    assert_eq!(line("host").as_deref(), Some("a.example"));
    for gone in ["x-envoy-retry-on", "x-forwarded-client-cert", "x-hop", "connection"] {
        assert_eq!(line(gone), None, "{text}");
    }
    let id = line("x-request-id").unwrap();
    assert_eq!((id.len(), &id[14..15]), (36, "4"), "an edge gives its own: {id}");
}

#[test]
fn what_goes_wrong_is_told_and_flagged() {
    let backend = Backend::start("b");
    let dead = free_port();
    let cut = backend::tcp(|mut stream| {
        use std::io::{Read, Write};
        let mut buffer = [0; 1024];
        let _ = stream.read(&mut buffer);
        if buffer.starts_with(b"GET /reset/half") {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        }
    });
    let mut setup = Setup::new()
        .cluster("b", &[backend.address])
        .cluster("dead", &[dead])
        .cluster("cut", &[cut])
        .cluster("empty", &[])
        .route("/dead", "dead")
        .route("/reset", "cut")
        .route("/empty", "empty")
        .route("/none", "missing")
        .route_with("/sleep", Forward { timeout: Some(Duration::from_millis(100)), ..Forward::to("b") });
    setup.routes.push(route(
        "/direct",
        RouteAction::Direct(DirectResponse { status: 418, body: "short and stout".into(), format: None }),
    ));
    let proxy = setup.start();
    let check = |path: &str, status: u16, body: &str, log: &str| {
        let reply = get(proxy.address, path);
        assert_eq!(reply.status, status, "{path}");
        assert!(reply.text().starts_with(body), "{path}: {:?}", reply.text());
        let line = proxy.logged(&format!("GET {path} "));
        assert!(line.contains(log), "{line}");
    };
    check(
        "/dead",
        503,
        "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure",
        "503 UF upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}",
    );
    check(
        "/reset",
        503,
        "upstream connect error or disconnect/reset before headers. reset reason: connection termination",
        "503 UC upstream_reset_before_response_started{connection_termination}",
    );
    check("/empty", 503, "no healthy upstream", "503 UH no_healthy_upstream");
    check("/none", 503, "", "503 NC cluster_not_found");
    check("/nowhere", 404, "", "404 NR route_not_found");
    check("/sleep/2000", 504, "upstream request timeout", "504 UT response_timeout");
    check("/direct", 418, "short and stout", "418 - direct_response");

    let mut client = Client::connect(proxy.address);
    client.send("GET /reset/half HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(client.read().is_err(), "half a response must not look whole");
    assert!(
        proxy
            .logged("GET /reset/half")
            .contains(" 200 UPE upstream_reset_after_response_started{protocol_error}")
    );
}

#[test]
fn bad_requests_are_refused() {
    let backend = Backend::start("b");
    let proxy = simple(&backend).start();
    let check = |request: &str, status: u16, log: &str| {
        let mut client = Client::connect(proxy.address);
        client.send(request);
        assert_eq!(client.read().unwrap().status, status, "{request}");
        assert!(status == 404 || client.is_closed(), "{request}");
        proxy.logged(log);
    };
    check("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "-");
    check("GET / HTTP/1.1\r\n\r\n", 400, "-");
    check("nonsense\r\n\r\n", 400, "-");
    check("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 404, "CONNECT");
    assert_eq!(backend.seen(), 0);
}

#[test]
fn policies_are_judged_before_routes() {
    let backend = Backend::start("b");
    let mut setup = simple(&backend);
    let rules = Rbac {
        action: RbacAction::Deny,
        policies: [(
            Str::from("ns[default]-policy[no-admin]-rule[0]"),
            Policy {
                permissions: vec![Permission::UrlPath(StringMatcher::prefix("/admin"))],
                principals: vec![Principal::Any],
            },
        )]
        .into(),
    };
    setup.hcm.http_filters = vec![HttpFilter::Rbac(ir::RbacFilter::enforce("", rules))];
    setup.hcm.normalize_path = true;
    let proxy = setup.start();
    for path in ["/admin", "/x/../admin", "/%61dmin"] {
        let reply = get(proxy.address, path);
        assert_eq!((reply.status, reply.text().as_str()), (403, "RBAC: access denied"), "{path}");
    }
    let line = proxy.logged("GET /admin ");
    assert!(
        line.contains("403 - rbac_access_denied_matched_policy[ns[default]-policy[no-admin]-rule[0]]"),
        "{line}"
    );
    assert_eq!(get(proxy.address, "/other").status, 200);
    proxy.expect_stat("http.test.rbac.denied", 3);
}

#[test]
fn faults_delay_and_abort() {
    let backend = Backend::start("b");
    let mut setup = Setup::new().cluster("b", &[backend.address]);
    let mut slow = route("/slow", RouteAction::Forward(Forward::to("b")));
    slow.filters = ir::FilterOverrides::fault(Some(Fault {
        delay: Some(FaultDelay { fixed: Some(Duration::from_millis(200)), fraction: Fraction::ALL }),
        ..Fault::default()
    }));
    let mut broken = route("/broken", RouteAction::Forward(Forward::to("b")));
    broken.filters = ir::FilterOverrides::fault(Some(Fault {
        abort: Some(FaultAbort { status: AbortStatus::Http(555), fraction: Fraction::ALL }),
        ..Fault::default()
    }));
    setup.routes = vec![slow, broken];
    setup.hcm.http_filters = vec![HttpFilter::Fault(Box::default())];
    let proxy = setup.start();
    let begin = Instant::now();
    assert_eq!(get(proxy.address, "/slow").status, 200);
    assert!(begin.elapsed() >= Duration::from_millis(200));
    assert!(proxy.logged("GET /slow").contains("200 DI via_upstream"));
    let reply = get(proxy.address, "/broken");
    assert_eq!((reply.status, reply.text().as_str()), (555, "fault filter abort"));
    assert!(proxy.logged("GET /broken").contains("555 FI fault_filter_abort"));
}

#[test]
fn weights_share_requests() {
    let (a, b) = (Backend::start("a"), Backend::start("b"));
    let weighted = |name: &str, weight| WeightedCluster {
        headers: Default::default(),
        ..WeightedCluster::new(name, weight)
    };
    let clusters = RouteClusters::Weighted(vec![weighted("a", 80), weighted("b", 20)]);
    let proxy = Setup::new()
        .cluster("a", &[a.address])
        .cluster("b", &[b.address])
        .route_with("/", Forward { clusters, ..Forward::to("") })
        .start();
    let mut client = Client::connect(proxy.address);
    (0..500).for_each(|_| assert_eq!(client.get("/").status, 200));
    assert!((340..460).contains(&a.seen()), "{} of 500", a.seen());
    assert_eq!(a.seen() + b.seen(), 500);
}

#[test]
fn websockets_pass_and_outlive_a_push() {
    let backend = Backend::start("b");
    let mut setup = simple(&backend);
    setup.hcm.upgrades = vec!["websocket".into()];
    let proxy = setup.start();
    let mut client = Client::connect(proxy.address);
    client
        .send("GET /websocket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly");
    let head = client.read().unwrap();
    assert_eq!((head.status, head.header("upgrade")), (101, Some("websocket")));
    assert_eq!(client.read_exact(5), b"early");
    client.send("ping");
    assert_eq!(client.read_exact(4), b"ping");
    proxy.expect_stat("http.test.downstream_cx_upgrades_active", 1);
    drop(client);
    let line = proxy.logged("GET /websocket");
    assert!(line.contains(" 101 ") && line.contains("rx=9 tx=9"), "{line}");
}

#[test]
fn upgrades_that_nobody_allowed_are_refused() {
    let backend = Backend::start("b");
    let proxy = simple(&backend).start();
    let mut client = Client::connect(proxy.address);
    client.send("GET /websocket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(client.read().unwrap().status, 403);
}

#[test]
fn a_client_that_leaves_ends_its_request() {
    let backend = Backend::start("b");
    let proxy = simple(&backend).start();
    let mut client = Client::connect(proxy.address);
    client.send("GET /sleep/5000 HTTP/1.1\r\nHost: a\r\n\r\n");
    let end = Instant::now() + Duration::from_secs(5);
    while backend.seen() == 0 {
        assert!(Instant::now() < end);
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(client);
    assert!(proxy.logged("GET /sleep").contains(" 0 DC downstream_remote_disconnect"));
    proxy.expect_stat("cluster.b.upstream_rq_active", 0);
}

#[test]
fn a_drain_lets_requests_finish() {
    let backend = Backend::start("b");
    let mut proxy = simple(&backend).start();
    let mut idle = Client::connect(proxy.address);
    assert_eq!(idle.get("/").status, 200);
    let mut busy = Client::connect(proxy.address);
    busy.send("GET /sleep/500 HTTP/1.1\r\nHost: a\r\n\r\n");
    std::thread::sleep(Duration::from_millis(100));
    proxy.begin_drain();
    assert!(idle.is_closed());
    let reply = busy.read().unwrap();
    assert_eq!((reply.status, reply.header("connection")), (200, Some("close")));
    let begin = Instant::now();
    proxy.stop();
    assert!(begin.elapsed() < Duration::from_millis(1500), "{:?}", begin.elapsed());
}

#[test]
fn a_drain_ends_what_does_not() {
    let backend = Backend::start("b");
    let mut setup = simple(&backend);
    setup.drain_time = Duration::from_millis(300);
    let mut proxy = setup.start();
    let mut busy = Client::connect(proxy.address);
    busy.send("GET /sleep/60000 HTTP/1.1\r\nHost: a\r\n\r\n");
    std::thread::sleep(Duration::from_millis(100));
    let begin = Instant::now();
    proxy.stop();
    assert!(begin.elapsed() < Duration::from_secs(2));
}

/// Nobody new comes in, and who is there has the rest of the time.
#[test]
fn listeners_may_close_before_a_drain_is_over() {
    let backend = Backend::start("b");
    let mut setup = simple(&backend);
    setup.tune = |config| config.listener_drain_time = Some(Duration::from_millis(50));
    let mut proxy = setup.start();
    let mut busy = Client::connect(proxy.address);
    busy.send("GET /sleep/600 HTTP/1.1\r\nHost: a\r\n\r\n");
    std::thread::sleep(Duration::from_millis(50));
    proxy.begin_drain();
    let begin = Instant::now();
    while std::net::TcpStream::connect(proxy.address).is_ok() {
        assert!(begin.elapsed() < Duration::from_millis(500), "it still listens");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(busy.read().unwrap().status, 200);
    proxy.stop();
}
