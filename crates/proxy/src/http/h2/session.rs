//! What the streams of a connection have in common.

use std::cell::{Cell, RefCell};
use std::task::{Context, Waker};
use std::time::Instant;

use stdx::turn;

use super::resets::Resets;

/// Streams under way, and those that were.
pub(super) struct Session {
    pub(super) streams: Cell<usize>,
    /// When the last one ended.
    pub(super) last: Cell<Instant>,
    resets: Cell<Resets>,
    /// Too much is enough: the connection is to end.
    pub(super) abused: Cell<bool>,
    /// Wakes the connection's own task.
    waker: RefCell<Option<Waker>>,
}

impl Session {
    pub(super) fn new() -> Self {
        Session {
            streams: Cell::new(0),
            last: Cell::new(Instant::now()),
            resets: Cell::default(),
            abused: Cell::new(false),
            waker: RefCell::new(None),
        }
    }

    pub(super) fn remember(&self, cx: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
    }

    /// A stream is over; `reset`: its client did not want to wait for the response.
    pub(super) fn ended(&self, started: Instant, reset: bool) {
        let now = turn::now();
        self.streams.set(self.streams.get() - 1);
        self.last.set(now);
        let mut resets = self.resets.get();
        let too_many = resets.ended(now.saturating_duration_since(started), reset);
        self.resets.set(resets);
        let first = too_many && !self.abused.replace(true);
        if let Some(waker) = self.waker.borrow().as_ref().filter(|_| first) {
            waker.wake_by_ref();
        }
    }
}
