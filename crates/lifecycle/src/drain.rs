//! Draining by ownership.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Running,
    Draining,
    /// Everybody has finished, or must stop at once.
    Over,
}

struct Shared {
    phase: watch::Sender<Phase>,
    /// The same, for those who ask with every request: the channel has a lock.
    now: AtomicU8,
    /// Guards alive. An atomic, not a lock: guards come and go with connections.
    guards: AtomicUsize,
    last_guard_gone: Notify,
}

/// The owner of a drain: starts it and waits for its end.
pub struct Drain {
    shared: Arc<Shared>,
}

/// Sees a drain begin without holding it up.
#[derive(Clone)]
pub struct DrainWatch {
    shared: Arc<Shared>,
}

/// Work in progress. The drain is not over before this is dropped; cloning it makes another.
pub struct DrainGuard {
    watch: DrainWatch,
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Every guard was dropped in time.
    Complete,
    /// The deadline passed with this many guards alive; they were told to stop at once.
    Forced { left: usize },
}

impl Default for Drain {
    fn default() -> Self {
        Self::new()
    }
}

impl Drain {
    pub fn new() -> Self {
        let shared = Shared {
            phase: watch::Sender::new(Phase::Running),
            now: AtomicU8::new(Phase::Running as u8),
            guards: AtomicUsize::new(0),
            last_guard_gone: Notify::new(),
        };
        Drain { shared: Arc::new(shared) }
    }

    /// Sees the drain, does not hold it up.
    pub fn watch(&self) -> DrainWatch {
        DrainWatch { shared: self.shared.clone() }
    }

    /// Holds the drain up until dropped.
    pub fn guard(&self) -> DrainGuard {
        self.watch().guard()
    }

    /// Guards alive now.
    pub fn in_progress(&self) -> usize {
        self.shared.guards.load(Ordering::Acquire)
    }

    /// Tells everybody to finish and returns at once. Idempotent.
    pub fn start(&self) {
        self.shared.advance(Phase::Draining);
    }

    /// Tells everybody to finish, waits until all guards are dropped or `grace` has passed, and
    /// then tells those left to stop at once (it does not wait for them).
    pub async fn drain(self, grace: Duration) -> Drained {
        self.start();
        let complete = tokio::time::timeout(grace, self.shared.no_guards()).await.is_ok();
        // Also when it is complete: those who only watch learn that it is over.
        self.shared.advance(Phase::Over);
        if complete { Drained::Complete } else { Drained::Forced { left: self.in_progress() } }
    }

    /// Waits, after [`Drain::start`], until all guards are dropped. Without a deadline.
    pub async fn complete(&self) {
        self.shared.no_guards().await;
    }
}

impl Shared {
    fn advance(&self, to: Phase) {
        self.phase.send_if_modified(|phase| {
            let forward = *phase < to;
            if forward {
                *phase = to;
                self.now.store(to as u8, Ordering::Release);
            }
            forward
        });
    }

    fn has_reached(&self, phase: Phase) -> bool {
        self.now.load(Ordering::Acquire) >= phase as u8
    }

    async fn reached(&self, phase: Phase) {
        // The sender lives in `self`, so the wait cannot end with an error.
        let _ = self.phase.subscribe().wait_for(|now| *now >= phase).await;
    }

    async fn no_guards(&self) {
        loop {
            // Registered before the check, so that a drop in between is not missed.
            let gone = self.last_guard_gone.notified();
            tokio::pin!(gone);
            gone.as_mut().enable();
            if self.guards.load(Ordering::Acquire) == 0 {
                return;
            }
            gone.await;
        }
    }
}

impl DrainWatch {
    /// Holds the drain up until dropped.
    pub fn guard(&self) -> DrainGuard {
        self.shared.guards.fetch_add(1, Ordering::AcqRel);
        DrainGuard { watch: self.clone() }
    }

    /// Holds the drain up, too, unless `max` guards are alive already. However many ask at once,
    /// there are never more.
    pub fn try_guard(&self, max: usize) -> Option<DrainGuard> {
        let one_more = |alive| (alive < max).then_some(alive + 1);
        self.shared.guards.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).ok()?;
        Some(DrainGuard { watch: self.clone() })
    }

    /// Whether the drain has begun.
    pub fn is_draining(&self) -> bool {
        self.shared.has_reached(Phase::Draining)
    }

    /// Whether the drain is over: its deadline has passed, or nothing is in progress any more.
    pub fn is_forced(&self) -> bool {
        self.shared.has_reached(Phase::Over)
    }

    /// Resolves when the drain begins (at once if it has).
    pub async fn draining(&self) {
        self.shared.reached(Phase::Draining).await;
    }

    /// Resolves when the drain is over: who still works stops at once.
    pub async fn forced(&self) {
        self.shared.reached(Phase::Over).await;
    }
}

impl DrainGuard {
    /// A view that does not hold the drain up.
    pub fn watch(&self) -> DrainWatch {
        self.watch.clone()
    }
}

impl std::ops::Deref for DrainGuard {
    type Target = DrainWatch;
    fn deref(&self) -> &DrainWatch {
        &self.watch
    }
}

impl Clone for DrainGuard {
    fn clone(&self) -> Self {
        self.watch.guard()
    }
}

impl Drop for DrainGuard {
    fn drop(&mut self) {
        if self.watch.shared.guards.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.watch.shared.last_guard_gone.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn ends_when_the_last_guard_is_dropped() {
        let drain = Drain::new();
        let guard = drain.guard();
        let second = guard.clone();
        assert_eq!(drain.in_progress(), 2);
        tokio::spawn(async move {
            second.draining().await;
            drop(second);
        });
        tokio::spawn(async move {
            guard.draining().await;
            tokio::task::yield_now().await;
            drop(guard);
        });
        assert_eq!(drain.drain(Duration::from_secs(5)).await, Drained::Complete);
    }

    #[tokio::test(start_paused = true)]
    async fn is_forced_after_the_deadline() {
        let drain = Drain::new();
        let guard = drain.guard();
        let ended = drain.drain(Duration::from_secs(3)).await;
        assert_eq!(ended, Drained::Forced { left: 1 });
        assert!(guard.is_forced() && guard.is_draining());
        guard.forced().await;
    }

    #[test]
    fn guards_may_be_limited() {
        let drain = Drain::new();
        let first = drain.watch().try_guard(1).unwrap();
        assert!(drain.watch().try_guard(1).is_none());
        assert_eq!(drain.in_progress(), 1);
        drop(first);
        assert!(drain.watch().try_guard(1).is_some());
        assert_eq!(drain.in_progress(), 0);
    }

    #[tokio::test]
    async fn a_watch_holds_nothing_up() {
        let drain = Drain::new();
        let watch = drain.watch();
        assert!(!watch.is_draining());
        assert_eq!(drain.drain(Duration::ZERO).await, Drained::Complete);
        watch.draining().await;
        watch.forced().await;
    }
}
