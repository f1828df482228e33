//! Connections by where they lead, and those that are being made.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Instant;

use foldhash::fast::RandomState;
use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, Shared};

use super::connection::{self, Connection};
use crate::dial::dial;
use crate::send::{Call, Inner, Key, OwnedCall};
use crate::{Failure, SendError};

/// A connection under way, with everyone who waits for it.
type Connecting = Shared<LocalBoxFuture<'static, Result<Rc<Connection>, Rc<SendError>>>>;

/// All connections of a worker.
#[derive(Default)]
pub(crate) struct Pool {
    slots: HashMap<Key, Slot, RandomState>,
}

#[derive(Default)]
struct Slot {
    connections: Vec<Rc<Connection>>,
    connecting: Option<Connecting>,
    /// What the endpoint allowed on an earlier connection: a new one begins with that, since its
    /// settings arrive after our first requests have left.
    max_streams: Option<usize>,
}

/// Until an endpoint has told us.
const MAX_STREAMS: usize = 100;

/// Connections of an endpoint that refuses streams: so many are tried before one is asked again.
const TRIED: usize = 2;

/// New connections that one request waits for until it queues on a full one.
const ATTEMPTS: usize = 3;

/// A connection with room for a stream, another one than that which refused it where there is one.
/// Requests that come together share one new connection.
pub(super) async fn acquire(
    inner: &Rc<Inner>,
    call: &Call<'_>,
    refused_by: Option<&Rc<Connection>>,
) -> Result<Rc<Connection>, SendError> {
    let mut attempts = 0;
    loop {
        if let Some(conn) = inner.h2.borrow().with_room_beside(&call.key, refused_by) {
            return Ok(conn);
        }
        let connecting = connecting(inner, call);
        let conn = match connecting.await {
            Ok(conn) => conn,
            // No more connections, but one that stands: wait there for a stream.
            Err(error) => match (&error.failure, inner.h2.borrow().usable(&call.key)) {
                (Failure::Overflow(_), Some(conn)) => return Ok(conn),
                _ => return Err(copy(&error)),
            },
        };
        attempts += 1;
        if conn.has_room() || (attempts >= ATTEMPTS && conn.is_usable()) {
            return Ok(conn);
        }
        if attempts > ATTEMPTS {
            return Err(SendError::new(Failure::Closed));
        }
    }
}

/// The connection under way, begun if there is none. It is made even if nobody waits any more.
fn connecting(inner: &Rc<Inner>, call: &Call<'_>) -> Connecting {
    let mut pool = inner.h2.borrow_mut();
    let slot = pool.slots.entry(call.key.clone()).or_default();
    if let Some(connecting) = &slot.connecting {
        return connecting.clone();
    }
    let (weak, call) = (Rc::downgrade(inner), call.to_owned());
    let connecting = async move { connect(&weak, &call).await.map_err(Rc::new) }.boxed_local().shared();
    slot.connecting = Some(connecting.clone());
    tokio::task::spawn_local(connecting.clone().map(drop));
    connecting
}

async fn connect(inner: &std::rc::Weak<Inner>, call: &OwnedCall) -> Result<Rc<Connection>, SendError> {
    let call = call.borrow();
    let dialed = dial(call.to, call.options, call.fallback()).await;
    let Some(inner) = inner.upgrade() else { return Err(SendError::new(Failure::Closed)) };
    let opened = match dialed {
        Ok(dialed) => connection::open(&inner, dialed, &call).await,
        Err(error) => Err(error),
    };
    if let Some(slot) = inner.h2.borrow_mut().slots.get_mut(&call.key) {
        slot.connecting = None;
    }
    inner.h2.borrow_mut().forget_dead(&call.key);
    opened
}

/// Everyone who waited gets the same error.
fn copy(error: &SendError) -> SendError {
    let failure = match error.failure {
        Failure::Connect { timeout, tls } => Failure::Connect { timeout, tls },
        Failure::Overflow(breaker) => Failure::Overflow(breaker),
        _ => Failure::Closed,
    };
    SendError { detail: error.detail.clone(), local: error.local, ..SendError::new(failure) }
}

impl Pool {
    pub(crate) fn with_room(&self, key: &Key) -> Option<Rc<Connection>> {
        self.slots.get(key)?.connections.iter().find(|conn| conn.has_room()).cloned()
    }

    fn with_room_beside(&self, key: &Key, refused_by: Option<&Rc<Connection>>) -> Option<Rc<Connection>> {
        let connections = &self.slots.get(key)?.connections;
        // The first as a rule: fewer, fuller connections write less often.
        let mut with_room = connections.iter().filter(|conn| conn.has_room());
        let Some(refused_by) = refused_by else { return with_room.next().cloned() };
        let other = with_room.find(|conn| !Rc::ptr_eq(conn, refused_by));
        let again = || connections.first().filter(|conn| connections.len() >= TRIED && conn.has_room());
        other.or_else(again).cloned()
    }

    fn usable(&self, key: &Key) -> Option<Rc<Connection>> {
        self.slots.get(key)?.connections.iter().find(|conn| conn.is_usable()).cloned()
    }

    /// Of a new connection, until its settings are there.
    pub(super) fn max_streams(&self, key: &Key) -> usize {
        self.slots.get(key).and_then(|slot| slot.max_streams).unwrap_or(MAX_STREAMS)
    }

    pub(super) fn learn(&mut self, key: &Key, max_streams: usize) {
        if let Some(slot) = self.slots.get_mut(key) {
            slot.max_streams = Some(max_streams);
        }
    }

    pub(super) fn add(&mut self, key: &Key, conn: Rc<Connection>) {
        self.slots.entry(key.clone()).or_default().connections.push(conn);
    }

    /// Lets go of connections that take no more streams; those they have go on.
    pub(crate) fn forget_dead(&mut self, key: &Key) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        slot.connections.retain(|conn| conn.is_usable());
        if slot.connections.is_empty() && slot.connecting.is_none() {
            self.slots.remove(key);
        }
    }

    pub(crate) fn sweep(&mut self, now: Instant, look_for_orphans: bool) {
        self.slots.retain(|_, slot| {
            slot.connections.retain(|conn| conn.is_usable() && !conn.is_over(now, look_for_orphans));
            !slot.connections.is_empty() || slot.connecting.is_some()
        });
    }

    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        let connections = self.slots.values().flat_map(|slot| &slot.connections);
        connections.filter_map(|conn| conn.expires()).min()
    }

    pub(crate) fn clear(&mut self) {
        self.slots.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.values().map(|slot| slot.connections.len()).sum()
    }
}
