//! `echo`: says what it received. HTTP in both versions, WebSocket, gRPC, raw TCP.
//!
//! Query parameters change the answer: `status=503`, `delay=250ms`, `size=1000000`,
//! `close` (drop the connection without an answer).

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::context::Caller;
use super::server::{App, Body, full, json as reply, reply as text};

pub async fn handle(app: &App, request: Request<Incoming>) -> Response<Body> {
    if is_grpc(&request) {
        return grpc(request);
    }
    if let Some(key) = request.headers().get(SEC_WEBSOCKET_KEY).cloned() {
        return websocket(request, key.as_bytes());
    }
    let parameter = |name: &str| parameter(&request, name);
    if let Some(delay) = parameter("delay").and_then(|text| stdx::duration::parse(&text).ok()) {
        tokio::time::sleep(delay.min(Duration::from_secs(60))).await;
    }
    let status = parameter("status").and_then(|text| text.parse().ok()).unwrap_or(200);
    if let Some(size) = parameter("size").and_then(|text| text.parse::<usize>().ok()) {
        return text(status, "application/octet-stream", vec![b'x'; size.min(64 << 20)]);
    }
    describe(app, status, request).await
}

/// Everything that is known of the request, as JSON.
async fn describe(app: &App, status: u16, request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = match body.collect().await {
        Ok(body) => body,
        Err(error) => return reply(400, &json!({ "error": error.to_string() })),
    };
    let trailers: Vec<_> = body.trailers().map(pairs).unwrap_or_default();
    let bytes = body.to_bytes();
    let value = json!({
        "served_by": app.name(),
        "pod": app.host,
        "caller": Caller::of(&head.headers).identity,
        "version": format!("{:?}", head.version),
        "method": head.method.as_str(),
        "path": head.uri.path_and_query().map(|p| p.as_str()),
        "authority": head.uri.authority().map(|a| a.as_str()),
        "headers": pairs(&head.headers),
        "trailers": trailers,
        "body_bytes": bytes.len(),
        "body": String::from_utf8_lossy(&bytes[..bytes.len().min(4096)]),
    });
    reply(status, &value)
}

fn pairs(headers: &hyper::HeaderMap) -> Vec<(String, String)> {
    headers.iter().map(|(n, v)| (n.to_string(), String::from_utf8_lossy(v.as_bytes()).into_owned())).collect()
}

fn parameter(request: &Request<Incoming>, name: &str) -> Option<String> {
    let query = request.uri().query()?;
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(n, _)| *n == name)
        .map(|(_, v)| v.to_owned())
}

fn is_grpc(request: &Request<Incoming>) -> bool {
    let kind = request.headers().get("content-type").map(HeaderValue::as_bytes);
    kind.is_some_and(|kind| kind.starts_with(b"application/grpc"))
}

/// Sends every message back as it comes, then the status as trailers: unary and streaming.
fn grpc(request: Request<Incoming>) -> Response<Body> {
    let status = request.headers().get("x-grpc-status").cloned().unwrap_or(HeaderValue::from_static("0"));
    let messages = request.into_body().into_data_stream().map(|data| Ok(Frame::data(data?)));
    let trailers =
        hyper::HeaderMap::from_iter([(hyper::header::HeaderName::from_static("grpc-status"), status)]);
    let end = futures_util::stream::once(async move { Ok::<_, anyhow::Error>(Frame::trailers(trailers)) });
    let mut response = Response::new(StreamBody::new(messages.chain(end)).boxed_unsync());
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    response
}

/// RFC 6455: upgrades, then sends every text and binary message back.
fn websocket(mut request: Request<Incoming>, key: &[u8]) -> Response<Body> {
    let accept = derive_accept_key(key);
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let Ok(stream) = upgrade.await else { return };
        let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(stream), Role::Server, None).await;
        while let Some(Ok(message)) = socket.next().await {
            if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
                break;
            }
        }
    });
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = hyper::StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    if let Ok(accept) = HeaderValue::from_str(&accept) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}

/// Echoes raw bytes on a port of its own, with half-close.
pub async fn listen_tcp(port: u16) -> anyhow::Result<()> {
    let listener = TcpListener::bind(("0.0.0.0", port)).await?;
    println!("echo listens on TCP port {port}");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            println!("tcp connection");
            tokio::spawn(echo_bytes(stream));
        }
    });
    Ok(())
}

async fn echo_bytes(mut stream: TcpStream) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(n) if stream.write_all(&buffer[..n]).await.is_err() => break,
            Ok(_) => {}
        }
    }
    stream.shutdown().await.ok();
}
