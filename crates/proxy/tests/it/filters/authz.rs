//! Asking somebody else.

use std::convert::Infallible;
use std::net::TcpListener;

use bytes::Bytes;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use ir::ext_authz::{AuthzBody, AuthzService, GrpcAuthz, HttpAuthz};
use ir::{ExtAuthz, HttpProtocol};

use super::*;
use crate::support::{cluster, free_port};

fn filter(service: AuthzService) -> ExtAuthz {
    ExtAuthz {
        service,
        failure_mode_allow: false,
        failure_mode_allow_header_add: false,
        with_request_body: None,
        status_on_error: 403,
        enabled: Fraction::ALL,
        include_peer_certificate: false,
        allowed_headers: Vec::new(),
        disallowed_headers: Vec::new(),
        stat_prefix: "".into(),
    }
}

fn over_http() -> AuthzService {
    AuthzService::Http(HttpAuthz {
        uri: "http://auth/".into(),
        cluster: "auth".into(),
        timeout: Duration::from_millis(300),
        path_prefix: "/check".into(),
        path_override: None,
        headers_to_add: Vec::new(),
        allowed_upstream_headers: vec![StringMatcher::exact("x-user")],
        allowed_upstream_headers_to_append: Vec::new(),
        allowed_client_headers: Vec::new(),
        allowed_client_headers_on_success: vec![StringMatcher::exact("x-seen")],
        metadata_from_headers: Vec::new(),
    })
}

#[test]
fn a_service_over_http_decides() {
    let auth = server(|head| match head.lines().next().unwrap_or("") {
        "get /check/headers http/1.1" => response(200, "x-user: alice\r\nx-seen: yes\r\n", ""),
        "get /check/broken http/1.1" => response(500, "", ""),
        _ => response(401, "www-authenticate: Basic\r\n", &format!("no: {}", head.contains("x-secret"))),
    });
    let backend = Backend::start("b");
    let it = HttpFilter::ExtAuthz(Box::new(filter(over_http())));
    let proxy = with(vec![it], Setup::new().cluster("auth", &[auth]), &backend);
    let good = get(proxy.address, "/headers", "x-user: mallory\r\n");
    assert_eq!((good.status, good.header("x-seen")), (200, Some("yes")));
    assert!(good.text().contains("x-user: alice") && !good.text().contains("mallory"), "{}", good.text());
    let denied = get(proxy.address, "/status/200", "x-secret: 1\r\n");
    assert_eq!((denied.status, denied.header("www-authenticate")), (401, Some("Basic")));
    assert_eq!(denied.text(), "no: false");
    assert!(proxy.logged("GET /status").contains("401 UAEX ext_authz_denied"));
    assert_eq!(get(proxy.address, "/broken", "").status, 403);
    assert!(proxy.logged("GET /broken").contains("403 UAEX ext_authz_error"));
    assert_eq!(backend.seen(), 1);
    proxy.expect_stat("http.test.ext_authz.ok", 1);
    proxy.expect_stat("http.test.ext_authz.denied", 1);
    proxy.expect_stat("http.test.ext_authz.error", 1);
    proxy.expect_stat("cluster.b.ext_authz.denied", 1);
}

#[test]
fn nobody_to_ask() {
    let backend = Backend::start("b");
    let open =
        ExtAuthz { failure_mode_allow: true, failure_mode_allow_header_add: true, ..filter(over_http()) };
    let proxy = with(
        vec![HttpFilter::ExtAuthz(Box::new(open))],
        Setup::new().cluster("auth", &[free_port()]),
        &backend,
    );
    let reply = get(proxy.address, "/headers", "");
    assert!(reply.text().contains("x-envoy-auth-failure-mode-allowed: true"), "{}", reply.text());
    proxy.expect_stat("http.test.ext_authz.failure_mode_allowed", 1);
    let closed = ExtAuthz { status_on_error: 500, ..filter(over_http()) };
    let proxy = with(vec![HttpFilter::ExtAuthz(Box::new(closed))], Setup::new(), &backend);
    assert_eq!((get(proxy.address, "/headers", "").status, backend.seen()), (500, 1));
}

/// An authorization service: allows `/headers`, denies all else with 418 and what it saw of the body.
fn grpc() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let service =
                    hyper::service::service_fn(|request| async { Ok::<_, Infallible>(check(request).await) });
                let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                tokio::spawn(builder.serve_connection(TokioIo::new(stream), service));
            }
        });
    });
    address
}

type Answer = hyper::Response<
    StreamBody<futures_util::stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>>,
>;

async fn check(request: hyper::Request<hyper::body::Incoming>) -> Answer {
    assert_eq!(request.uri().path(), "/envoy.service.auth.v3.Authorization/Check");
    let question = request.into_body().collect().await.unwrap().to_bytes();
    let has = |text: &[u8]| question.windows(text.len()).any(|it| it == text);
    let field = |tag: u8, bytes: &[u8]| [&[tag << 3 | 2, bytes.len() as u8], bytes].concat();
    let header = |name: &[u8], value: &[u8]| field(1, &[field(1, name), field(2, value)].concat());
    let message = if has(b"/headers") {
        // ok_response: headers, response_headers_to_add.
        let ok = [field(2, &header(b"x-user", b"alice")), field(6, &header(b"x-seen", b"yes"))].concat();
        field(3, &ok)
    } else {
        // status: PERMISSION_DENIED; denied_response: status 418 (varint), headers, body.
        let body: &[u8] = if has(b"hello") { b"saw the body" } else { b"no body" };
        let denied = [field(1, &[8, 0xa2, 3]), field(2, &header(b"x-why", b"tea")), field(3, body)].concat();
        [field(1, &[8, 7]), field(2, &denied)].concat()
    };
    let mut framed = vec![0, 0, 0, 0, message.len() as u8];
    framed.extend_from_slice(&message);
    let mut trailers = hyper::HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    let frames = vec![Ok(Frame::data(Bytes::from(framed))), Ok(Frame::trailers(trailers))];
    let mut response = hyper::Response::new(StreamBody::new(futures_util::stream::iter(frames)));
    response.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    response
}

#[test]
fn a_service_over_grpc_decides() {
    let backend = Backend::start("b");
    let (authority, timeout) = (None, Some(Duration::from_secs(2)));
    let service =
        AuthzService::Grpc(GrpcAuthz { cluster: "auth".into(), authority, timeout, metadata: Vec::new() });
    let body = AuthzBody { max_bytes: 5, allow_partial: true, pack_as_bytes: false };
    let it = ExtAuthz { with_request_body: Some(body), ..filter(service) };
    let mut setup = Setup::new();
    setup.clusters.push(ir::Cluster { protocol: HttpProtocol::Http2, ..cluster("auth", &[grpc()]) });
    let proxy = with(vec![HttpFilter::ExtAuthz(Box::new(it))], setup, &backend);
    let good = get(proxy.address, "/headers", "");
    assert_eq!((good.status, good.header("x-seen")), (200, Some("yes")));
    assert!(good.text().contains("x-user: alice"), "{}", good.text());
    let denied = Client::connect(proxy.address).post("/echo", b"hello world");
    assert_eq!((denied.status, denied.header("x-why")), (418, Some("tea")));
    assert_eq!(denied.text(), "saw the body");
    assert!(proxy.logged("POST /echo").contains("418 UAEX ext_authz_denied"));
    // A body of which a part was shown goes on whole.
    let long = vec![b'x'; 300_000];
    assert_eq!(Client::connect(proxy.address).post("/echo/headers", &long).body, long);
}
