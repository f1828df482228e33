//! The thread that owns the state, and the handle to it.

use std::any::Any;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Instant;

use model::{Finding, Node};
use registry::{Delta, Snapshot};
use tokio::sync::{oneshot, watch};
use xds_server::{ClientHello, Generator, Refused, Subscription};

use crate::state::{Outlet, SLOW, State};
use crate::stats::Stats;

/// Translates for every connected proxy. Clones share it; the thread ends with the last of them
/// and the last stream.
#[derive(Clone)]
pub struct Discovery {
    events: mpsc::Sender<Event>,
    findings: watch::Receiver<Arc<Vec<Finding>>>,
    streams: Arc<AtomicU64>,
}

/// The thread has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped;

enum Event {
    Update { snapshot: Arc<Snapshot>, delta: Delta, done: oneshot::Sender<()> },
    Connect { stream: u64, node: Box<Node>, outlet: Outlet, since: Instant },
    Disconnect { stream: u64 },
}

impl Discovery {
    /// Starts the thread. Proxies may connect at once; they get something after the first
    /// [`update`](Discovery::update).
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(stats: Arc<dyn Stats>) -> io::Result<Discovery> {
        let (events, received) = mpsc::channel();
        let (found, findings) = watch::channel(Arc::default());
        let worker = Worker { state: State::default(), stats, found };
        std::thread::Builder::new().name("discovery".into()).spawn(move || worker.run(&received))?;
        Ok(Discovery { events, findings, streams: Arc::default() })
    }

    /// The registry is different. Returns when all that follows from it has been handed to the
    /// streams, so that whoever calls this in a loop lets later changes gather meanwhile.
    ///
    /// # Errors
    /// The thread has ended, which only a panic can do.
    pub async fn update(&self, snapshot: Arc<Snapshot>, delta: Delta) -> Result<(), Stopped> {
        let (done, finished) = oneshot::channel();
        self.events.send(Event::Update { snapshot, delta, done }).map_err(|_| Stopped)?;
        finished.await.map_err(|_| Stopped)
    }

    /// What translation finds wrong now.
    pub fn findings(&self) -> watch::Receiver<Arc<Vec<Finding>>> {
        self.findings.clone()
    }
}

impl Generator for Discovery {
    fn connect(&self, hello: ClientHello) -> Result<Subscription, Refused> {
        let stream = self.streams.fetch_add(1, Ordering::Relaxed);
        let (outlet, resources) = watch::channel(None);
        let connect = Event::Connect { stream, node: Box::new(hello.node), outlet, since: Instant::now() };
        self.events.send(connect).map_err(|_| Refused::NotReady("translation has stopped".into()))?;
        let guard: Box<dyn Any + Send> = Box::new(Guard { stream, events: self.events.clone() });
        Ok(Subscription { resources, guard })
    }
}

/// Tells when a stream ends.
struct Guard {
    stream: u64,
    events: mpsc::Sender<Event>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        // The thread may be gone at the end of the process.
        let _ = self.events.send(Event::Disconnect { stream: self.stream });
    }
}

struct Worker {
    state: State,
    stats: Arc<dyn Stats>,
    found: watch::Sender<Arc<Vec<Finding>>>,
}

impl Worker {
    fn run(mut self, events: &mpsc::Receiver<Event>) {
        while let Ok(event) = events.recv() {
            self.handle(event);
            for _ in 0..std::mem::take(&mut self.state.panics) {
                self.stats.internal_error();
            }
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Update { snapshot, delta, done } => {
                let push = self.state.update(snapshot, &delta);
                self.stats.pushed(&push);
                if push.took > SLOW {
                    tracing::info!(took = ?push.took, push.rebuilt, push.changed, push.proxies, "a slow push");
                } else {
                    tracing::debug!(took = ?push.took, push.rebuilt, push.changed, push.proxies, "pushed");
                }
                self.publish_findings();
                // Whoever waits may be gone at the end of the process.
                let _ = done.send(());
            }
            Event::Connect { stream, node, outlet, since } => {
                self.state.connect(stream, *node, outlet);
                self.stats.connected(since.elapsed());
                self.publish_findings();
            }
            Event::Disconnect { stream } => self.state.disconnect(stream),
        }
    }

    fn publish_findings(&mut self) {
        let Some(all) = self.state.findings() else { return };
        self.found.send_if_modified(|before| {
            let news = **before != all;
            if news {
                *before = Arc::new(all);
            }
            news
        });
    }
}
