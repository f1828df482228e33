//! One HTTP server for all services: HTTP/1.1 with keep-alive, and HTTP/2 with prior knowledge.

use std::convert::Infallible;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode, header};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::client::Client;
use super::context::Caller;
use super::{Service, bookinfo, echo, productpage};

/// Bodies of responses: whole texts, or streams with trailers.
pub type Body = UnsyncBoxBody<Bytes, anyhow::Error>;

/// What a handler needs besides the request.
pub struct App {
    pub service: Service,
    pub version: String,
    /// The pod's name, as the application sees it.
    pub host: String,
    pub client: Client,
}

impl App {
    pub fn new(service: Service, version: &str) -> Arc<Self> {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Arc::new(App { service, version: version.into(), host: host.trim().into(), client: Client::new() })
    }

    /// `reviews-v2`: how the page names who served a part.
    pub fn name(&self) -> String {
        format!("{:?}-{}", self.service, self.version).to_ascii_lowercase()
    }
}

/// Listens on all addresses of the pod, both families where there are both.
pub async fn serve(app: Arc<App>, port: u16) -> anyhow::Result<()> {
    let listener = match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
        Ok(listener) => listener,
        Err(_) => TcpListener::bind(("0.0.0.0", port)).await.with_context(|| format!("port {port}"))?,
    };
    println!("{} listens on port {port}", app.name());
    let (mut term, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let connections = hyper_util::server::graceful::GracefulShutdown::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    eprintln!("accept: {error}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            _ = term.recv() => break,
            _ = interrupt.recv() => break,
        };
        stream.set_nodelay(true).ok();
        let app = app.clone();
        let service = hyper::service::service_fn(move |request| answer(app.clone(), request));
        let builder = Builder::new(TokioExecutor::new());
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                eprintln!("connection: {error}");
            }
        });
    }
    drop(listener);
    tokio::time::timeout(Duration::from_secs(2), connections.shutdown()).await.ok();
    Ok(())
}

/// Answers one request, logs it, and says who served it and who asked.
async fn answer(app: Arc<App>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let caller = Caller::of(request.headers());
    let mut response = match app.service {
        Service::Productpage => productpage::handle(&app, request).await,
        Service::Details | Service::Reviews | Service::Ratings => bookinfo::handle(&app, request).await,
        Service::Echo => echo::handle(&app, request).await,
    };
    println!("{method} {path} {} from {}", response.status().as_u16(), caller.identity_or_unknown());
    let headers = response.headers_mut();
    for (name, value) in
        [("x-served-by", app.name()), ("x-caller-identity", caller.identity_or_unknown().into())]
    {
        if let Ok(value) = value.parse() {
            headers.insert(name, value);
        }
    }
    Ok(response)
}

/// A response with a whole body.
pub fn reply(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(full(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    response
}

/// A JSON response.
pub fn json(status: u16, value: &serde_json::Value) -> Response<Body> {
    reply(status, "application/json", value.to_string())
}

pub fn full(body: impl Into<Bytes>) -> Body {
    Full::new(body.into()).map_err(|never| match never {}).boxed_unsync()
}

pub fn not_found() -> Response<Body> {
    json(404, &serde_json::json!({ "error": "no such page" }))
}
