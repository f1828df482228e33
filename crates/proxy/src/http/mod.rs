//! HTTP: connections of either version, and the one way a request takes through us.

mod attempt;
pub mod body;
mod callout;
pub mod context;
mod edits;
pub mod forward;
pub mod h1;
pub mod h2;
pub mod headers;
pub mod limits;
pub mod local_reply;
mod mirror;
pub mod outgoing;
pub mod phases;
mod pick;
mod plan;
mod redirect;
pub mod respond;
mod seen;
mod serving;
mod stall;
pub mod timers;
pub mod upgrade;

pub(crate) mod filters;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::rate_limit::{Buckets, RateLimit};
use ir::HttpConnectionManager;
use ir::http::CodecType;
use net::Io;

use crate::config::snapshot::{Hcm, Terminal};
use crate::connection::{ConnInfo, Serving};
use crate::protocol::{self, Http};
use crate::telemetry::HttpStats;
use crate::worker::Worker;

/// Envoy's default for connections without requests.
const IDLE_TIMEOUT: Duration = Duration::from_secs(3600);
/// Envoy's default for requests on which nothing moves.
const STREAM_IDLE_TIMEOUT: Duration = Duration::from_secs(300);

/// Envoy's default for clients that do not close.
const DELAYED_CLOSE: Duration = Duration::from_secs(1);

/// How long a first request has to come when a drain has begun: it may be on its way, and nobody
/// could tell its sender "no".
const LAST_CALL: Duration = Duration::from_secs(1);

/// Buckets of one connection.
const MAX_BUCKETS: usize = 64;

/// How finely the jitter of connections' lives is cut.
const JITTER_STEPS: u32 = 1024;

/// A connection that carries requests.
pub struct HttpConnection {
    pub worker: Rc<Worker>,
    pub info: Rc<ConnInfo>,
    pub stats: Arc<HttpStats>,
    /// The connection manager it began with, and the version of the configuration at that time;
    /// requests use the newest of the same name.
    hcm: std::cell::RefCell<(u64, Arc<Hcm>)>,
    known: Option<Http>,
    certificate: Option<engine::rbac::Certificate>,
    pub requests: Cell<u64>,
    /// What is spoken, once that is known.
    version: Cell<Option<Http>>,
    /// A request could not be read.
    pub malformed: Cell<bool>,
    /// Bytes of request bodies that are kept for a retry, of all requests together.
    pub kept: Rc<Cell<usize>>,
    pub started: Instant,
    /// Rate limits that every connection has for itself.
    buckets: std::cell::RefCell<Vec<(Arc<RateLimit>, Rc<Buckets>)>>,
    /// How much of the jitter of its life it has, of [`JITTER_STEPS`].
    jitter: u32,
}

impl HttpConnection {
    pub fn new(
        worker: Rc<Worker>,
        hcm: Arc<Hcm>,
        info: Rc<ConnInfo>,
        io: &Io,
        sniffed: Option<Http>,
    ) -> Rc<Self> {
        let by_alpn =
            io.alpn().map(|name| if name == b"h2" || name == b"istio-h2" { Http::Two } else { Http::One });
        let known = match hcm.config.codec {
            CodecType::Http1 => Some(Http::One),
            CodecType::Http2 => Some(Http::Two),
            CodecType::Auto => by_alpn.or(sniffed),
        };
        let stats = worker.stats.http(&hcm.config.stat_prefix);
        let version = worker.snapshot().version;
        let jitter = worker.with_dice(|dice| engine::dice::below(dice, JITTER_STEPS.into())) as u32;
        Rc::new(HttpConnection {
            certificate: info.certificate(),
            hcm: std::cell::RefCell::new((version, hcm)),
            stats,
            worker,
            info,
            known,
            requests: Cell::new(0),
            version: Cell::new(None),
            malformed: Cell::new(false),
            kept: Rc::default(),
            started: Instant::now(),
            buckets: Default::default(),
            jitter,
        })
    }

    /// The connection manager for the next request: the newest of this listener's chain of this
    /// name; if that is gone, the one we have.
    pub fn hcm(&self) -> Arc<Hcm> {
        self.with_hcm(Arc::clone)
    }

    /// A look at it, without a holder more: all workers count those together.
    fn with_hcm<T>(&self, f: impl FnOnce(&Arc<Hcm>) -> T) -> T {
        let mut held = self.hcm.borrow_mut();
        let snapshot = self.worker.snapshot();
        if held.0 != snapshot.version {
            held.0 = snapshot.version;
            let listener = snapshot.listeners.get(&self.info.listener);
            let chain = listener.and_then(|listener| listener.chain_named(&self.info.chain));
            if let Some(Terminal::Http(hcm)) = chain.map(|chain| &chain.terminal) {
                held.1 = hcm.clone();
            }
        }
        f(&held.1)
    }

    /// This connection's own buckets for a limit.
    pub fn own_buckets(&self, limit: &Arc<RateLimit>) -> Rc<Buckets> {
        let mut buckets = self.buckets.borrow_mut();
        if let Some((_, found)) = buckets.iter().find(|(of, _)| Arc::ptr_eq(of, limit)) {
            return found.clone();
        }
        // Those of older configurations are not asked again.
        if buckets.len() >= MAX_BUCKETS {
            buckets.remove(0);
        }
        let own = Rc::new(Buckets::new(&limit.config));
        buckets.push((limit.clone(), own.clone()));
        own
    }

    /// The protocol of its requests; `None`: there was none.
    pub fn spoken(&self) -> Option<&'static str> {
        let version = self.version.get().filter(|_| self.requests.get() > 0 && !self.malformed.get())?;
        Some(if version == Http::Two { "HTTP/2" } else { "HTTP/1.1" })
    }

    /// The verified certificate of the peer.
    pub fn certificate(&self) -> Option<&engine::rbac::Certificate> {
        self.certificate.as_ref()
    }

    /// How long a client may read on after our last response, before the connection is closed.
    pub fn delayed_close(&self) -> Duration {
        self.hcm.borrow().1.config.delayed_close_timeout.unwrap_or(DELAYED_CLOSE)
    }

    /// How long the connection may be without requests; `None`: for ever.
    pub fn idle_timeout(&self) -> Option<Duration> {
        let configured = self.hcm.borrow().1.config.idle_timeout.unwrap_or(IDLE_TIMEOUT);
        (!configured.is_zero()).then_some(configured)
    }

    /// Whether the response under way has to be the last one.
    pub fn is_last(&self, hcm: &Hcm) -> bool {
        let config = &hcm.config;
        self.worker.is_draining(hcm.direction)
            || config
                .max_requests_per_connection
                .is_some_and(|max| max > 0 && self.requests.get() >= u64::from(max))
            || self.max_duration(config).is_some_and(|max| self.started.elapsed() >= max)
    }

    /// Whether it is told of the end.
    pub fn is_draining(&self) -> bool {
        self.worker.is_draining(self.hcm.borrow().1.direction)
    }

    /// Resolves when it is. Every idle connection holds one: nothing is kept but the wait.
    pub async fn draining(&self) {
        while !self.is_draining() {
            self.worker.drains.next().await;
        }
    }

    /// How long the connection may live; `None`: for ever.
    pub fn max_duration(&self, config: &HttpConnectionManager) -> Option<Duration> {
        let max = config.max_connection_duration.filter(|max| !max.is_zero())?;
        let percent = config.max_connection_duration_jitter_percent.unwrap_or(0);
        let more = (max / 100).saturating_mul(percent) / JITTER_STEPS;
        Some(max.saturating_add(more.saturating_mul(self.jitter)))
    }

    pub fn is_tls(&self) -> bool {
        self.info.tls.is_some()
    }
}

/// How long nothing may move on a request; `None`: for ever.
pub fn stream_idle_timeout(hcm: &Hcm) -> Option<Duration> {
    let configured = hcm.config.stream_idle_timeout.unwrap_or(STREAM_IDLE_TIMEOUT);
    (!configured.is_zero()).then_some(configured)
}

/// Serves a connection to its end. Steps have boxes of their own: see [`crate::connection::serve`].
pub fn serve(conn: Rc<HttpConnection>, io: Io) -> Serving {
    let stats = &conn.stats;
    stats.cx_total.inc();
    stats.cx_active.inc();
    if conn.is_tls() {
        stats.cx_ssl_total.inc();
    }
    let count = Closing(stats.clone());
    if let Some(version) = conn.known {
        return serve_as(version, conn, io, count);
    }
    let detecting = Box::pin(detect(conn, io, count));
    Box::pin(async move {
        if let Some(serving) = detecting.await {
            serving.await;
        }
    })
}

async fn detect(conn: Rc<HttpConnection>, mut io: Io, count: Closing) -> Option<Serving> {
    let version = first_bytes(&conn, &mut io).await.ok()?;
    Some(serve_as(version, conn, io, count))
}

fn serve_as(version: Http, conn: Rc<HttpConnection>, io: Io, count: Closing) -> Serving {
    conn.version.set(Some(version));
    match version {
        Http::One => {
            conn.stats.cx_http1_total.inc();
            let h1 = h1::connection(&conn, io);
            Box::pin(h1::serve(conn, h1, count))
        }
        Http::Two => {
            conn.stats.cx_http2_total.inc();
            Box::pin(async move {
                h2::serve(conn, io).await;
                drop(count);
            })
        }
    }
}

/// Waits for the first bytes, which say what is spoken.
async fn first_bytes(conn: &HttpConnection, io: &mut Io) -> std::io::Result<Http> {
    let life = conn.max_duration(&conn.hcm().config);
    let limit = conn.idle_timeout().into_iter().chain(life).min().unwrap_or(IDLE_TIMEOUT);
    let time = async {
        tokio::select! {
            () = tokio::time::sleep(limit) => {}
            () = async {
                conn.draining().await;
                tokio::time::sleep(LAST_CALL).await;
            } => {}
        }
    };
    tokio::select! {
        version = protocol::http_version(io) => version,
        () = time => Err(std::io::ErrorKind::TimedOut.into()),
    }
}

impl Drop for HttpConnection {
    fn drop(&mut self) {
        self.stats.cx_length_ms.add_time(self.started.elapsed());
    }
}

/// Counts the end of a connection, however it comes.
pub struct Closing(Arc<HttpStats>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.cx_active.dec();
        self.0.cx_destroy.inc();
    }
}
