//! The handle that everybody else holds.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use lifecycle::{Readiness, ReadyToken};
use model::Finding;
use registry::{Delta, Settings, Snapshot};
use tokio::sync::{mpsc, watch};

use crate::owner::Owner;
use crate::subscription::Slot;
use crate::{Debounce, Message, Outlet, Source, Subscription};

/// Messages that may wait for the owner before sources have to.
const QUEUE: usize = 1024;

type Run = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// Sources and settings, before anything runs.
pub struct HubBuilder {
    settings: Settings,
    debounce: Debounce,
    readiness: Readiness,
    sender: mpsc::Sender<Message>,
    receiver: mpsc::Receiver<Message>,
    runs: Vec<(&'static str, Run)>,
    tokens: Vec<Option<ReadyToken>>,
}

/// Reads what the owner publishes. Clones share it.
#[derive(Clone)]
pub struct Hub {
    shared: Arc<Shared>,
    sender: mpsc::Sender<Message>,
}

/// The owner and its sources; does nothing until it is run.
#[must_use = "nothing is read until the task runs"]
pub struct HubTask {
    pub(crate) owner: Owner,
    pub(crate) runs: Vec<(&'static str, Run)>,
}

/// What the owner and the handles share.
pub(crate) struct Shared {
    /// `None` until every source has delivered its first full set.
    published: watch::Sender<Option<Arc<Snapshot>>>,
    empty: Arc<Snapshot>,
    findings: watch::Sender<Arc<Vec<Finding>>>,
    slots: Mutex<Vec<Weak<Slot>>>,
}

impl HubBuilder {
    /// `readiness` gets a token for each source.
    pub fn new(settings: Settings, debounce: Debounce, readiness: &Readiness) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        HubBuilder {
            settings,
            debounce,
            readiness: readiness.clone(),
            sender,
            receiver,
            runs: Vec::new(),
            tokens: Vec::new(),
        }
    }

    /// Adds a source.
    pub fn source(mut self, source: impl Source) -> Self {
        let name = source.name();
        let outlet = Outlet { source: self.tokens.len(), sender: self.sender.clone() };
        self.tokens.push(Some(self.readiness.token(name)));
        self.runs.push((name, Box::pin(source.run(outlet))));
        self
    }

    /// The handle, and the task to run.
    pub fn build(self) -> (Hub, HubTask) {
        let empty = Arc::new(Snapshot::new(self.settings));
        let shared = Arc::new(Shared {
            published: watch::Sender::new(None),
            empty,
            findings: watch::Sender::default(),
            slots: Mutex::default(),
        });
        let hub = Hub { shared: shared.clone(), sender: self.sender };
        let owner = Owner::new(shared, self.receiver, self.debounce, self.tokens);
        (hub, HubTask { owner, runs: self.runs })
    }
}

impl Hub {
    /// The latest snapshot; an empty one before [`ready`](Hub::ready).
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.shared.snapshot()
    }

    /// Waits until every source has delivered its first full set, and it has been published.
    pub async fn ready(&self) {
        // The sender lives in `self`, so the wait cannot end with an error.
        let _ = self.shared.published.subscribe().wait_for(Option::is_some).await;
    }

    /// Everything that is wrong with the configuration now, sorted. Findings that need the whole
    /// mesh follow a snapshot after a moment.
    pub fn findings(&self) -> Arc<Vec<Finding>> {
        self.shared.findings.borrow().clone()
    }

    /// As [`findings`](Hub::findings), to be waited on.
    pub fn watch_findings(&self) -> watch::Receiver<Arc<Vec<Finding>>> {
        self.shared.findings.subscribe()
    }

    /// Puts findings of a part that is no source among the others, in the place of those that it
    /// reported before. A finding without a place gets that of its object and field.
    pub async fn report(&self, part: &'static str, findings: Vec<Finding>) {
        // If the owner has ended there is nobody left to tell.
        let _ = self.sender.send(Message::Report(part, findings)).await;
    }

    /// Follows the snapshots, beginning with the latest.
    pub fn subscribe(&self) -> Subscription {
        let (subscription, slot) = Subscription::new();
        let mut slots = self.shared.slots.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock, so that no snapshot is published in between.
        if let (Some(snapshot), Some(slot)) = (&*self.shared.published.borrow(), slot.upgrade()) {
            slot.put(snapshot, &Delta::everything());
        }
        slots.push(slot);
        subscription
    }
}

impl Shared {
    pub fn empty(&self) -> &Arc<Snapshot> {
        &self.empty
    }

    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.published.borrow().clone().unwrap_or_else(|| self.empty.clone())
    }

    pub fn publish(&self, snapshot: Arc<Snapshot>, delta: &Delta) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let first = self.published.borrow().is_none();
        self.published.send_replace(Some(snapshot.clone()));
        let everything = Delta::everything();
        let delta = if first { &everything } else { delta };
        slots.retain(|slot| slot.upgrade().inspect(|slot| slot.put(&snapshot, delta)).is_some());
    }

    pub fn publish_findings(&self, findings: Vec<Finding>) {
        self.findings.send_replace(Arc::new(findings));
    }

    pub fn close(&self) {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.iter().filter_map(Weak::upgrade).for_each(|slot| slot.close());
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hub")
    }
}
