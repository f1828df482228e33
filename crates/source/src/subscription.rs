//! Readers of published snapshots.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use registry::{Delta, Snapshot};
use tokio::sync::Notify;

/// Gets every published snapshot, or the latest of those it was too slow for, with the union of
/// what was different in all of them.
pub struct Subscription {
    slot: Arc<Slot>,
}

/// What waits for one reader.
#[derive(Default)]
pub(crate) struct Slot {
    waiting: Mutex<Option<(Arc<Snapshot>, Delta)>>,
    closed: Mutex<bool>,
    notify: Notify,
}

impl Slot {
    /// Puts a snapshot there for the reader, on top of what it has not fetched.
    pub fn put(&self, snapshot: &Arc<Snapshot>, delta: &Delta) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        match waiting.as_mut() {
            Some((latest, union)) => {
                *latest = snapshot.clone();
                union.extend(delta);
            }
            None => *waiting = Some((snapshot.clone(), delta.clone())),
        }
        drop(waiting);
        self.notify.notify_one();
    }

    pub fn close(&self) {
        *self.closed.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.notify.notify_one();
    }
}

impl Subscription {
    pub(crate) fn new() -> (Subscription, Weak<Slot>) {
        let slot = Arc::new(Slot::default());
        let weak = Arc::downgrade(&slot);
        (Subscription { slot }, weak)
    }

    /// Waits for the next snapshot. The first one comes with [`Delta::everything`], once every source
    /// has delivered its first full set; a later delta may be empty, when only places of fields are new.
    /// `None`: the hub has ended. Cancel safe.
    pub async fn next(&mut self) -> Option<(Arc<Snapshot>, Delta)> {
        loop {
            if let Some(found) = self.slot.waiting.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return Some(found);
            }
            if *self.slot.closed.lock().unwrap_or_else(PoisonError::into_inner) {
                return None;
            }
            self.slot.notify.notified().await;
        }
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subscription")
    }
}
