//! Servers behind the proxy.

use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};

/// An HTTP server of either version.
///
/// `/status/N` answers N, `/half` fails every second time, `/flaky/N` fails N times with 503 and then answers 200, `/sleep/MS`
/// answers late, `/grpc-status/N` has trailers only, `/headers` shows the request, `/echo` returns the body as it comes, with
/// trailers if it had some, `/big/N` sends N bytes, `/cut` announces more than it sends. `?after=MS`: later.
pub struct Backend {
    pub address: SocketAddr,
    pub requests: Arc<AtomicUsize>,
    pub connections: Arc<AtomicUsize>,
}

type Body = BoxBody<Bytes, hyper::Error>;

impl Backend {
    pub fn start(name: &'static str) -> Backend {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self::on(listener, name)
    }

    pub fn on(listener: TcpListener, name: &'static str) -> Backend {
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let connections = Arc::new(AtomicUsize::new(0));
        let (seen, opened) = (requests.clone(), connections.clone());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    stream.set_nodelay(true).unwrap();
                    opened.fetch_add(1, Ordering::SeqCst);
                    let seen = seen.clone();
                    tokio::spawn(async move {
                        let service = hyper::service::service_fn(move |request| {
                            let number = seen.fetch_add(1, Ordering::SeqCst);
                            answer(name, number, request)
                        });
                        let mut builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                        builder.http2().enable_connect_protocol();
                        let _ = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
                    });
                }
            });
        });
        Backend { address, requests, connections }
    }

    pub fn seen(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}

async fn answer(name: &str, number: usize, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path().to_owned();
    let argument: u64 = path.rsplit('/').next().and_then(|n| n.parse().ok()).unwrap_or(0);
    let after = request.uri().query().and_then(|query| query.strip_prefix("after=")?.parse().ok());
    if let Some(after) = after {
        tokio::time::sleep(Duration::from_millis(after)).await;
    }
    let mut response = Response::new(full(format!("{name}\n")));
    if path.starts_with("/status/") {
        *response.status_mut() = StatusCode::from_u16(argument as u16).unwrap();
    } else if path.starts_with("/flaky/") {
        let _ = request.collect().await;
        if (number as u64) < argument {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
    } else if path == "/half" {
        if number.is_multiple_of(2) {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
    } else if path.starts_with("/sleep/") {
        tokio::time::sleep(Duration::from_millis(argument)).await;
    } else if path.starts_with("/headers") {
        let mut text = format!("{} {} {:?}\n", request.method(), request.uri(), request.version());
        for (name, value) in request.headers() {
            text += &format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes()));
        }
        *response.body_mut() = full(text);
    } else if path.starts_with("/echo") {
        *response.body_mut() = echo(request.into_body());
    } else if path.starts_with("/big/") {
        *response.body_mut() = full(vec![b'x'; argument as usize]);
    } else if path.starts_with("/grpc-status/") {
        // Trailers-only: the status is in the head, and there is no body.
        *response.body_mut() = full("");
        response.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
        response.headers_mut().insert("grpc-status", argument.into());
    } else if path == "/websocket" {
        return Ok(upgrade(request));
    }
    response.headers_mut().insert("x-backend", name.parse().unwrap());
    Ok(response)
}

/// The request's frames, trailers too, as they come; trailers get one more field.
fn echo(body: Incoming) -> Body {
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    tokio::spawn(async move {
        let mut body = body;
        let mut trailers = HeaderMap::new();
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return };
            match frame.into_data() {
                Ok(data) => {
                    if sender.send(Ok(Frame::data(data))).await.is_err() {
                        return;
                    }
                }
                Err(frame) => trailers = frame.into_trailers().unwrap_or_default(),
            }
        }
        if !trailers.is_empty() {
            trailers.insert("grpc-status", "0".parse().unwrap());
            let _ = sender.send(Ok(Frame::trailers(trailers))).await;
        }
    });
    StreamBody::new(tokio_stream(receiver)).boxed()
}

fn tokio_stream(
    mut receiver: tokio::sync::mpsc::Receiver<Result<Frame<Bytes>, hyper::Error>>,
) -> impl futures_util::Stream<Item = Result<Frame<Bytes>, hyper::Error>> {
    futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx))
}

/// Switches to a protocol that repeats what it hears.
fn upgrade(request: Request<Incoming>) -> Response<Body> {
    let request_is_http2 = request.version() == hyper::Version::HTTP_2;
    tokio::spawn(async move {
        let Ok(upgraded) = hyper::upgrade::on(request).await else { return };
        let (mut reader, mut writer) = tokio::io::split(TokioIo::new(upgraded));
        let _ = tokio::io::copy(&mut reader, &mut writer).await;
    });
    let mut response = Response::new(full(""));
    if request_is_http2 {
        // RFC 8441: the stream is there already.
        return response;
    }
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert("connection", "upgrade".parse().unwrap());
    response.headers_mut().insert("upgrade", "websocket".parse().unwrap());
    response
}

/// A TCP server that answers each connection with `serve`.
pub fn tcp(serve: impl Fn(std::net::TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            std::thread::spawn(move || serve(stream));
        }
    });
    address
}

/// Repeats until its client ends, then says goodbye: shows half-closed connections.
pub fn tcp_echo() -> SocketAddr {
    tcp(|mut stream| {
        let mut buffer = [0; 4096];
        while let Ok(read) = stream.read(&mut buffer) {
            if read == 0 {
                break;
            }
            stream.write_all(&buffer[..read]).unwrap();
        }
        let _ = stream.write_all(b"bye");
    })
}
