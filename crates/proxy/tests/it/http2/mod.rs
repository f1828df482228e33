//! HTTP/2 through a proxy, to either version.

mod attacks;
mod bridge;
mod life;

use crate::support::Setup;
use crate::support::backend::Backend;
use crate::support::client::Client;
use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, Request};
use ir::HttpProtocol;
use std::net::SocketAddr;

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(std::time::Duration::from_secs(20), test).await.unwrap() });
}

async fn connect(to: SocketAddr) -> SendRequest<Bytes> {
    let stream = tokio::net::TcpStream::connect(to).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(async move {
        let _ = connection.await;
    });
    client.ready().await.unwrap()
}

fn to(protocol: HttpProtocol, backend: &Backend) -> Setup {
    let mut setup = Setup::new().cluster("b", &[backend.address]).route("/", "b");
    setup.clusters[0].protocol = protocol;
    setup
}

async fn whole(body: &mut h2::RecvStream) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        all.extend_from_slice(&data);
    }
    all
}

#[test]
fn requests_pass_to_either_version() {
    for protocol in [HttpProtocol::Http1, HttpProtocol::Http2, HttpProtocol::UseDownstream] {
        let backend = Backend::start("b");
        let proxy = to(protocol, &backend).start();
        run(async {
            let mut client = connect(proxy.address).await;
            let request = Request::get("http://a.example/headers").header("x-mine", "1").body(()).unwrap();
            let (response, _) = client.send_request(request, true).unwrap();
            let response = response.await.unwrap();
            assert_eq!(response.status(), 200);
            assert_eq!(response.headers()["server"], "envoy");
            let text = String::from_utf8(whole(&mut response.into_body()).await).unwrap();
            assert!(text.contains("x-mine: 1") && text.contains("x-request-id: "), "{protocol:?}: {text}");
            assert_eq!(text.contains("HTTP/2.0"), protocol != HttpProtocol::Http1, "{text}");
        });
        assert!(proxy.logged("GET /headers HTTP/2 200").contains("via_upstream"));
    }
}

#[test]
fn one_version_becomes_the_other_on_the_way() {
    let backend = Backend::start("b");
    let proxy = to(HttpProtocol::Http2, &backend).start();
    let mut client = Client::connect(proxy.address);
    let text = client.get("/headers").text();
    assert!(text.starts_with("GET http://a.example/headers HTTP/2.0"), "{text}");
    let body = vec![b'z'; 700_000];
    assert_eq!(client.post("/echo", &body).body, body);
}

/// Both directions at once, with trailers, as gRPC streams do.
#[test]
fn streams_run_both_ways_with_trailers() {
    for protocol in [HttpProtocol::Http2, HttpProtocol::Http1] {
        let backend = Backend::start("b");
        let proxy = to(protocol, &backend).start();
        run(async {
            let mut client = connect(proxy.address).await;
            let request = Request::post("http://a/echo")
                .header("content-type", "application/grpc")
                .header("te", "trailers")
                .body(())
                .unwrap();
            let (response, mut send) = client.send_request(request, false).unwrap();
            send.send_data("one".into(), false).unwrap();
            let mut body = response.await.unwrap().into_body();
            assert_eq!(body.data().await.unwrap().unwrap(), "one");
            send.send_data("two".into(), false).unwrap();
            assert_eq!(body.data().await.unwrap().unwrap(), "two");
            let mut trailers = HeaderMap::new();
            trailers.insert("x-sum", "42".parse().unwrap());
            send.send_trailers(trailers).unwrap();
            while let Some(data) = body.data().await {
                assert!(data.unwrap().is_empty());
            }
            let trailers = body.trailers().await.unwrap();
            if protocol == HttpProtocol::Http2 {
                let trailers = trailers.unwrap();
                assert_eq!(
                    (&trailers["x-sum"], &trailers["grpc-status"]),
                    (&"42".parse().unwrap(), &"0".parse().unwrap())
                );
            }
        });
        proxy.logged("POST /echo HTTP/2 200 - via_upstream rx=6 tx=6");
    }
}

#[test]
fn large_bodies_pass_while_the_windows_hold_them_back() {
    let backend = Backend::start("b");
    let proxy = to(HttpProtocol::Http2, &backend).start();
    run(async {
        let mut client = connect(proxy.address).await;
        let request = Request::get("http://a/big/3000000").body(()).unwrap();
        let (response, _) = client.send_request(request, true).unwrap();
        assert_eq!(whole(&mut response.await.unwrap().into_body()).await.len(), 3_000_000);
    });
}

#[test]
fn grpc_clients_read_failures_as_grpc() {
    let proxy = Setup::new().cluster("b", &[crate::support::free_port()]).route("/", "b").start();
    run(async {
        let mut client = connect(proxy.address).await;
        let request =
            Request::post("http://a/s/m").header("content-type", "application/grpc").body(()).unwrap();
        let (response, _) = client.send_request(request, true).unwrap();
        let response = response.await.unwrap();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["grpc-status"]),
            (200, &"14".parse().unwrap())
        );
        assert!(response.headers()["grpc-message"].to_str().unwrap().starts_with("upstream connect error"));
    });
}

#[test]
fn many_streams_share_a_connection() {
    let backend = Backend::start("b");
    let proxy = to(HttpProtocol::Http2, &backend).start();
    run(async {
        let client = connect(proxy.address).await;
        let mut tasks = Vec::new();
        for _ in 0..200 {
            let mut client = client.clone().ready().await.unwrap();
            let request = Request::get("http://a/sleep/20").body(()).unwrap();
            let (response, _) = client.send_request(request, true).unwrap();
            tasks.push(tokio::spawn(async move { response.await.unwrap().status() }));
        }
        for task in tasks {
            assert_eq!(task.await.unwrap(), 200);
        }
    });
    proxy.expect_stat("http.test.downstream_rq_2xx", 200);
}

#[test]
fn a_reset_stream_ends_its_request() {
    let backend = Backend::start("b");
    let proxy = to(HttpProtocol::Http2, &backend).start();
    run(async {
        let mut client = connect(proxy.address).await;
        let request = Request::get("http://a/sleep/10000").body(()).unwrap();
        let (response, mut send) = client.send_request(request, true).unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        send.send_reset(h2::Reason::CANCEL);
        drop(response);
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    });
    assert!(proxy.logged("GET /sleep").contains(" 0 DC "));
}

#[test]
fn a_drain_says_goaway_and_lets_streams_finish() {
    let backend = Backend::start("b");
    let mut proxy = to(HttpProtocol::Http2, &backend).start();
    run(async {
        let mut client = connect(proxy.address).await;
        let request = Request::get("http://a/sleep/400").body(()).unwrap();
        let (response, _) = client.send_request(request, true).unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        proxy.begin_drain();
        assert_eq!(response.await.unwrap().status(), 200);
    });
    let begin = std::time::Instant::now();
    proxy.stop();
    assert!(begin.elapsed() < std::time::Duration::from_millis(1500), "{:?}", begin.elapsed());
}
