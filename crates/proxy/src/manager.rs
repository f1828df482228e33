//! The owner of configuration and sockets, on the admin thread.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ir::{Address, ConfigSource};
use stdx::Str;
use tokio::sync::{Notify, mpsc, watch};
use xds_client::{Reject, Update};

use crate::config::Config;
use crate::config::names::Lookup;
use crate::config::snapshot::Listener;
use crate::config::source::Want;
use crate::worker::{Command, Drained};

/// How soon an address that could not be bound is tried again, and secrets are looked for.
const BIND_AGAIN: Duration = Duration::from_secs(1);
const LOOK_FOR_SECRETS: Duration = Duration::from_millis(20);
/// How often replaced snapshots are looked at.
const SWEEP: Duration = Duration::from_secs(1);

/// Configuration, sockets and the way to the workers.
pub struct Manager {
    pub config: Config,
    workers: Vec<mpsc::UnboundedSender<Command>>,
    lookups: mpsc::UnboundedSender<Lookup>,
    wants: mpsc::UnboundedSender<Want>,
    /// By address: the name of the listener that it was bound for.
    bound: HashMap<SocketAddr, Str>,
    again: Option<Instant>,
    draining: bool,
    /// Listeners that are bound no more.
    stopped: Drained,
    /// The listeners' count of changes, and what was stopped, when all sockets were as they should be.
    synced: Option<(u64, Drained)>,
    /// Counts what came into effect.
    pub changes: watch::Sender<u64>,
}

/// A manager that several tasks of the admin thread use. The lock is never held across a wait,
/// and no worker takes it.
#[derive(Clone)]
pub struct Shared {
    manager: Arc<Mutex<Manager>>,
    changed: Arc<Notify>,
    /// Somebody has what a cluster may wait for.
    wake: Arc<Notify>,
}

impl Shared {
    pub fn new(manager: Manager, wake: Arc<Notify>) -> Self {
        Shared { manager: Arc::new(Mutex::new(manager)), changed: Arc::new(Notify::new()), wake }
    }

    pub fn lock(&self) -> MutexGuard<'_, Manager> {
        self.manager.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies what `source` has.
    pub fn update(&self, source: &ConfigSource, update: Update) -> Vec<Reject> {
        let mut manager = self.lock();
        let ty = update.ty;
        let mut rejects = manager.config.update(source, update);
        let unbound = manager.apply();
        if ty == ir::ResourceType::Listener {
            rejects.extend(unbound);
        }
        drop(manager);
        self.changed.notify_one();
        rejects
    }

    /// Counts a response that could not even be read.
    pub fn note_unreadable(&self, ty: ir::ResourceType) {
        self.lock().config.note_unreadable(ty);
    }

    /// Names of clusters or listeners that discovery has brought.
    pub fn discovered(&self, ty: ir::ResourceType) -> BTreeSet<Str> {
        self.lock().config.discovered(ty)
    }

    /// Reads a secret's files again.
    ///
    /// # Errors
    /// They cannot be used; what was read before stays.
    pub fn read_again(&self, secret: &ir::Secret) -> Result<(), String> {
        let mut manager = self.lock();
        manager.config.read_again(secret)?;
        manager.apply();
        drop(manager);
        self.changed.notify_one();
        Ok(())
    }

    /// Takes what a host name of a cluster has resolved to; `None`: it could not be resolved.
    pub fn resolved(&self, cluster: &Str, host: &Str, found: Option<Vec<IpAddr>>) {
        let mut manager = self.lock();
        if manager.config.resolved(cluster, host, found) {
            manager.apply();
            drop(manager);
            self.changed.notify_one();
        }
    }

    /// Looks again at whatever waits, when its time has come. Never ends.
    pub async fn keep(&self) {
        loop {
            let again = self.lock().again;
            let sleep = async {
                match again {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.changed.notified() => {}
                () = self.wake.notified() => {
                    self.lock().apply();
                }
                () = sleep => {
                    self.lock().apply();
                }
            }
        }
    }
}

impl Manager {
    pub fn new(
        config: Config,
        workers: Vec<mpsc::UnboundedSender<Command>>,
        lookups: mpsc::UnboundedSender<Lookup>,
        wants: mpsc::UnboundedSender<Want>,
    ) -> Self {
        Manager {
            config,
            workers,
            lookups,
            wants,
            bound: HashMap::new(),
            again: None,
            draining: false,
            stopped: Drained::None,
            synced: None,
            changes: watch::Sender::new(0),
        }
    }

    /// Brings into effect what can be, and opens and closes sockets accordingly. What is returned
    /// could not be bound.
    pub fn apply(&mut self) -> Vec<Reject> {
        let now = Instant::now();
        let settled = self.config.settle(now);
        if settled.changed {
            self.changes.send_modify(|changes| *changes += 1);
            self.config.publish();
            self.tell(|| Command::Refresh);
        }
        if let Some(first) = self.workers.first() {
            for (cluster, probes) in self.config.take_probes() {
                let _ = first.send(Command::Probe(cluster, probes));
            }
        }
        for lookup in self.config.take_lookups() {
            let _ = self.lookups.send(lookup);
        }
        for want in self.config.take_wants() {
            let _ = self.wants.send(want);
        }
        let unbound = self.sync_sockets();
        self.config.sweep();
        let mut again = settled.again;
        let mut at_most = |limit: Duration| again = Some(again.map_or(now + limit, |at| at.min(now + limit)));
        if settled.waits_for_secret {
            at_most(LOOK_FOR_SECRETS);
        }
        if !unbound.is_empty() {
            at_most(BIND_AGAIN);
        }
        if self.config.has_retired() {
            at_most(SWEEP);
        }
        self.again = again;
        unbound
    }

    /// One socket per worker and address. An address that stays keeps its sockets.
    fn sync_sockets(&mut self) -> Vec<Reject> {
        let mut rejects = Vec::new();
        let state = Some((self.config.listeners.changes, self.stopped));
        if self.draining || self.synced == state {
            return rejects;
        }
        let listeners: Vec<_> = self.config.active().listeners.values().cloned().collect();
        let mut wanted: HashMap<SocketAddr, Str> = HashMap::new();
        let stopped = self.stopped;
        let bound = |it: &&Arc<Listener>| it.config.bind_to_port && !stopped.includes(it.direction());
        for listener in listeners.iter().filter(bound) {
            let name = &listener.config.name;
            for address in listener.config.addresses() {
                match address {
                    Address::Socket(address) => {
                        wanted.insert(*address, name.clone());
                    }
                    other => rejects.push(
                        self.unbound(name, format!("address {other}: only IP sockets can be listened on")),
                    ),
                }
            }
        }
        let gone: Vec<SocketAddr> =
            self.bound.keys().filter(|address| !wanted.contains_key(address)).copied().collect();
        for address in gone {
            self.bound.remove(&address);
            self.tell(|| Command::Unlisten(address));
        }
        for (address, name) in wanted {
            if let Some(held) = self.bound.get_mut(&address) {
                *held = name;
                continue;
            }
            match self.open(address) {
                Ok(()) => {
                    // Of several addresses another may have failed.
                    if rejects.iter().all(|reject| reject.name != name) {
                        self.config.listeners.errors.remove(&name);
                    }
                    self.bound.insert(address, name);
                }
                Err(error) => rejects.push(self.unbound(&name, error.to_string())),
            }
        }
        self.synced = state.filter(|_| rejects.is_empty());
        rejects
    }

    fn unbound(&mut self, name: &Str, message: String) -> Reject {
        let before = self.config.listeners.errors.insert(name.clone(), message.clone());
        if before.as_ref() != Some(&message) {
            tracing::warn!(listener = %name, "{message}");
        }
        Reject { name: name.clone(), message }
    }

    fn open(&mut self, address: SocketAddr) -> std::io::Result<()> {
        let options = net::ListenOptions::default();
        let sockets: Vec<_> =
            self.workers.iter().map(|_| net::listen_tcp(address, &options)).collect::<Result<_, _>>()?;
        for (worker, socket) in self.workers.iter().zip(sockets) {
            let _ = worker.send(Command::Listen { address, socket });
        }
        Ok(())
    }

    pub fn tell(&self, command: impl Fn() -> Command) {
        for worker in &self.workers {
            // A worker that is gone has nothing to be told.
            let _ = worker.send(command());
        }
    }

    /// Every connection is told of the end. New ones are still taken: their clients have not
    /// heard of it yet.
    pub fn drain(&mut self) {
        self.draining = true;
        self.tell_of_end(Drained::All);
    }

    /// These connections are told of the end.
    pub fn tell_of_end(&mut self, what: Drained) {
        self.tell(|| Command::Drain(what));
    }

    /// Connections go on as if nothing had been said, as far as they still do.
    pub fn no_end_after_all(&mut self) {
        if !self.draining {
            self.tell(|| Command::Undrain);
        }
    }

    /// No new connections at these listeners, ever.
    pub fn stop_listening(&mut self, what: Drained) {
        self.stopped = self.stopped.max(what);
        match self.draining {
            // Nothing is opened any more, whatever comes.
            true => self.close_stopped(),
            false => drop(self.sync_sockets()),
        }
    }

    fn close_stopped(&mut self) {
        let stopped = |it: &&Arc<Listener>| self.stopped.includes(it.direction());
        let listeners = self.config.active().listeners.values().filter(stopped);
        let addresses: Vec<_> = listeners.flat_map(|listener| listener.sockets()).collect();
        for address in addresses {
            if self.bound.remove(&address).is_some() {
                self.tell(|| Command::Unlisten(address));
            }
        }
    }

    /// Whatever is left is dropped.
    pub fn end(&self) {
        self.tell(|| Command::End);
    }

    /// No new connections from here on.
    pub fn close_sockets(&mut self) {
        let addresses: Vec<SocketAddr> = self.bound.drain().map(|(address, _)| address).collect();
        for address in addresses {
            self.tell(|| Command::Unlisten(address));
        }
    }
}
