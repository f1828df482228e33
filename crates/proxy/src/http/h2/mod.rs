//! Serving HTTP/2 connections: every stream a task, bounded by the windows of both sides.

mod body;
mod life;
mod resets;
mod session;
mod stream;

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use futures_util::StreamExt;
use http2::{Config, Error, Incoming, Reason, Server};
use ir::http::Http2Options;
use net::Io;
use stdx::turn::Timed;
use tokio::io::AsyncReadExt;
use tokio::sync::Notify;

use self::session::Session;
use self::stream::Stream;
use super::HttpConnection;

/// Where the configuration does not say.
const STREAM_WINDOW: u32 = 256 * 1024;
/// Envoy's default. Uploads whose servers do not read fill their streams' windows, and up to 95 of them
/// leave room for the others. More than that a stranger may not make us keep.
const CONNECTION_WINDOW: u32 = 24 * 1024 * 1024;
const MAX_STREAMS: u32 = 1024;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(15);
/// New streams of one connection in a row, before other connections have their turn: a client that opens
/// a thousand at once is as one of many to the others, and not as a thousand.
const STREAMS_AT_ONCE: u32 = 16;
/// How long the last words may take.
const CLOSING: Duration = Duration::from_secs(1);

/// Of what a client sends after it was told to stop.
const DISCARDED: usize = 1024 * 1024;

type Served = Server<Io>;

/// What the connection has to heed besides its frames.
enum Event {
    Accepted(Option<Result<Incoming, Error>>),
    /// No new streams are wanted: idle, too old, used up, draining.
    EndOfLife,
    /// Streams get no more time.
    Forced,
    /// After the announcement: nothing has been under way for a while.
    Unused,
    /// A PING was not answered.
    Dead,
    /// A flood of resets.
    Abuse,
}

/// Serves streams until the connection ends.
pub async fn serve(conn: Rc<HttpConnection>, io: Io) {
    let hcm = conn.hcm();
    let options = hcm.config.http2;
    let max_requests = hcm.config.max_requests_per_connection.filter(|max| *max > 0);
    let config = config(&options, hcm.max_headers_kb);
    drop(hcm);
    let mut connection = Server::new(io, config);
    let handshake = poll_fn(|cx| connection.poll_handshake(cx));
    if !matches!(tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await, Ok(Ok(()))) {
        conn.stats.cx_protocol_error.inc();
        return;
    }
    let session = Rc::new(Session::new());
    let ending = Rc::new(Notify::new());
    let mut others = life::others(&conn, &session, &options, &connection, &ending);
    let (mut accepted, mut announced, mut in_a_row) = (0, false, 0);
    loop {
        if in_a_row >= STREAMS_AT_ONCE {
            tokio::task::yield_now().await;
            in_a_row = 0;
        }
        let event = poll_fn(|cx| {
            if let Poll::Ready(accepted) = connection.poll_accept(cx) {
                in_a_row += 1;
                return Poll::Ready(Event::Accepted(accepted));
            }
            in_a_row = 0;
            if session.abused.get() {
                return Poll::Ready(Event::Abuse);
            }
            session.remember(cx);
            // Polls only those that were woken.
            others.poll_next_unpin(cx).map(|event| event.unwrap_or(Event::Dead))
        });
        match event.await {
            Event::Accepted(Some(Ok(incoming))) => {
                accepted += 1;
                // In a box: a task is moved several times until it runs.
                let stream = Stream::new(&conn, &session);
                tokio::task::spawn_local(Timed(stdx::pinned(|| stream.serve(incoming))));
                if max_requests.is_some_and(|max| accepted >= max) && !std::mem::replace(&mut announced, true)
                {
                    announce(&mut connection, &ending);
                }
            }
            Event::Accepted(Some(Err(error))) => {
                tracing::debug!(%error, "HTTP/2 connection ended");
                if matches!(error, Error::Violation(..)) {
                    conn.stats.cx_protocol_error.inc();
                    let _ = tokio::time::timeout(CLOSING, discard(connection.io())).await;
                }
                return;
            }
            Event::Accepted(None) | Event::Forced => return,
            Event::EndOfLife if std::mem::replace(&mut announced, true) => {}
            Event::EndOfLife => announce(&mut connection, &ending),
            Event::Unused => return close(connection, Reason::NO_ERROR).await,
            Event::Dead => return conn.stats.cx_keepalive_timeout.inc(),
            Event::Abuse => {
                conn.stats.cx_protocol_error.inc();
                conn.stats.rq_too_many_premature_resets.inc();
                return close(connection, Reason::ENHANCE_YOUR_CALM).await;
            }
        }
    }
}

fn config(options: &Http2Options, max_headers_kb: u32) -> Config {
    Config {
        stream_window: options.initial_stream_window_size.unwrap_or(STREAM_WINDOW),
        connection_window: options.initial_connection_window_size.unwrap_or(CONNECTION_WINDOW),
        max_streams: options.max_concurrent_streams.unwrap_or(MAX_STREAMS),
        max_head: max_headers_kb.saturating_mul(1024) as usize,
        table_size: options.hpack_table_size,
        extended_connect: options.allow_connect,
        ..Config::default()
    }
}

/// So that no stream that is on its way is lost. Streams finish.
fn announce(connection: &mut Served, ending: &Notify) {
    connection.announce_end();
    ending.notify_one();
}

/// Says why, and waits a little for the client to hear it: a socket that is closed with bytes unread
/// resets the connection, and what was sent may be lost.
async fn close(mut connection: Served, reason: Reason) {
    connection.shut_down(reason);
    let _ = tokio::time::timeout(CLOSING, async {
        poll_fn(|cx| connection.poll_closed(cx)).await;
        discard(connection.io()).await;
    })
    .await;
}

/// Reads on until the client hangs up or has sent far too much.
async fn discard(io: &mut Io) {
    let mut room = [0; 4096];
    let mut left = DISCARDED;
    while left > 0 {
        match io.read(&mut room).await {
            Ok(0) | Err(_) => return,
            Ok(read) => left = left.saturating_sub(read),
        }
    }
}
