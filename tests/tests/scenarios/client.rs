//! Asks a proxy as a scenario says, and tells everything that came back.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use serde_json::Value;
use testkit::anyone::Anyone;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::certificates::{Authority, names, provider};
use crate::scenario::{Request, Scenario, Tls};

/// Longer than any scenario takes.
const PATIENCE: Duration = Duration::from_secs(8);

/// What became of one request.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// 0: there was no answer, as `error` says. For bytes it is 200 if something came back.
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: String,
    /// What the server said that it received.
    pub told: Value,
    /// `closed`, `refused` (no TLS), `late`.
    pub error: String,
    /// The names in the certificate that the proxy presented.
    pub presented: Vec<String>,
    pub took: Duration,
}

/// Where a captured connection comes from, and where it was going.
pub struct Captured {
    pub from: SocketAddrV4,
    pub to: SocketAddrV4,
}

pub async fn ask(
    scenario: &Scenario,
    listener: SocketAddr,
    captured: Option<Captured>,
    authority: &Authority,
    case: &str,
) -> Reply {
    let begin = Instant::now();
    let exchange = exchange(scenario, listener, captured, authority, case);
    let mut reply = match tokio::time::timeout(PATIENCE, exchange).await {
        Ok(reply) => reply,
        Err(_) => Reply { error: "late".into(), ..Reply::default() },
    };
    reply.took = begin.elapsed();
    reply
}

fn failed(error: &str) -> Reply {
    Reply { error: error.into(), ..Reply::default() }
}

async fn exchange(
    scenario: &Scenario,
    listener: SocketAddr,
    captured: Option<Captured>,
    authority: &Authority,
    case: &str,
) -> Reply {
    let Ok(mut stream) = TcpStream::connect(listener).await else { return failed("refused") };
    let _ = stream.set_nodelay(true);
    if let Some(captured) = captured
        && stream.write_all(&header(&captured)).await.is_err()
    {
        return failed("closed");
    }
    let Some(tls) = &scenario.tls else { return request(scenario, stream, case).await };
    let connector = TlsConnector::from(Arc::new(config(tls, authority)));
    let name = if tls.sni.is_empty() { "127.0.0.1" } else { tls.sni.as_str() };
    let name = ServerName::try_from(name.to_owned()).expect("a server name");
    let Ok(stream) = connector.connect(name, stream).await else { return failed("refused") };
    let presented = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let presented = presented.map(|certificate| names(certificate)).unwrap_or_default();
    Reply { presented, ..request(scenario, stream, case).await }
}

/// The PROXY protocol's second version (section 2.2).
fn header(captured: &Captured) -> Vec<u8> {
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    bytes.extend(captured.from.ip().octets());
    bytes.extend(captured.to.ip().octets());
    bytes.extend(captured.from.port().to_be_bytes());
    bytes.extend(captured.to.port().to_be_bytes());
    bytes
}

fn config(tls: &Tls, authority: &Authority) -> rustls::ClientConfig {
    let builder = rustls::ClientConfig::builder_with_provider(provider());
    let builder = builder.with_safe_default_protocol_versions().expect("versions");
    let builder = builder.dangerous().with_custom_certificate_verifier(Anyone::new());
    let mut config = match &tls.client {
        None => builder.with_no_client_auth(),
        Some(name) => {
            let pair = if tls.forged { authority.forge(&[name]) } else { authority.issue(&[name]) };
            builder.with_client_auth_cert(pair.certificates(), pair.private_key()).expect("a certificate")
        }
    };
    config.enable_sni = !tls.sni.is_empty();
    config.alpn_protocols = tls.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

async fn request<S>(scenario: &Scenario, stream: S, case: &str) -> Reply
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    match &scenario.request {
        Request::Bytes(text) => bytes(text, stream, case).await,
        Request::Http { .. } => match http(scenario, stream, case).await {
            Ok(reply) => reply,
            Err(_) => failed("closed"),
        },
    }
}

async fn bytes<S: AsyncRead + AsyncWrite + Unpin>(text: &str, stream: S, case: &str) -> Reply {
    let mut stream = BufReader::new(stream);
    if stream.write_all(format!("{text} case={case}\n").as_bytes()).await.is_err() {
        return failed("closed");
    }
    let mut line = String::new();
    match stream.read_line(&mut line).await {
        Ok(length) if length > 0 => {
            let told = serde_json::from_str(&line).unwrap_or_default();
            Reply { status: 200, body: line, told, ..Reply::default() }
        }
        _ => failed("closed"),
    }
}

async fn http<S>(scenario: &Scenario, stream: S, case: &str) -> anyhow::Result<Reply>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Request::Http { method, host, path, headers, body } = &scenario.request else { unreachable!() };
    let uri = if scenario.http2 { format!("http://{host}{path}") } else { path.clone() };
    let mut request = hyper::Request::builder().method(method.as_str()).uri(uri).header("x-case", case);
    if !scenario.http2 {
        request = request.header("host", host);
    }
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(Bytes::from(body.clone())))?;
    let io = TokioIo::new(stream);
    if scenario.http2 {
        let (mut send, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await?;
        tokio::spawn(connection);
        collect(send.send_request(request).await?).await
    } else {
        let (mut send, connection) = hyper::client::conn::http1::handshake(io).await?;
        tokio::spawn(connection.with_upgrades());
        collect(send.send_request(request).await?).await
    }
}

async fn collect(response: hyper::Response<Incoming>) -> anyhow::Result<Reply> {
    let (head, body) = response.into_parts();
    let mut headers = BTreeMap::new();
    let body = if head.status == 101 {
        Bytes::new()
    } else {
        let body = body.collect().await?;
        add(&mut headers, body.trailers().into_iter().flatten());
        body.to_bytes()
    };
    add(&mut headers, &head.headers);
    let body = String::from_utf8_lossy(&body).into_owned();
    let told = serde_json::from_str(&body).unwrap_or_default();
    Ok(Reply { status: head.status.as_u16(), headers, body, told, ..Reply::default() })
}

fn add<'h>(
    all: &mut BTreeMap<String, String>,
    headers: impl IntoIterator<Item = (&'h hyper::header::HeaderName, &'h hyper::header::HeaderValue)>,
) {
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        let joined = |before: &mut String| *before = format!("{before}, {value}");
        all.entry(name.to_string()).and_modify(joined).or_insert(value.clone());
    }
}

/// An address as the PROXY protocol's header has it.
pub fn v4(address: std::net::IpAddr, port: u16) -> SocketAddrV4 {
    match address {
        std::net::IpAddr::V4(ip) => SocketAddrV4::new(ip, port),
        std::net::IpAddr::V6(_) => SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port),
    }
}
