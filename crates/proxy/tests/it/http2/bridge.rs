//! Between the versions of HTTP: upgrades, trailers-only responses, paths.

use bytes::Bytes;
use h2::ext::Protocol;
use http::Request;
use ir::http::{EscapedSlashes, Http2Options};
use ir::{HttpProtocol, Route, RouteAction};

use super::{connect, run, to, whole};
use crate::support::backend::Backend;
use crate::support::client::Client;
use crate::support::{Running, Setup, route};

fn websockets(protocol: HttpProtocol, backend: &Backend) -> Running {
    let mut setup = to(protocol, backend);
    let http2 = Http2Options { allow_connect: true, ..Http2Options::default() };
    (setup.hcm.http2, setup.clusters[0].http2) = (http2, http2);
    setup.hcm.upgrades = vec!["websocket".into()];
    setup.start()
}

#[test]
fn a_websocket_of_an_http2_client_reaches_either_version() {
    for protocol in [HttpProtocol::Http1, HttpProtocol::Http2] {
        let backend = Backend::start("b");
        let proxy = websockets(protocol, &backend);
        run(async {
            let mut client = connect(proxy.address).await;
            // The settings have to be here first.
            let (first, _) = client.send_request(Request::get("http://a/").body(()).unwrap(), true).unwrap();
            first.await.unwrap();
            let ask = |name: &'static str| {
                let mut request = Request::connect("http://a/websocket").body(()).unwrap();
                request.extensions_mut().insert(Protocol::from_static(name));
                request
            };
            let (response, mut send) = client.send_request(ask("websocket"), false).unwrap();
            let response = response.await.unwrap();
            assert_eq!(response.status(), 200, "{protocol:?}");
            assert!(response.headers().get("upgrade").is_none(), "{:?}", response.headers());
            let mut body = response.into_body();
            for piece in ["hello", "again"] {
                send.send_data(Bytes::from(piece), false).unwrap();
                let back = body.data().await.unwrap().unwrap();
                body.flow_control().release_capacity(back.len()).unwrap();
                assert_eq!(back, piece);
            }
            send.send_data(Bytes::new(), true).unwrap();
            assert!(whole(&mut body).await.is_empty());
            // What is not allowed is refused, and the connection goes on.
            let (refused, _) = client.send_request(ask("other"), false).unwrap();
            assert_eq!(refused.await.unwrap().status(), 403);
        });
        assert!(proxy.logged("GET /websocket HTTP/2 101").contains("rx=10 tx=10"), "{}", proxy.log_text());
    }
}

#[test]
fn a_websocket_of_an_http1_client_crosses_http2() {
    let backend = Backend::start("b");
    let proxy = websockets(HttpProtocol::Http2, &backend);
    let mut client = Client::connect(proxy.address);
    client.send(
        "GET /websocket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    );
    let reply = client.read_head().unwrap();
    assert_eq!((reply.status, reply.header("upgrade")), (101, Some("websocket")), "{reply:?}");
    assert_eq!(reply.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    for piece in ["hello", "again"] {
        client.send(piece);
        assert_eq!(client.read_exact(5), piece.as_bytes());
    }
    client.stream().shutdown(std::net::Shutdown::Write).unwrap();
    assert!(client.is_closed());
    proxy.logged("GET /websocket HTTP/1.1 101");
}

#[test]
fn upgrades_need_leave_on_both_sides() {
    let backend = Backend::start("b");
    let mut setup = to(HttpProtocol::Http2, &backend);
    setup.hcm.upgrades = vec!["websocket".into()];
    let proxy = setup.start();
    let mut client = Client::connect(proxy.address);
    client.send("GET /websocket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(client.read().unwrap().status, 502);
    assert_eq!(backend.seen(), 0);
}

#[test]
fn responses_of_trailers_only_stay_so() {
    for protocol in [HttpProtocol::Http1, HttpProtocol::Http2] {
        let backend = Backend::start("b");
        let proxy = to(protocol, &backend).start();
        run(async {
            let mut client = connect(proxy.address).await;
            let request = Request::post("http://a/grpc-status/5")
                .header("content-type", "application/grpc")
                .body(())
                .unwrap();
            let (response, _) = client.send_request(request, true).unwrap();
            let response = response.await.unwrap();
            assert_eq!(
                (response.status().as_u16(), &response.headers()["grpc-status"]),
                (200, &"5".parse().unwrap())
            );
            assert!(protocol == HttpProtocol::Http1 || response.body().is_end_stream());
        });
    }
}

/// What is decided by a path is decided by the normalised one, in both versions of HTTP.
#[test]
fn paths_are_normalised_before_routes_and_policies() {
    let backend = Backend::start("b");
    let admin = |action| Route { ..route("/admin", RouteAction::Direct(action)) };
    let proxy = |escaped_slashes| {
        let mut setup = Setup::new().cluster("b", &[backend.address]);
        setup.routes.push(admin(ir::route::DirectResponse { status: 418, body: "".into(), format: None }));
        let mut setup = setup.route("/", "b");
        (setup.hcm.normalize_path, setup.hcm.merge_slashes) = (true, true);
        setup.hcm.escaped_slashes = escaped_slashes;
        setup.start()
    };
    let forward = proxy(EscapedSlashes::UnescapeAndForward);
    for path in ["/x/../admin", "/x/%2e%2e/admin", "//admin", "/x%2F..%2Fadmin", "/x/..%5cadmin"] {
        assert_eq!(Client::connect(forward.address).get(path).status, 418, "{path}");
        run(async {
            let mut client = connect(forward.address).await;
            let request = Request::get(format!("http://a{path}")).body(()).unwrap();
            let (response, _) = client.send_request(request, true).unwrap();
            assert_eq!(response.await.unwrap().status(), 418, "{path}");
        });
    }
    let redirect = proxy(EscapedSlashes::UnescapeAndRedirect);
    let reply = Client::connect(redirect.address).get("/x%2Fy?q=%2F");
    assert_eq!((reply.status, reply.header("location")), (307, Some("/x/y?q=%2F")));
    let mut client = Client::connect(redirect.address);
    client.send("GET /x%2Fy HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\n\r\n");
    assert_eq!(client.read().unwrap().header("grpc-status"), Some("13"));
    let reject = proxy(EscapedSlashes::RejectRequest);
    assert_eq!(Client::connect(reject.address).get("/x%2Fy").status, 400);
    reject.expect_stat("http.test.downstream_rq_failed_path_normalization", 1);
    assert_eq!(backend.seen(), 0);
}
