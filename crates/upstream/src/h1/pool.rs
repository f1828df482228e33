//! Connections that wait for their next request.

use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use foldhash::fast::RandomState;
use http1::ClientConn;
use net::Io;
use stdx::turn;

use super::queue::Counted;
use crate::Facts;
use crate::dial::Dialed;
use crate::send::{Call, Key};
use crate::state::InFlight;

/// Idle connections by where they lead. The one used last is used next, so that the others grow
/// old and are closed.
#[derive(Default)]
pub(crate) struct Pool {
    #[allow(clippy::vec_box, reason = "they move from hand to hand with every request")]
    idle: HashMap<Key, Vec<Box<Idle>>, RandomState>,
}

/// A connection and what it is good for.
pub(crate) struct Idle {
    pub(super) conn: ClientConn<Io>,
    pub(super) facts: Rc<Facts>,
    served: u32,
    max_requests: Option<u32>,
    idle_timeout: Option<Duration>,
    end_of_life: Option<Instant>,
    since: Instant,
    /// No configuration named the endpoint when it was looked at last.
    orphaned: bool,
    counted: InFlight,
    /// Knows its key. Last, so that whoever waits for its end finds room.
    in_queue: Counted,
}

impl Idle {
    /// TLS has failed after the handshake.
    pub(super) fn note_refused(&self, error: &identity::TlsError) {
        self.counted.note_refused(error);
    }

    pub(crate) fn new(dialed: Dialed, call: &Call<'_>, in_queue: Counted) -> Self {
        let Dialed { io, tls, local, counted, dialed } = dialed;
        Idle {
            conn: ClientConn::new(io, call.limits()),
            facts: Rc::new(Facts { protocol: "HTTP/1.1", local, tls, dialed }),
            served: 0,
            max_requests: call.to.config.max_requests_per_connection.filter(|max| *max > 0),
            idle_timeout: call.idle_timeout(),
            end_of_life: call.end_of_life(),
            since: Instant::now(),
            orphaned: false,
            counted,
            in_queue,
        }
    }

    pub(super) fn key(&self) -> &Key {
        self.in_queue.key()
    }

    /// One more request was served; whether another may be.
    pub(super) fn may_serve_again(&mut self) -> bool {
        self.served += 1;
        self.conn.reusable() && self.max_requests.is_none_or(|max| self.served < max)
    }

    /// The stream, which counts as a connection for as long as it lives.
    pub(super) fn into_upgraded(self) -> io::Result<(Io, Bytes)> {
        let (mut io, first) = self.conn.into_upgraded()?;
        io.attach(self.counted);
        // Whoever waits needs not wait for this one any more: it takes no requests.
        drop(self.in_queue);
        Ok((io, first))
    }

    /// When it has been idle for too long, or lived too long; `None`: never.
    pub(crate) fn expires(&self) -> Option<Instant> {
        let idle = self.idle_timeout.and_then(|limit| self.since.checked_add(limit));
        match (idle, self.end_of_life) {
            (Some(idle), Some(end)) => Some(idle.min(end)),
            (one, other) => one.or(other),
        }
    }

    fn has_time(&self, now: Instant) -> bool {
        self.expires().is_none_or(|end| end > now)
    }

    /// The endpoint is still where it was, and time is left.
    fn is_good(&mut self, now: Instant, cx: &mut Context<'_>) -> bool {
        self.has_time(now) && self.conn.poll_idle_end(cx).is_pending()
    }
}

impl Pool {
    /// The connection that was used last, if the endpoint has not closed it.
    pub(crate) fn take(&mut self, key: &Key) -> Option<Box<Idle>> {
        let stack = self.idle.get_mut(key)?;
        let mut cx = Context::from_waker(Waker::noop());
        let now = turn::now();
        while let Some(mut idle) = stack.pop() {
            // It was read to its last byte when it was put here.
            let quiet = idle.conn.with_io(Io::is_quiet) == Some(true);
            if (quiet && idle.has_time(now)) || idle.is_good(now, &mut cx) {
                return Some(idle);
            }
        }
        None
    }

    /// Keeps a connection. Nobody is told when the endpoint closes it, before the next sweep.
    pub(crate) fn put(&mut self, mut idle: Box<Idle>) {
        idle.since = turn::now();
        if idle.has_time(idle.since) {
            self.idle.entry(idle.key().clone()).or_default().push(idle);
        }
    }

    /// Drops what was closed, is too old, or leads where no configuration does any more.
    /// `look_for_orphans`: two such looks apart from each other end a connection. `cx` is woken when
    /// the endpoint closes one of those that are left.
    pub(crate) fn sweep(&mut self, now: Instant, look_for_orphans: bool, cx: &mut Context<'_>) {
        self.idle.retain(|_, stack| {
            stack.retain_mut(|idle| {
                let orphaned = idle.counted.is_orphaned();
                let abandoned = look_for_orphans && orphaned && idle.orphaned;
                idle.orphaned = if look_for_orphans { orphaned } else { idle.orphaned };
                !abandoned && idle.is_good(now, cx)
            });
            !stack.is_empty()
        });
    }

    /// When the next connection gets too old.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.idle.values().flatten().filter_map(|idle| idle.expires()).min()
    }

    /// Whether some connection is kept for this key.
    pub(crate) fn has(&self, key: &Key) -> bool {
        self.idle.get(key).is_some_and(|stack| !stack.is_empty())
    }

    pub(crate) fn clear(&mut self) {
        self.idle.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.idle.values().map(Vec::len).sum()
    }
}
