//! A proxy as a whole: built from a bootstrap, run until it is told to end.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use identity::SecretStore;
use ir::{Address, Bootstrap};
use lifecycle::{Drain, DrainWatch, Drained};
use stdx::Str;
use tokio::sync::{Notify, mpsc};
use xds_codec::json::ReadBootstrap;

use crate::access_log::{LogBuffers, LogReopener, LogWriter};
use crate::admin::histograms::Intervals;
use crate::admin::{self, stats::Zero};
use crate::config::Config;
use crate::config::names::Lookup;
use crate::config::source::Want;
use crate::forward_proxy::keeper;
use crate::manager::{self, Manager};
use crate::overload::{self, Pressure};
use crate::telemetry::{LocalLabels, WorkerStats};
use crate::worker::{self, Command};
use crate::xds;
use crate::{resolve, sources, tidy};

/// What a proxy is built from.
#[derive(Clone)]
pub struct ProxyConfig {
    pub bootstrap: Bootstrap,
    /// What its clusters were decoded from, if they were.
    pub encoded_clusters: Vec<Box<[u8]>>,
    /// Certificates and trust bundles by their SDS names.
    pub secrets: SecretStore,
    /// Somebody in this process fills `secrets`: secret discovery services are not asked.
    pub secrets_in_process: bool,
    /// Worker threads; 0: one per CPU.
    pub concurrency: usize,
    /// In place of the bootstrap's `admin.address`.
    pub admin: Option<SocketAddr>,
    /// How long open connections have to end after the signal.
    pub drain_time: Duration,
    /// Listeners that drain take connections for so long: Envoy's `--drain-time-s`. `None`: as long as
    /// the drain takes.
    pub listener_drain_time: Option<Duration>,
    /// How long a record may wait to be written: Envoy's `--file-flush-interval-msec`.
    pub log_flush_interval: Duration,
    /// So many bytes of records are written at once: Envoy's `--file-flush-min-size-kb`.
    pub log_flush_bytes: usize,
    /// Shown by `/server_info` and told to the control plane.
    pub version: Str,
}

impl ProxyConfig {
    /// One worker per CPU, Istio's drain time of 5 s, secrets of its own.
    pub fn new(bootstrap: Bootstrap) -> Self {
        ProxyConfig {
            bootstrap,
            encoded_clusters: Vec::new(),
            secrets: SecretStore::new(),
            secrets_in_process: false,
            concurrency: 0,
            admin: None,
            drain_time: Duration::from_secs(5),
            listener_drain_time: None,
            log_flush_interval: Duration::from_millis(50),
            log_flush_bytes: 64 * 1024,
            version: env!("CARGO_PKG_VERSION").into(),
        }
    }

    /// As [`ProxyConfig::new`], from a file.
    pub fn of_file(read: ReadBootstrap) -> Self {
        ProxyConfig { encoded_clusters: read.encoded_clusters, ..ProxyConfig::new(read.bootstrap) }
    }
}

/// Why a proxy cannot start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildError(pub String);

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BuildError {}

/// A proxy whose static listeners are bound. [`Proxy::run`] serves.
pub struct Proxy {
    pub(crate) state: Arc<State>,
    workers: Vec<WorkerSeat>,
    writer: LogWriter,
    drain: Drain,
    drain_time: Duration,
    admin: Option<std::net::TcpListener>,
    to_resolve: mpsc::UnboundedReceiver<Lookup>,
    wanted: mpsc::UnboundedReceiver<Want>,
}

/// What a worker thread is started with.
struct WorkerSeat {
    shared: Arc<worker::Shared>,
    stats: Arc<WorkerStats>,
    logs: LogBuffers,
    commands: mpsc::UnboundedReceiver<Command>,
}

/// What the admin thread's tasks share.
pub(crate) struct State {
    pub manager: manager::Shared,
    pub stats: Vec<Arc<WorkerStats>>,
    pub secrets: SecretStore,
    pub secrets_in_process: bool,
    pub started: Instant,
    pub version: Str,
    pub draining: AtomicBool,
    /// Somebody asked for `/healthcheck/fail`.
    pub health_failed: Arc<AtomicBool>,
    /// Listeners that drain take connections for so long.
    pub listener_drain_time: Duration,
    /// Those of them that do.
    pub drains: worker::Drained,
    /// What counters said when they were reset.
    pub zero: Mutex<Zero>,
    /// What histograms said when the last interval began.
    pub intervals: Intervals,
    pub reopen: LogReopener,
    pub overload: Option<ir::Overload>,
    pub pressure: Arc<Pressure>,
    pub quit: Notify,
    pub command_line: String,
}

/// A view of a running proxy.
#[derive(Clone)]
pub struct ProxyHandle {
    state: Arc<State>,
    admin: Option<SocketAddr>,
}

impl ProxyHandle {
    /// The first configuration is in effect, and no drain has begun.
    pub fn is_ready(&self) -> bool {
        !self.state.draining.load(Ordering::Relaxed) && self.state.manager.lock().config.is_ready()
    }

    /// Where the admin server listens.
    pub fn admin(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// Metrics in Prometheus' text format.
    pub fn prometheus(&self) -> String {
        admin::stats::prometheus(&self.state)
    }

    /// Applies resources as if a control plane had sent them. What is returned is refused.
    pub fn update(&self, update: xds_client::Update) -> Vec<xds_client::Reject> {
        self.state.manager.update(&ir::ConfigSource::Ads, update)
    }

    /// Ends at once.
    pub fn quit(&self) {
        self.state.quit.notify_one();
    }
}

impl Proxy {
    /// Compiles the static resources and binds what they listen on.
    ///
    /// # Errors
    /// A static resource cannot be used, or an address cannot be bound; the text names it.
    pub fn build(config: ProxyConfig) -> Result<Proxy, BuildError> {
        let cpus = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let count = if config.concurrency == 0 { cpus() } else { config.concurrency };
        let admin = admin_address(&config)?;
        let local = LocalLabels::new(&config.bootstrap.node);
        // What a sidecar's application asks for must still get out.
        let drains = match config.bootstrap.node.id.starts_with("sidecar~") {
            true => worker::Drained::Inbound,
            false => worker::Drained::All,
        };
        let overload = config.bootstrap.overload.clone();
        let store = Config::new(config.bootstrap, config.encoded_clusters, config.secrets.clone())
            .map_err(BuildError)?;
        let drain = Drain::new();
        let writer = LogWriter::start(config.log_flush_bytes)
            .map_err(|e| BuildError(format!("access log thread: {e}")))?;
        let wake = Arc::new(Notify::new());
        let shared = Arc::new(worker::Shared {
            published: store.published(),
            local,
            workers: count,
            drain: drain.watch(),
            health_failed: Arc::default(),
            log_flush_interval: config.log_flush_interval,
            wake: wake.clone(),
            pressure: Arc::new(Pressure::new(overload.as_ref())),
        });
        let mut senders = Vec::new();
        let mut workers = Vec::new();
        for _ in 0..count {
            let (sender, commands) = mpsc::unbounded_channel();
            senders.push(sender);
            let (shared, stats) = (shared.clone(), Arc::default());
            workers.push(WorkerSeat { shared, stats, logs: writer.buffers(), commands });
        }
        let (lookups, to_resolve) = mpsc::unbounded_channel();
        let (wants, wanted) = mpsc::unbounded_channel();
        let mut manager = Manager::new(store, senders, lookups, wants);
        if let Some(unbound) = manager.apply().into_iter().next() {
            return Err(BuildError(format!("listener {}: {}", unbound.name, unbound.message)));
        }
        let admin = match admin {
            None => None,
            Some(address) => Some(bind_admin(address)?),
        };
        let state = Arc::new(State {
            manager: manager::Shared::new(manager, wake),
            stats: workers.iter().map(|seat| seat.stats.clone()).collect(),
            secrets: config.secrets,
            secrets_in_process: config.secrets_in_process,
            started: Instant::now(),
            version: config.version,
            draining: AtomicBool::new(false),
            health_failed: shared.health_failed.clone(),
            listener_drain_time: config.listener_drain_time.unwrap_or(config.drain_time),
            drains,
            zero: Mutex::default(),
            intervals: Intervals::default(),
            reopen: writer.reopener(),
            overload,
            pressure: shared.pressure.clone(),
            quit: Notify::new(),
            command_line: std::env::args().collect::<Vec<_>>().join(" "),
        });
        Ok(Proxy { state, workers, writer, drain, drain_time: config.drain_time, admin, to_resolve, wanted })
    }

    /// A view that stays valid while [`Proxy::run`] serves.
    pub fn handle(&self) -> ProxyHandle {
        let admin = self.admin.as_ref().and_then(|socket| socket.local_addr().ok());
        ProxyHandle { state: self.state.clone(), admin }
    }

    /// Serves until `shutdown` begins or `/quitquitquit` is asked for, then drains: connections are
    /// told of the end, and closed after the drain time, or at once where `shutdown` is forced.
    /// Needs a tokio runtime for discovery and administration; workers have their own.
    ///
    /// # Errors
    /// A thread could not be started, or a worker died.
    pub async fn run(self, shutdown: DrainWatch) -> std::io::Result<()> {
        let Proxy { state, workers, writer, drain, drain_time, admin, to_resolve, wanted } = self;
        let mut threads = Vec::new();
        let (died, mut dead) = mpsc::unbounded_channel();
        for (id, seat) in workers.into_iter().enumerate() {
            threads.push(start_worker(id, seat, died.clone())?);
        }
        drop(died);
        let _xds = xds::start(&state);
        let admin = admin.map(|socket| admin::serve(state.clone(), socket)).transpose()?;
        let keeper = tokio::spawn({
            let manager = state.manager.clone();
            async move { manager.keep().await }
        });
        let resolver = tokio::spawn(resolve::keep(state.manager.clone(), to_resolve));
        let caches = state.manager.lock().config.caches().take_begun();
        let caches = caches.map(|begun| tokio::spawn(keeper::keep(state.manager.clone(), begun)));
        let sources = tokio::spawn(sources::keep(state.clone(), wanted));
        let tidy = tokio::spawn(tidy::keep(state.clone()));
        let overload = tokio::spawn(overload::watch(state.clone()));
        let grace = tokio::select! {
            () = shutdown.draining() => drain_time,
            () = state.quit.notified() => Duration::ZERO,
            Some(id) = dead.recv() => {
                return Err(std::io::Error::other(format!("worker {id} died")));
            }
        };
        finish(&state, drain, grace, &shutdown).await;
        keeper.abort();
        resolver.abort();
        if let Some(caches) = caches {
            caches.abort();
        }
        sources.abort();
        tidy.abort();
        overload.abort();
        drop(admin);
        let joined = tokio::task::spawn_blocking(move || {
            threads.into_iter().map(JoinHandle::join).all(|result| result.is_ok())
        });
        let fine = joined.await.unwrap_or(false);
        // The last records are written before this returns.
        drop(writer);
        if fine { Ok(()) } else { Err(std::io::Error::other("a worker panicked")) }
    }
}

/// Compiles the static resources without binding anything.
///
/// # Errors
/// As [`Proxy::build`].
pub fn check(config: &ProxyConfig) -> Result<(), BuildError> {
    admin_address(config)?;
    let (bootstrap, encoded) = (config.bootstrap.clone(), config.encoded_clusters.clone());
    Config::new(bootstrap, encoded, config.secrets.clone()).map(drop).map_err(BuildError)
}

async fn finish(state: &State, drain: Drain, grace: Duration, shutdown: &DrainWatch) {
    state.draining.store(true, Ordering::Relaxed);
    tracing::info!(connections = drain.in_progress(), ?grace, "draining");
    drain.start();
    state.manager.lock().drain();
    let begun = Instant::now();
    let listening = async {
        tokio::time::sleep(state.listener_drain_time).await;
        state.manager.lock().stop_listening(state.drains);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        _ = tokio::time::timeout(grace, drain.complete()) => {}
        () = listening => {}
        () = shutdown.forced() => {}
        () = state.quit.notified() => {}
    }
    let grace = if shutdown.is_forced() { Duration::ZERO } else { grace };
    state.manager.lock().close_sockets();
    // What was still in the sockets' queues has a moment.
    tokio::time::sleep(Duration::from_millis(20).min(grace)).await;
    if let Drained::Forced { left } = drain.drain(grace.saturating_sub(begun.elapsed())).await
        && left > 0
    {
        tracing::info!(left, "connections closed after the drain time");
    }
    // Who was told to stop at once has a moment to write its record.
    tokio::task::yield_now().await;
    state.manager.lock().end();
}

fn start_worker(
    id: usize,
    seat: WorkerSeat,
    died: mpsc::UnboundedSender<usize>,
) -> std::io::Result<JoinHandle<()>> {
    let builder = std::thread::Builder::new().name(format!("worker-{id}"));
    builder.spawn(move || {
        let _died = Died(id, died);
        if let Err(error) = worker::run(id, seat.shared, seat.stats, seat.logs, seat.commands) {
            tracing::error!(worker = id, %error, "worker could not start");
        }
    })
}

/// Tells of a worker's end even if it panics.
struct Died(usize, mpsc::UnboundedSender<usize>);

impl Drop for Died {
    fn drop(&mut self) {
        let _ = self.1.send(self.0);
    }
}

fn admin_address(config: &ProxyConfig) -> Result<Option<SocketAddr>, BuildError> {
    match (&config.admin, &config.bootstrap.admin) {
        (Some(address), _) => Ok(Some(*address)),
        (None, None) => Ok(None),
        (None, Some(Address::Socket(address))) => Ok(Some(*address)),
        (None, Some(other)) => Err(BuildError(format!("admin.address: {other} is not an IP address"))),
    }
}

fn bind_admin(address: SocketAddr) -> Result<std::net::TcpListener, BuildError> {
    let options = net::ListenOptions { reuse_port: false, ..net::ListenOptions::default() };
    net::listen_tcp(address, &options).map_err(|e| BuildError(format!("admin: {e}")))
}
