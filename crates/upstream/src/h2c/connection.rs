//! One connection: its settings, its streams, its end.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use http2::{Client, Config, Receive, Send};
use ir::http::Http2Options;
use stdx::turn;
use tokio::sync::Notify;

use super::error::StreamError;
use crate::dial::Dialed;
use crate::send::{Call, Inner};
use crate::{EndpointState, Facts, InFlight, RequestHead, SendError};

/// What an endpoint may send ahead of the taker of one response.
const STREAM_WINDOW: u32 = 256 * 1024;
/// Streams at a time where the configuration does not say; Envoy's default.
const MAX_STREAMS: u32 = 1024;
/// Of a connection: what the protocol begins with, and the most it has (RFC 9113, section 6.9).
const MIN_WINDOW: u32 = 65_535;
const MAX_WINDOW: u32 = (1 << 31) - 1;
/// How long a new connection has to announce extended CONNECT.
const SETTINGS_TIMEOUT: Duration = Duration::from_secs(1);

/// A connection that may carry several requests.
pub(crate) struct Connection {
    client: Client,
    /// Our own limit of streams at a time.
    max_streams: usize,
    /// A PING is due before the connection is relied on, after so long without streams.
    ping_after: Option<Duration>,
    ping: Rc<Notify>,
    pub(super) facts: Rc<Facts>,
    /// Nothing more may be sent: closed, or going away.
    dead: Cell<bool>,
    /// A response came, so that the peer's limit of streams is known.
    pub(super) settled: Cell<bool>,
    streams: Cell<u32>,
    served: Cell<u32>,
    max_requests: Option<u32>,
    idle_timeout: Option<Duration>,
    end_of_life: Option<Instant>,
    idle_since: Cell<Instant>,
    endpoint: Weak<EndpointState>,
    orphaned: Cell<bool>,
    /// Whose sweeper is told when the last stream has ended.
    pool: std::rc::Weak<Inner>,
    _counted: InFlight,
}

/// A request under way.
pub(super) struct Stream {
    pub(super) receive: Receive,
    pub(super) send: Send,
    pub(super) counted: Counted,
    /// The connection had served a request before.
    pub(super) reused: bool,
}

/// Counts a stream of a connection.
pub(super) struct Counted(Rc<Connection>);

impl Drop for Counted {
    fn drop(&mut self) {
        let conn = &self.0;
        conn.streams.set(conn.streams.get().saturating_sub(1));
        conn.idle_since.set(turn::now());
        // While it had streams nobody could tell when it is to be looked at.
        if conn.streams.get() == 0
            && let Some(inner) = conn.pool.upgrade()
        {
            inner.look_sooner(conn.expires());
        }
    }
}

/// Speaks HTTP/2 on a connection that stands, and puts it into the pool.
pub(crate) async fn open(
    inner: &Rc<Inner>,
    dialed: Dialed,
    call: &Call<'_>,
) -> Result<Rc<Connection>, SendError> {
    let Dialed { io, tls, local, counted, dialed } = dialed;
    let options = &call.to.config.http2;
    let max_streams = inner.h2.borrow().max_streams(&call.key);
    let (client, driver) = http2::client(io, config(call, max_streams));
    let ping = Rc::new(Notify::new());
    let keepalive = options.keepalive.map(|settings| (client.pings(), settings, ping.clone()));
    let conn = Rc::new(Connection {
        client,
        max_streams: options.max_concurrent_streams.unwrap_or(MAX_STREAMS) as usize,
        ping_after: options.keepalive.and_then(|keepalive| keepalive.idle_interval),
        ping,
        facts: Rc::new(Facts { protocol: "HTTP/2", local, tls, dialed }),
        dead: Cell::new(false),
        settled: Cell::new(false),
        streams: Cell::new(0),
        served: Cell::new(0),
        max_requests: call.to.config.max_requests_per_connection.filter(|max| *max > 0),
        idle_timeout: call.idle_timeout(),
        end_of_life: call.end_of_life(),
        idle_since: Cell::new(Instant::now()),
        endpoint: Arc::downgrade(&call.to.endpoint),
        orphaned: Cell::new(false),
        pool: Rc::downgrade(inner),
        _counted: counted,
    });
    let (weak, key, pool) = (Rc::downgrade(&conn), call.key.clone(), Rc::downgrade(inner));
    tokio::task::spawn_local(async move {
        let dead = async {
            match keepalive {
                Some((pings, settings, asked)) => crate::keepalive(pings, settings, &asked).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ended = driver => tracing::debug!(error = ?ended.err(), "HTTP/2 connection to an endpoint ended"),
            () = dead => tracing::debug!("an endpoint did not answer a PING in time"),
        }
        if let Some(conn) = weak.upgrade() {
            conn.dead.set(true);
        }
        if let Some(inner) = pool.upgrade() {
            inner.h2.borrow_mut().forget_dead(&key);
        }
    });
    inner.h2.borrow_mut().add(&call.key, conn.clone());
    inner.look_at(conn.expires());
    Ok(conn)
}

fn config(call: &Call<'_>, max_streams: usize) -> Config {
    let options = &call.to.config.http2;
    let stream_window = options.initial_stream_window_size.unwrap_or(STREAM_WINDOW);
    Config {
        stream_window,
        connection_window: connection_window(options, stream_window),
        max_head: call.limits().max_head_bytes(),
        first_max_streams: max_streams,
        table_size: options.hpack_table_size,
        ..Config::default()
    }
}

/// As much as all streams together may have: clients that do not read fill their own streams' windows,
/// and if those filled the connection's, all others would wait for them.
fn connection_window(options: &Http2Options, stream_window: u32) -> u32 {
    let streams = options.max_concurrent_streams.unwrap_or(MAX_STREAMS);
    let all = stream_window.saturating_mul(streams).clamp(stream_window.max(MIN_WINDOW), MAX_WINDOW);
    options.initial_connection_window_size.unwrap_or(all)
}

/// Opens a stream with a request.
pub(super) async fn start(
    conn: &Rc<Connection>,
    request: &RequestHead,
    ends: bool,
) -> Result<Stream, StreamError> {
    if conn.streams.get() == 0
        && conn.ping_after.is_some_and(|limit| conn.idle_since.get().elapsed() >= limit)
    {
        conn.ping.notify_one();
    }
    conn.streams.set(conn.streams.get() + 1);
    let counted = Counted(conn.clone());
    poll_fn(|cx| conn.client.poll_ready(cx)).await.map_err(|error| StreamError::unsent(&error))?;
    let https = request.scheme() == "https";
    let sent = conn.client.send(request.as_h2(), https, ends);
    let (receive, send) = sent.map_err(|error| StreamError::unsent(&error))?;
    let served = conn.served.get();
    conn.served.set(served + 1);
    Ok(Stream { receive, send, counted, reused: served > 0 })
}

impl Connection {
    /// Another stream may be opened, and the peer lets it begin at once.
    pub(crate) fn has_room(&self) -> bool {
        let limit = self.max_streams.min(self.client.max_streams());
        self.is_usable() && (self.streams.get() as usize) < limit
    }

    /// Waits until the endpoint has said that it takes extended CONNECT (RFC 8441, section 3), which
    /// it does first of all, but maybe not yet.
    pub(super) async fn takes_upgrades(&self) -> bool {
        let end = Instant::now() + SETTINGS_TIMEOUT;
        while self.client.extended_connect() != Some(true) {
            if self.settled.get() || !self.is_usable() || Instant::now() >= end {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        true
    }

    /// Another stream may be opened.
    pub(crate) fn is_usable(&self) -> bool {
        !self.dead.get()
            && self.max_requests.is_none_or(|max| self.served.get() < max)
            && self.end_of_life.is_none_or(|end| Instant::now() < end)
    }

    /// A response came: the settings that came before it are in force.
    pub(super) fn settle(&self) -> Option<usize> {
        (!self.settled.replace(true)).then(|| self.client.max_streams())
    }

    /// Draws the conclusions from an error of one of its streams.
    pub(super) fn note(&self, error: &StreamError) {
        if error.connection_over {
            self.dead.set(true);
        }
    }

    /// When it has been without streams for too long; `None`: never, or it has some.
    pub(crate) fn expires(&self) -> Option<Instant> {
        if self.streams.get() > 0 {
            return None;
        }
        let idle = self.idle_timeout.and_then(|limit| self.idle_since.get().checked_add(limit));
        idle.into_iter().chain(self.end_of_life).min()
    }

    /// To be let go of: too old, or leading where no configuration does any more.
    pub(crate) fn is_over(&self, now: Instant, look_for_orphans: bool) -> bool {
        if self.dead.get() {
            return true;
        }
        if self.streams.get() > 0 {
            return false;
        }
        let orphaned = self.endpoint.strong_count() <= 1;
        let abandoned = look_for_orphans && orphaned && self.orphaned.get();
        if look_for_orphans {
            self.orphaned.set(orphaned);
        }
        abandoned || self.expires().is_some_and(|end| end <= now)
    }
}
