//! Endpoints: servers that tell who they are and what they received. What comes is looked at, not
//! agreed on: the PROXY protocol, TLS, HTTP/1, HTTP/2, or bytes.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::server::Acceptor;
use serde_json::{Value, json};
use testkit::anyone::Anyone;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::LazyConfigAcceptor;

use crate::certificates::{Pair, names, provider};
use crate::echo_actions::Actions;

/// A server: who it is, where, and its certificate.
pub struct Server {
    pub name: String,
    pub addresses: Vec<SocketAddr>,
    pub pair: Pair,
}

/// How many requests each server saw of a case.
#[derive(Default)]
pub struct Seen(Mutex<HashMap<String, BTreeMap<String, u32>>>);

impl Seen {
    /// Counts a request of this case, and says how many it has had anywhere.
    fn count(&self, case: &str, server: &str) -> u32 {
        let mut all = self.0.lock().expect("no panic");
        let of_case = all.entry(case.to_owned()).or_default();
        *of_case.entry(server.to_owned()).or_default() += 1;
        of_case.values().sum()
    }

    /// Of one server, or of all (`*`).
    pub fn of(&self, case: &str, server: &str) -> u32 {
        let all = self.0.lock().expect("no panic");
        let Some(of_case) = all.get(case) else { return 0 };
        match server {
            "*" => of_case.values().sum(),
            name => of_case.get(name).copied().unwrap_or(0),
        }
    }
}

/// Starts a server on the runtime. It ends with it.
pub async fn start(server: Server, seen: Arc<Seen>) {
    let server = Arc::new(server);
    for address in &server.addresses {
        let listener = TcpListener::bind(address).await;
        let listener = listener.unwrap_or_else(|error| panic!("{} at {address}: {error}", server.name));
        let (server, seen) = (server.clone(), seen.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (server, seen) = (server.clone(), seen.clone());
                tokio::spawn(async move {
                    let _ = serve(&server, &seen, stream).await;
                });
            }
        });
    }
}

async fn serve(server: &Arc<Server>, seen: &Arc<Seen>, stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut about = json!({"pod": server.name, "port": stream.local_addr()?.port(), "peer": stream.peer_addr()?.ip().to_string()});
    let mut io = Peeked::new(stream);
    if let Some(client) = io.take_proxy_header().await? {
        about["proxy"] = Value::String(client);
    }
    if io.first().await? != Some(0x16) {
        return plain(server, seen, about, io).await;
    }
    let start = LazyConfigAcceptor::new(Acceptor::default(), io).await?;
    let hello = start.client_hello();
    let sni = hello.server_name().unwrap_or("").to_owned();
    let offered: Vec<Vec<u8>> = hello.alpn().into_iter().flatten().map(<[u8]>::to_vec).collect();
    let tls = start.into_stream(server_config(server, offered)).await?;
    let (_, session) = tls.get_ref();
    let client = session.peer_certificates().and_then(|chain| chain.first());
    about["tls"] = json!({
        "sni": sni,
        "alpn": session.alpn_protocol().map(String::from_utf8_lossy),
        "client": client.map(|certificate| names(certificate)).unwrap_or_default().join(","),
    });
    plain(server, seen, about, Peeked::new(tls)).await
}

/// Takes any client certificate, and what the client likes best.
fn server_config(server: &Server, offered: Vec<Vec<u8>>) -> Arc<rustls::ServerConfig> {
    let builder = rustls::ServerConfig::builder_with_provider(provider());
    let builder = builder.with_safe_default_protocol_versions().expect("versions");
    let mut config = builder
        .with_client_cert_verifier(Anyone::new())
        .with_single_cert(server.pair.certificates(), server.pair.private_key())
        .expect("a certificate");
    config.alpn_protocols = offered.into_iter().take(1).collect();
    Arc::new(config)
}

async fn plain<S>(server: &Arc<Server>, seen: &Arc<Seen>, about: Value, mut io: Peeked<S>) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    if !io.speaks_http().await? {
        return bytes(server, seen, about, io).await;
    }
    if let Some(target) = io.take_connect().await? {
        let mut about = about;
        about["tunnel"] = target.into();
        io.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
        return bytes(server, seen, about, io).await;
    }
    let service = hyper::service::service_fn(|request| {
        let (server, seen, about) = (server.clone(), seen.clone(), about.clone());
        async move { answer(&server, &seen, about, request).await }
    });
    let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
    let _ = builder.serve_connection_with_upgrades(TokioIo::new(io), service).await;
    Ok(())
}

/// Tells what came first, as a line; then gives back what comes.
async fn bytes<S>(server: &Server, seen: &Seen, mut about: Value, mut io: Peeked<S>) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut room = [0; 4096];
    let length = io.read(&mut room).await?;
    let text = String::from_utf8_lossy(&room[..length]).trim().to_owned();
    if let Some((_, case)) = text.split_once("case=") {
        seen.count(case, &server.name);
    }
    about["body"] = Value::String(text);
    io.write_all(format!("{about}\n").as_bytes()).await?;
    loop {
        let length = io.read(&mut room).await?;
        if length == 0 {
            return io.shutdown().await;
        }
        io.write_all(&room[..length]).await?;
    }
}

async fn answer(
    server: &Server,
    seen: &Seen,
    mut about: Value,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, String> {
    let (head, body) = request.into_parts();
    let mut headers = BTreeMap::new();
    for (name, value) in &head.headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        headers.entry(name.to_string()).and_modify(|all| *all = format!("{all}, {value}")).or_insert(value);
    }
    let header = |name: &str| headers.get(name).map_or("", String::as_str);
    let count = seen.count(header("x-case"), &server.name);
    let actions = Actions::parse(header("x-do"), &server.name, count);
    let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
    about["method"] = head.method.as_str().into();
    about["path"] = head.uri.path_and_query().map_or("", |path| path.as_str()).into();
    let authority = head.uri.authority().map_or_else(|| header("host"), |authority| authority.as_str());
    about["authority"] = authority.into();
    about["protocol"] = format!("{:?}", head.version).into();
    about["body"] = String::from_utf8_lossy(&body).into();
    about["headers"] = json!(headers);
    tokio::time::sleep(Duration::from_millis(actions.sleep)).await;
    if actions.reset {
        return Err("asked for".into());
    }
    Ok(actions.response(about))
}

/// A stream whose first bytes were looked at.
struct Peeked<S> {
    unread: Vec<u8>,
    io: S,
}

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

impl<S: AsyncRead + Unpin> Peeked<S> {
    fn new(io: S) -> Self {
        Peeked { unread: Vec::new(), io }
    }

    /// Reads until there are so many bytes, or the end.
    async fn at_least(&mut self, count: usize) -> io::Result<bool> {
        while self.unread.len() < count {
            let mut room = [0; 2048];
            let length = self.io.read(&mut room).await?;
            if length == 0 {
                return Ok(false);
            }
            self.unread.extend_from_slice(&room[..length]);
        }
        Ok(true)
    }

    async fn first(&mut self) -> io::Result<Option<u8>> {
        self.at_least(1).await?;
        Ok(self.unread.first().copied())
    }

    /// The client that the PROXY protocol names, if there is such a header.
    async fn take_proxy_header(&mut self) -> io::Result<Option<String>> {
        match self.first().await? {
            Some(b'P') if self.at_least(6).await? && self.unread.starts_with(b"PROXY ") => {
                let mut end = 6;
                while !self.unread[..end].ends_with(b"\r\n") {
                    end += 1;
                    self.at_least(end).await?;
                }
                let line = String::from_utf8_lossy(&self.unread[..end]).into_owned();
                self.unread.drain(..end);
                Ok(Some(format!("v1 {}", line.split(' ').nth(2).unwrap_or(""))))
            }
            Some(b'\r') if self.at_least(16).await? && self.unread.starts_with(SIGNATURE) => {
                let length = 16 + usize::from(u16::from_be_bytes([self.unread[14], self.unread[15]]));
                self.at_least(length).await?;
                let from = self
                    .unread
                    .get(16..20)
                    .map_or_else(String::new, |b| format!("{}.{}.{}.{}", b[0], b[1], b[2], b[3]));
                self.unread.drain(..length);
                Ok(Some(format!("v2 {from}")))
            }
            _ => Ok(None),
        }
    }

    /// The target of a CONNECT, as proxies take it.
    async fn take_connect(&mut self) -> io::Result<Option<String>> {
        if !self.unread.starts_with(b"CONNECT ") {
            return Ok(None);
        }
        let mut end = 8;
        while !self.unread[..end].ends_with(b"\r\n\r\n") {
            end += 1;
            if !self.at_least(end).await? {
                return Ok(None);
            }
        }
        let head = String::from_utf8_lossy(&self.unread[..end]).into_owned();
        self.unread.drain(..end);
        Ok(head.split(' ').nth(1).map(str::to_owned))
    }

    /// A method in capitals and a space, as no bytes of these tests begin.
    async fn speaks_http(&mut self) -> io::Result<bool> {
        for count in 1..9 {
            if !self.at_least(count).await? {
                return Ok(false);
            }
            match self.unread[count - 1] {
                b' ' => return Ok(count > 3),
                b if b.is_ascii_uppercase() => {}
                _ => return Ok(false),
            }
        }
        Ok(false)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Peeked<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.unread.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, room);
        }
        let length = self.unread.len().min(room.remaining());
        room.put_slice(&self.unread[..length]);
        self.unread.drain(..length);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Peeked<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
