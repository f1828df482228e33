//! Requests that wait for a connection, because there may be no more of them. As in Envoy they wait
//! for one to the same endpoint, on the same worker; an endpoint without any gets one whatever the limit.

use std::collections::{HashMap, VecDeque};
use std::rc::{Rc, Weak};

use foldhash::fast::RandomState;
use tokio::sync::oneshot;

use super::Idle;
use crate::send::{Inner, Key};

/// Who waits, and what there is to wait for.
#[derive(Default)]
pub(crate) struct Queue {
    by_key: HashMap<Key, Lane, RandomState>,
    /// Of all lanes: nobody looks further while there are none.
    waiting: usize,
}

#[derive(Default)]
struct Lane {
    /// Connections that stand or are being made.
    connections: u32,
    waiting: VecDeque<oneshot::Sender<Turn>>,
}

/// What the first in the queue gets.
pub(crate) enum Turn {
    Connection(Box<Idle>),
    /// To make one: another has ended.
    Room,
}

/// Stands for a connection until it is dropped.
pub(crate) struct Counted {
    inner: Weak<Inner>,
    key: Key,
}

impl Queue {
    /// Connections with this key.
    pub fn connections(&self, key: &Key) -> u32 {
        self.by_key.get(key).map_or(0, |lane| lane.connections)
    }

    /// The turn of one more that waits.
    pub fn wait(&mut self, key: &Key) -> oneshot::Receiver<Turn> {
        let (sender, turn) = oneshot::channel();
        self.by_key.entry(key.clone()).or_default().waiting.push_back(sender);
        self.waiting += 1;
        turn
    }

    /// Gives a connection to the first who waits for one like it; else it comes back.
    pub fn hand_over(&mut self, mut idle: Box<Idle>) -> Option<Box<Idle>> {
        if self.waiting == 0 {
            return Some(idle);
        }
        let Some(lane) = self.by_key.get_mut(idle.key()) else { return Some(idle) };
        while let Some(first) = lane.waiting.pop_front() {
            self.waiting -= 1;
            match first.send(Turn::Connection(idle)) {
                Ok(()) => return None,
                Err(Turn::Connection(back)) => idle = back,
                Err(Turn::Room) => return None,
            }
        }
        Some(idle)
    }

    fn ended(&mut self, key: &Key) {
        let Some(lane) = self.by_key.get_mut(key) else { return };
        lane.connections = lane.connections.saturating_sub(1);
        while let Some(first) = lane.waiting.pop_front() {
            self.waiting -= 1;
            if first.send(Turn::Room).is_ok() {
                break;
            }
        }
        if lane.connections == 0 && lane.waiting.is_empty() {
            self.by_key.remove(key);
        }
    }
}

impl Counted {
    pub fn new(inner: &Rc<Inner>, key: &Key) -> Self {
        inner.queue.borrow_mut().by_key.entry(key.clone()).or_default().connections += 1;
        Counted { inner: Rc::downgrade(inner), key: key.clone() }
    }

    pub fn key(&self) -> &Key {
        &self.key
    }

    /// There was no room for it after all.
    pub fn forget(mut self, inner: &Inner) {
        if let Some(lane) = inner.queue.borrow_mut().by_key.get_mut(&self.key) {
            lane.connections = lane.connections.saturating_sub(1);
        }
        self.inner = Weak::new();
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.upgrade() {
            inner.queue.borrow_mut().ended(&self.key);
        }
    }
}
