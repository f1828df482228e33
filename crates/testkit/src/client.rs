//! Small clients that show everything: one connection, one request at a time, no hidden retry.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::{HeaderMap, Request, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;

/// A response with its whole body.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub trailers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// What to ask for.
#[derive(Clone, Debug)]
pub struct Ask {
    pub method: &'static str,
    pub path: String,
    pub host: String,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    pub timeout: Duration,
}

impl Ask {
    pub fn get(host: &str, path: &str) -> Self {
        Ask {
            method: "GET",
            path: path.into(),
            host: host.into(),
            headers: Vec::new(),
            body: Bytes::new(),
            timeout: Duration::from_secs(15),
        }
    }

    pub fn method(mut self, method: &'static str) -> Self {
        self.method = method;
        self
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    fn request(&self, uri: Uri) -> anyhow::Result<Request<Full<Bytes>>> {
        let mut request = Request::builder().method(self.method).uri(uri);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        Ok(request.body(Full::new(self.body.clone()))?)
    }
}

/// Runs a future on a runtime of its own, on this thread: sockets belong to its namespace.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(future)
}

/// One HTTP/1.1 request on a connection of its own.
pub async fn http1(to: SocketAddr, ask: &Ask) -> anyhow::Result<Reply> {
    tokio::time::timeout(ask.timeout, async {
        let stream = TcpStream::connect(to).await.with_context(|| format!("connecting to {to}"))?;
        let (mut send, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(connection);
        let mut request = ask.request(ask.path.parse()?)?;
        request.headers_mut().insert("host", ask.host.parse()?);
        let reply = collect(send.send_request(request).await?).await;
        driver.abort();
        reply
    })
    .await
    .context("no answer in time")?
}

/// One HTTP/2 request with prior knowledge, on a connection of its own.
pub async fn http2(to: SocketAddr, ask: &Ask) -> anyhow::Result<Reply> {
    tokio::time::timeout(ask.timeout, async {
        let stream = TcpStream::connect(to).await?;
        let (mut send, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        let driver = tokio::spawn(connection);
        let request = ask.request(format!("http://{}{}", ask.host, ask.path).parse()?)?;
        let reply = collect(send.send_request(request).await?).await;
        driver.abort();
        reply
    })
    .await
    .context("no answer in time")?
}

/// A gRPC call that sends these messages and collects what comes back: bodies and trailers.
pub async fn grpc(to: SocketAddr, ask: &Ask, messages: Vec<Bytes>) -> anyhow::Result<Reply> {
    tokio::time::timeout(ask.timeout, async {
        let stream = TcpStream::connect(to).await?;
        let (mut send, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        let driver = tokio::spawn(connection);
        let frames = messages.into_iter().map(|message| {
            let mut framed = vec![0];
            framed.extend((message.len() as u32).to_be_bytes());
            framed.extend(message);
            Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from(framed)))
        });
        let (parts, _) = ask.request(format!("http://{}{}", ask.host, ask.path).parse()?)?.into_parts();
        let mut request = Request::from_parts(parts, StreamBody::new(futures_util::stream::iter(frames)));
        *request.method_mut() = hyper::Method::POST;
        request.headers_mut().insert("content-type", "application/grpc".parse()?);
        request.headers_mut().insert("te", "trailers".parse()?);
        let reply = collect(send.send_request(request).await?).await;
        driver.abort();
        reply
    })
    .await
    .context("no answer in time")?
}

async fn collect(response: hyper::Response<hyper::body::Incoming>) -> anyhow::Result<Reply> {
    let (head, body) = response.into_parts();
    let body = body.collect().await?;
    let trailers = body.trailers().cloned().unwrap_or_default();
    Ok(Reply { status: head.status.as_u16(), headers: head.headers, trailers, body: body.to_bytes() })
}

/// An open WebSocket that can be asked whether it still is.
pub struct Socket(WebSocketStream<TcpStream>);

impl Socket {
    /// Opens a WebSocket at `ws://HOST PATH` over a connection to `to`.
    pub async fn open(to: SocketAddr, host: &str, path: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(to).await?;
        let (socket, _) = tokio_tungstenite::client_async(format!("ws://{host}{path}"), stream).await?;
        Ok(Socket(socket))
    }

    /// Sends a text and waits for it to come back.
    pub async fn echo(&mut self, text: &str) -> anyhow::Result<()> {
        self.0.send(text.into()).await?;
        let answer = tokio::time::timeout(Duration::from_secs(10), self.0.next()).await?;
        let answer = answer.context("the socket was closed")??;
        anyhow::ensure!(answer.to_text()? == text, "{answer:?} came back for {text:?}");
        Ok(())
    }
}
