//! A worker: one thread with a runtime of its own, its sockets, pools, counters and log buffers.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use engine::Dice;
use engine::balance::Cursor;
use engine::dice::SplitMix;
use ir::Direction;
use lifecycle::DrainWatch;
use stdx::Str;
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, mpsc};
use tokio::task::LocalSet;
use upstream::probe::{Probe, Prober};
use upstream::{Destination, Upstream};

use crate::access_log::LogBuffers;
use crate::config::snapshot::Cluster;
use crate::config::{Published, Snapshot};
use crate::forward_proxy::Host;
use crate::http::timers::Timers;
use crate::listener;
use crate::overload::Pressure;
use crate::telemetry::{LocalLabels, Stats, WorkerStats};

/// What the admin thread asks of a worker.
pub enum Command {
    /// Accept connections on this socket.
    Listen { address: SocketAddr, socket: std::net::TcpListener },
    /// Stop accepting on this address; what is waiting in the queue is still served.
    Unlisten(SocketAddr),
    /// There is a new snapshot: let go of the old one.
    Refresh,
    /// Check these endpoints of a cluster and no others, with nobody else's of the process doing it.
    Probe(Str, Vec<Probe>),
    /// Announce the end on these connections.
    Drain(Drained),
    /// There is no end after all.
    Undrain,
    /// Memory that is free goes back.
    Shrink,
    /// Drop what is left and end.
    End,
}

/// Which connections are told of the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Drained {
    #[default]
    None,
    /// Those of listeners of the inbound direction.
    Inbound,
    All,
}

impl Drained {
    pub fn includes(self, direction: Direction) -> bool {
        self == Drained::All || self == Drained::Inbound && direction == Direction::Inbound
    }
}

/// The drains that have begun, of whatever direction.
#[derive(Default)]
pub struct Drains {
    begun: Notify,
    count: Cell<u32>,
}

impl Drains {
    fn begin(&self) {
        self.count.set(self.count.get() + 1);
        self.begun.notify_waiters();
    }

    /// How many there were: while it is the same, who waits for the next one still does.
    pub fn count(&self) -> u32 {
        self.count.get()
    }

    /// Resolves when the next one begins.
    pub fn next(&self) -> Notified<'_> {
        self.begun.notified()
    }
}

/// What all workers and the admin thread have in common.
pub struct Shared {
    pub published: Arc<Published>,
    pub local: LocalLabels,
    pub workers: usize,
    pub drain: DrainWatch,
    pub pressure: Arc<Pressure>,
    /// Health checks are to fail, somebody asked for it.
    pub health_failed: Arc<AtomicBool>,
    /// How long a record may wait in a worker's buffer.
    pub log_flush_interval: Duration,
    /// Told when a cluster that waits may have what it waits for.
    pub wake: Arc<Notify>,
}

/// A snapshot that a worker holds. Its tasks count references among themselves, so that no two
/// workers write the same counter for every request.
#[derive(Default)]
pub struct Held(Arc<Snapshot>);

impl std::ops::Deref for Held {
    type Target = Snapshot;
    fn deref(&self) -> &Snapshot {
        &self.0
    }
}

/// One worker, seen from its own tasks.
pub struct Worker {
    pub shared: Arc<Shared>,
    pub stats: Rc<Stats>,
    pub logs: LogBuffers,
    pub upstream: Upstream,
    pub timers: Timers,
    id: usize,
    snapshot: RefCell<Rc<Held>>,
    dice: RefCell<SplitMix>,
    cursors: RefCell<HashMap<Str, Cursor, foldhash::fast::RandomState>>,
    original: RefCell<HashMap<(Str, SocketAddr), Rc<Destination>, foldhash::fast::RandomState>>,
    /// By the host that a name is known as, and the cluster's settings.
    named: RefCell<HashMap<(u64, usize), Rc<Destination>, foldhash::fast::RandomState>>,
    connections: Cell<u64>,
    draining: Cell<Drained>,
    pub drains: Drains,
    log_written: Notify,
    /// Connections that came or went.
    churn: Cell<u64>,
    churned: Notify,
}

/// Destinations without an endpoint that are remembered per worker; more are made anew.
const MAX_ORIGINAL: usize = 4096;
/// How long no connection has to come or go until what they held is given back.
const QUIET: Duration = Duration::from_secs(1);

/// Runs a worker on the current thread until its commands end and its connections are gone.
pub fn run(
    id: usize,
    shared: Arc<Shared>,
    stats: Arc<WorkerStats>,
    logs: LogBuffers,
    commands: mpsc::UnboundedReceiver<Command>,
) -> std::io::Result<()> {
    let _keeping = net::memory::keep_blocks();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = LocalSet::new();
    local.block_on(&runtime, async move {
        let worker = Worker::new(id, shared, stats, logs);
        tokio::task::spawn_local(flush_logs(worker.clone()));
        tokio::task::spawn_local(http1::write_bursts());
        tokio::task::spawn_local(give_back(worker.clone()));
        worker.serve(commands).await;
        worker.logs.flush();
    });
    Ok(())
}

impl Worker {
    pub(crate) fn new(id: usize, shared: Arc<Shared>, stats: Arc<WorkerStats>, logs: LogBuffers) -> Rc<Self> {
        let snapshot = shared.published.load();
        Rc::new(Worker {
            id,
            stats: Stats::new(stats),
            logs,
            upstream: Upstream::new(),
            timers: Timers::default(),
            snapshot: RefCell::new(Rc::new(Held(snapshot))),
            dice: RefCell::new(SplitMix(seed(id))),
            cursors: RefCell::default(),
            original: RefCell::default(),
            named: RefCell::default(),
            connections: Cell::new(0),
            draining: Cell::default(),
            drains: Drains::default(),
            log_written: Notify::new(),
            churn: Cell::new(0),
            churned: Notify::new(),
            shared,
        })
    }

    async fn serve(self: &Rc<Self>, mut commands: mpsc::UnboundedReceiver<Command>) {
        let mut listening: HashMap<SocketAddr, Rc<Notify>> = HashMap::new();
        let dice = SplitMix(seed(self.id));
        let prober = Prober::new(self.shared.wake.clone(), Box::new(dice));
        loop {
            match commands.recv().await {
                None | Some(Command::End) => return,
                Some(Command::Listen { address, socket }) => {
                    let stop = Rc::new(Notify::new());
                    listening.insert(address, stop.clone());
                    tokio::task::spawn_local(listener::accept(self.clone(), address, socket, stop));
                }
                Some(Command::Unlisten(address)) => {
                    if let Some(stop) = listening.remove(&address) {
                        stop.notify_one();
                    }
                }
                Some(Command::Refresh) => drop(self.snapshot()),
                Some(Command::Probe(cluster, probes)) => prober.watch(&cluster, probes),
                Some(Command::Drain(what)) => {
                    self.draining.set(what.max(self.draining.get()));
                    self.drains.begin();
                }
                Some(Command::Shrink) => net::memory::collect(),
                Some(Command::Undrain) => self.draining.set(Drained::None),
            }
        }
    }

    /// The configuration of the moment. Costs one load where nothing has changed.
    pub fn snapshot(&self) -> Rc<Held> {
        let mut held = self.snapshot.borrow_mut();
        if held.version != self.shared.published.version() {
            *held = Rc::new(Held(self.shared.published.load()));
            self.original.borrow_mut().clear();
            // Those of clusters that are as they were keep their connections.
            let current = |to: &Destination| held.clusters.get(&to.config.name).and_then(|it| it.used());
            let holds = |to: &Rc<Destination>| {
                current(to).is_some_and(|cluster| Arc::ptr_eq(&cluster.config, &to.config))
            };
            self.named.borrow_mut().retain(|_, to| holds(to));
        }
        held.clone()
    }

    /// Unique over all workers of the process.
    pub fn next_connection_id(&self) -> u64 {
        let next = self.connections.get();
        self.connections.set(next + 1);
        next * self.shared.workers as u64 + self.id as u64
    }

    /// Lets `f` roll the dice.
    pub fn with_dice<T>(&self, f: impl FnOnce(&mut dyn Dice) -> T) -> T {
        f(&mut *self.dice.borrow_mut())
    }

    /// Lets `f` move the cursor of a cluster's round robin.
    pub fn with_cursor<T>(&self, cluster: &Str, f: impl FnOnce(&mut Cursor, &mut dyn Dice) -> T) -> T {
        let (mut cursors, mut dice) = (self.cursors.borrow_mut(), self.dice.borrow_mut());
        if let Some(cursor) = cursors.get_mut(cluster) {
            return f(cursor, &mut *dice);
        }
        // Workers begin at different places, or every restart would begin at the first endpoint.
        let start = dice.roll() >> 1;
        f(cursors.entry(cluster.clone()).or_insert(Cursor(start)), &mut *dice)
    }

    /// The destination of an address that is no endpoint of `cluster`.
    pub fn original(&self, cluster: &Cluster, to: SocketAddr) -> Rc<Destination> {
        let port = cluster.config.original_dst.port_override;
        let to = port.map_or(to, |port| SocketAddr::new(to.ip(), port));
        let key = (cluster.config.name.clone(), to);
        let mut known = self.original.borrow_mut();
        if let Some(found) = known.get(&key).filter(|found| Arc::ptr_eq(&found.config, &cluster.config)) {
            return found.clone();
        }
        if known.len() >= MAX_ORIGINAL {
            known.clear();
        }
        let destination = Rc::new(cluster.destination_of(to));
        known.insert(key, destination.clone());
        destination
    }

    /// The destination of a name that somebody has brought along.
    pub fn named(&self, cluster: &Cluster, name: &str, host: &Host) -> Rc<Destination> {
        let key = (host.id, Arc::as_ptr(&cluster.config) as usize);
        let mut known = self.named.borrow_mut();
        // What is held cannot have given its address to another.
        if let Some(found) = known.get(&key) {
            return found.clone();
        }
        if known.len() >= MAX_ORIGINAL {
            known.clear();
        }
        let to = Rc::new(cluster.destination_named(name, host.port, host.named.clone()));
        if let Some(outlier) = &cluster.config.outlier {
            cluster.state.watch_all(outlier);
        }
        known.insert(key, to.clone());
        to
    }

    /// Whether connections of listeners of this direction are to end.
    pub fn is_draining(&self, direction: Direction) -> bool {
        self.draining.get().includes(direction)
    }

    /// A connection came or went.
    pub fn note_churn(&self) {
        self.churn.set(self.churn.get() + 1);
        self.churned.notify_one();
    }

    /// A record is in the buffer: have it flushed in a while.
    pub fn log_later(&self) {
        if self.logs.pending() {
            self.log_written.notify_one();
        }
    }
}

async fn flush_logs(worker: Rc<Worker>) {
    loop {
        worker.log_written.notified().await;
        tokio::time::sleep(worker.shared.log_flush_interval).await;
        worker.logs.flush();
    }
}

/// Memory of connections that have gone goes back once no others come in their place.
async fn give_back(worker: Rc<Worker>) {
    loop {
        worker.churned.notified().await;
        loop {
            let seen = worker.churn.get();
            tokio::time::sleep(QUIET).await;
            if worker.churn.get() == seen {
                break;
            }
        }
        net::memory::collect();
    }
}

/// Differs between workers and runs. Not for secrets.
pub fn seed(id: usize) -> u64 {
    use std::hash::{BuildHasher, Hasher};
    let mut hasher = std::collections::hash_map::RandomState::new().build_hasher();
    hasher.write_usize(id);
    hasher.finish()
}
