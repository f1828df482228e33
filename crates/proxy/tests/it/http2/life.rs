//! How connections and streams end.

use std::io::Read;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use ir::HttpProtocol;
use ir::http::{Http2Keepalive, Http2Options};
use ir::route::{Forward, MaxStreamDuration};

use super::{connect, run};
use crate::support::backend::Backend;
use crate::support::client::Client;
use crate::support::raw::*;
use crate::support::{PATIENCE, Setup, in_time};

const MS: fn(u64) -> Option<Duration> = |ms| Some(Duration::from_millis(ms));

fn setup(backend: &Backend) -> Setup {
    let mut setup = Setup::new().cluster("b", &[backend.address]).route("/", "b");
    setup.clusters[0].protocol = HttpProtocol::Http2;
    setup
}

/// The last stream that the two GOAWAYs name. Answers the PING between them.
fn goaways(raw: &mut Raw) -> [u32; 2] {
    let mut last = Vec::new();
    while last.len() < 2 {
        let got = raw.next().expect("a GOAWAY");
        match got.kind {
            PING => raw.send(&frame(PING, ACK, 0, &got.payload)),
            GOAWAY => {
                assert_eq!(got.code(), 0);
                last.push(u32::from_be_bytes(got.payload[..4].try_into().unwrap()));
            }
            _ => {}
        }
    }
    [last[0], last[1]]
}

#[test]
fn a_connection_that_is_old_or_idle_or_used_up_says_goaway_twice() {
    let backend = Backend::start("b");
    let mut old = setup(&backend);
    old.hcm.max_connection_duration = MS(100);
    let mut idle = setup(&backend);
    idle.hcm.idle_timeout = MS(100);
    let mut used_up = setup(&backend);
    used_up.hcm.max_requests_per_connection = Some(1);
    let names = ["max_duration_reached", "idle_timeout", "destroy"];
    for (setup, name) in [old, idle, used_up].into_iter().zip(names) {
        let proxy = setup.start();
        let mut raw = Raw::connect(proxy.address, &[]);
        raw.send(&get(1, "/sleep/150"));
        let mut answered = false;
        if name == "idle_timeout" {
            answered = raw.until(HEADERS).status() == 200;
        }
        assert_eq!(goaways(&mut raw), [0x7fff_ffff, 1], "{name}");
        // The stream that runs is not disturbed.
        assert!(answered || raw.until(HEADERS).status() == 200);
        while raw.next().is_some() {}
        let end = Instant::now() + Duration::from_secs(2);
        while proxy.stat(&format!("http.test.downstream_cx_{name}")) != 1 {
            assert!(Instant::now() < end, "{name}");
        }
    }
}

#[test]
fn a_client_that_answers_no_ping_is_gone() {
    let backend = Backend::start("b");
    let mut setup = setup(&backend);
    let keepalive = Http2Keepalive {
        interval: MS(50),
        timeout: Duration::from_millis(150),
        jitter_percent: None,
        idle_interval: None,
    };
    setup.hcm.http2 = Http2Options { keepalive: Some(keepalive), ..Http2Options::default() };
    let proxy = setup.start();
    let (mut mute, mut alive) = (Raw::connect(proxy.address, &[]), Raw::connect(proxy.address, &[]));
    for _ in 0..6 {
        let ping = alive.until(PING);
        assert_eq!(ping.flags, 0);
        alive.send(&frame(PING, ACK, 0, &ping.payload));
    }
    assert_eq!(mute.until(PING).flags, 0);
    let mut rest = Vec::new();
    mute.stream.read_to_end(&mut rest).unwrap();
    proxy.expect_stat("http.test.http2.keepalive_timeout", 1);
    alive.send(&get(1, "/"));
    assert_eq!(alive.until(HEADERS).status(), 200);
}

/// The first connection leaves the request out of its GOAWAY, the second serves it.
#[test]
fn what_a_goaway_left_out_is_sent_again() {
    for body in ["", "once more"] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let backend = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut raw = Raw { stream };
            raw.stream.read_exact(&mut [0; PREFACE.len()]).unwrap();
            raw.send(&settings_frame(&[]));
            let id = raw.until(HEADERS).stream;
            if !body.is_empty() {
                raw.until(DATA);
            }
            assert_eq!(id, 1);
            raw.send(&frame(GOAWAY, 0, 0, &[0; 8]));
            (Backend::on(listener, "b"), raw)
        });
        // No policy lets it be retried.
        let mut setup = Setup::new().cluster("b", &[address]).route("/", "b");
        setup.clusters[0].protocol = HttpProtocol::Http2;
        let proxy = setup.start();
        let mut client = Client::connect(proxy.address);
        let reply = if body.is_empty() { client.get("/") } else { client.post("/echo", body.as_bytes()) };
        assert_eq!(reply.status, 200);
        assert!(body.is_empty() || reply.text() == body);
        assert_eq!(backend.join().unwrap().0.seen(), 1);
    }
}

#[test]
fn streams_have_a_longest_time() {
    let backend = Backend::start("b");
    // The second stream's answer has to begin first.
    in_time(Duration::from_millis(150), |limit| a_stream_ends_after(&backend, limit));
}

fn a_stream_ends_after(backend: &Backend, limit: Duration) {
    let mut setup = setup(backend);
    setup.hcm.max_stream_duration = Some(limit);
    let proxy = setup.start();
    let begin = Instant::now();
    let reply = Client::connect(proxy.address).get("/sleep/60000");
    assert_eq!((reply.status, reply.text().as_str()), (504, "downstream duration timeout"));
    assert!(begin.elapsed() >= limit && begin.elapsed() < PATIENCE);
    run(async {
        let mut client = connect(proxy.address).await;
        let request = http::Request::post("http://a/echo").body(()).unwrap();
        let (response, mut send) = client.send_request(request, false).unwrap();
        send.send_data("x".into(), false).unwrap();
        let mut body = response.await.unwrap().into_body();
        assert_eq!(body.data().await.unwrap().unwrap(), "x");
        // The head is out: what remains is to say that the rest does not come.
        assert!(body.data().await.unwrap().unwrap_err().is_reset());
    });
    assert!(proxy.logged("POST /echo").contains(" 200 - max_duration_timeout "));
    proxy.expect_stat("http.test.downstream_rq_max_duration_reached", 2);
}

#[test]
fn a_grpc_client_says_how_long_it_waits() {
    let backend = Backend::start("b");
    let forward = |max_stream_duration, max_grpc_timeout, timeout| Forward {
        max_stream_duration,
        max_grpc_timeout,
        timeout,
        ..Forward::to("b")
    };
    let mut setup = Setup::new()
        .cluster("b", &[backend.address])
        .route_with("/headers/old", forward(None, MS(700), MS(700)))
        .route_with("/sleep", forward(Some(MaxStreamDuration::AS_GRPC_CLIENTS_SAY), None, MS(0)))
        .route_with(
            "/",
            forward(Some(MaxStreamDuration { grpc_header_max: MS(900), ..Default::default() }), None, None),
        );
    setup.clusters[0].protocol = HttpProtocol::Http2;
    let proxy = setup.start();
    let ask = |path: &str, timeout: &str| {
        let mut client = Client::connect(proxy.address);
        client.send(format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\ngrpc-timeout: {timeout}\r\n\
             Content-Length: 0\r\n\r\n"
        ));
        client.read().unwrap()
    };
    // Over HTTP/1 as well.
    let reply = ask("/sleep/5000", "100m");
    assert_eq!((reply.status, reply.header("grpc-status")), (200, Some("4")), "{reply:?}");
    assert_eq!(reply.header("grpc-message"), Some("downstream duration timeout"));
    assert!(reply.body.is_empty());
    for (path, asked, told) in [
        ("/headers", "5S", "900m"),
        ("/headers", "20m", "20m"),
        ("/headers/old", "5S", "700m"),
        ("/headers/old", "300m", "300m"),
    ] {
        let text = ask(path, asked).text();
        assert!(text.contains(&format!("grpc-timeout: {told}\n")), "{path} {asked}: {text}");
    }
}
