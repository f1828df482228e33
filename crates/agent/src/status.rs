//! Health and statistics over HTTP: 15020 for operators, 15021 for kubelets, 15090 for scrapers of
//! the proxy alone.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::{ConnectInfo, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hyper::Method;
use identity::{SecretStore, WORKLOAD_CERTIFICATE};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::config::Ports;
use crate::dns::NameTableHandle;
use crate::http_get::request;
use crate::metrics::Metrics;

/// What the pages are made from.
pub(crate) struct Status {
    pub ports: Ports,
    pub secrets: SecretStore,
    pub metrics: Arc<Metrics>,
    pub tables: Option<NameTableHandle>,
    /// The proxy runs. Cleared while it is restarted.
    pub proxy_running: AtomicBool,
    /// It said once since its start that it is ready.
    proxy_was_ready: AtomicBool,
    /// Someone wants an end, at once (`true`) or with a drain.
    pub quit: Notify,
    pub drain: Notify,
}

impl Status {
    pub(crate) fn new(
        ports: Ports,
        secrets: SecretStore,
        metrics: Arc<Metrics>,
        tables: Option<NameTableHandle>,
    ) -> Arc<Self> {
        Arc::new(Status {
            ports,
            secrets,
            metrics,
            tables,
            proxy_running: AtomicBool::new(false),
            proxy_was_ready: AtomicBool::new(false),
            quit: Notify::new(),
            drain: Notify::new(),
        })
    }

    pub(crate) fn set_running(&self, running: bool) {
        self.proxy_was_ready.store(false, Ordering::Release);
        self.proxy_running.store(running, Ordering::Release);
    }

    /// Why traffic should not come yet. Once the proxy was ready it stays so until it ends: a
    /// moment of overload must not take the workload out.
    async fn not_ready(&self) -> Option<String> {
        if self.secrets.certificate(WORKLOAD_CERTIFICATE).is_none() {
            return Some("no workload certificate yet".to_owned());
        }
        if !self.proxy_running.load(Ordering::Acquire) {
            return Some("the proxy is not running".to_owned());
        }
        if self.proxy_was_ready.load(Ordering::Acquire) {
            return None;
        }
        match request(Method::GET, self.ports.admin, "/ready").await {
            Ok((200, _)) => {
                self.proxy_was_ready.store(true, Ordering::Release);
                None
            }
            Ok((status, body)) => {
                Some(format!("the proxy says {status} {}", String::from_utf8_lossy(&body).trim()))
            }
            Err(error) => Some(error),
        }
    }
}

/// A port and the pages on it.
pub(crate) struct Page {
    listener: TcpListener,
    router: Router,
}

impl Page {
    /// 15020.
    pub(crate) async fn status(status: &Arc<Status>) -> std::io::Result<Self> {
        let router = Router::new()
            .route("/healthz/ready", get(ready))
            .route("/stats/prometheus", get(merged))
            .route("/metrics", get(agent_only))
            .route("/quitquitquit", post(quit))
            .route("/drain", post(drain));
        Self::open(status.ports.status, router.with_state(status.clone())).await
    }

    /// 15021.
    pub(crate) async fn health(status: &Arc<Status>) -> std::io::Result<Self> {
        let router = Router::new().route("/healthz/ready", get(ready));
        Self::open(status.ports.health, router.with_state(status.clone())).await
    }

    /// 15090.
    pub(crate) async fn prometheus(status: &Arc<Status>) -> std::io::Result<Self> {
        let router = Router::new().route("/stats/prometheus", get(proxy_only));
        Self::open(status.ports.prometheus, router.with_state(status.clone())).await
    }

    async fn open(port: u16, router: Router) -> std::io::Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|error| {
            std::io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
        })?;
        Ok(Page { listener, router })
    }

    pub(crate) async fn serve(self) -> Result<(), String> {
        let service = self.router.into_make_service_with_connect_info::<SocketAddr>();
        axum::serve(self.listener, service).await.map_err(|error| error.to_string())
    }
}

async fn ready(State(status): State<Arc<Status>>) -> Response {
    match status.not_ready().await {
        None => (StatusCode::OK, "").into_response(),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, why + "\n").into_response(),
    }
}

/// The agent's own numbers, then the proxy's. A proxy that cannot be scraped never fails the page.
async fn merged(State(status): State<Arc<Status>>) -> Response {
    Metrics::add(&status.metrics.scrapes);
    let scraped = scrape(&status).await;
    if scraped.is_none() {
        Metrics::add(&status.metrics.scrape_failures);
    }
    let mut page = status.exposition().into_bytes();
    page.extend(scraped.unwrap_or_default());
    prometheus(page)
}

async fn agent_only(State(status): State<Arc<Status>>) -> Response {
    prometheus(status.exposition().into_bytes())
}

async fn proxy_only(State(status): State<Arc<Status>>) -> Response {
    match scrape(&status).await {
        Some(page) => prometheus(page),
        None => (StatusCode::SERVICE_UNAVAILABLE, "the proxy cannot be scraped\n").into_response(),
    }
}

async fn scrape(status: &Status) -> Option<Vec<u8>> {
    let (code, body) = request(Method::GET, status.ports.admin, "/stats/prometheus").await.ok()?;
    (code == 200).then(|| body.to_vec())
}

/// Only from this pod: anyone else could end the workload.
async fn quit(from: ConnectInfo<SocketAddr>, State(status): State<Arc<Status>>) -> Response {
    end(from, &status.quit)
}

async fn drain(from: ConnectInfo<SocketAddr>, State(status): State<Arc<Status>>) -> Response {
    end(from, &status.drain)
}

fn end(ConnectInfo(from): ConnectInfo<SocketAddr>, how: &Notify) -> Response {
    if !from.ip().is_loopback() {
        return (StatusCode::FORBIDDEN, "only from inside the pod\n").into_response();
    }
    how.notify_one();
    (StatusCode::OK, "ok\n").into_response()
}

impl Status {
    fn exposition(&self) -> String {
        if let Some(tables) = &self.tables {
            let counters = tables.counters();
            let copy = |from: &std::sync::atomic::AtomicU64, to: &std::sync::atomic::AtomicU64| {
                to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
            };
            copy(&counters.requests, &self.metrics.dns_requests);
            copy(&counters.upstream_requests, &self.metrics.dns_upstream_requests);
            copy(&counters.upstream_failures, &self.metrics.dns_upstream_failures);
        }
        self.metrics.exposition(&self.secrets, crate::renewal::unix_now())
    }
}

fn prometheus(page: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page).into_response()
}
