//! Serving HTTP/2 connections: every stream a task, bounded by the windows of both sides.

mod body;
mod flood;
mod life;
mod resets;
mod session;
mod stream;

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream};
use ir::http::Http2Options;
use net::Io;
use tokio::sync::Notify;
use upstream::Metered;

use self::flood::{Guarded, Wire};
use self::session::Session;
use self::stream::Stream;
use super::HttpConnection;

/// Where the configuration does not say.
const STREAM_WINDOW: u32 = 256 * 1024;
/// Envoy's default. Uploads whose servers do not read fill their streams' windows, and up to 95 of them
/// leave room for the others. More than that a stranger may not make us keep.
const CONNECTION_WINDOW: u32 = 24 * 1024 * 1024;
const MAX_STREAMS: u32 = 1024;
/// What a stream may keep of ours before the socket takes it.
const SEND_BUFFER: usize = 128 * 1024;
/// What is kept of small DATA frames costs more than their bytes (about 256 each), and at the budget's
/// end `h2` ends the connection with all its streams. Eight streams whose upstream stalls may fill their
/// windows with messages of 16 bytes.
const SMALL_FRAMES: usize = 32 * 1024 * 1024;
/// Streams that a client reset before we looked at them: read at once, a few at a time are no attack.
const MAX_UNSEEN_RESETS: usize = 100;
/// Streams that we reset are remembered for a second, while their clients go on sending.
const MAX_RESET_STREAMS: usize = 1024;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(15);
/// New streams of one connection in a row, before other connections have their turn: a client that opens
/// a thousand at once is as one of many to the others, and not as a thousand.
const STREAMS_AT_ONCE: u32 = 16;
/// How long the last words may take.
const CLOSING: Duration = Duration::from_secs(1);

type Served = Connection<Metered<Guarded>, Bytes>;

/// What the connection has to heed besides its frames.
enum Event {
    Accepted(Option<Result<(http::Request<RecvStream>, SendResponse<Bytes>), h2::Error>>),
    /// No new streams are wanted: idle, too old, used up, draining.
    EndOfLife,
    /// Streams get no more time.
    Forced,
    /// After the announcement: nothing has been under way for a while.
    Unused,
    /// A PING was not answered.
    Dead,
    /// A flood of frames that cost us more than the client, or of resets.
    Abuse,
}

/// Serves streams until the connection ends.
pub async fn serve(conn: Rc<HttpConnection>, io: Io) {
    let hcm = conn.hcm();
    let options = hcm.config.http2;
    let max_requests = hcm.config.max_requests_per_connection.filter(|max| *max > 0);
    let builder = builder(&options, hcm.max_headers_kb.saturating_mul(1024));
    drop(hcm);
    let (io, wire) = Guarded::new(io);
    let (io, outbox) = Metered::new(io);
    let handshake = tokio::time::timeout(HANDSHAKE_TIMEOUT, builder.handshake::<_, Bytes>(io));
    let Ok(Ok(mut connection)) = handshake.await else {
        conn.stats.cx_protocol_error.inc();
        return;
    };
    let session = Rc::new(Session::new(outbox));
    let ending = Rc::new(Notify::new());
    let mut others = life::others(&conn, &session, &options, &mut connection, &ending);
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
            if wire.is_flooded() || session.abused.get() {
                return Poll::Ready(Event::Abuse);
            }
            session.remember(cx);
            // Polls only those that were woken.
            others.poll_next_unpin(cx).map(|event| event.unwrap_or(Event::Dead))
        });
        match event.await {
            Event::Accepted(Some(Ok((request, respond)))) => {
                accepted += 1;
                // In a box: a task is moved several times until it runs.
                let stream = Stream::new(&conn, &session);
                tokio::task::spawn_local(stdx::pinned(|| stream.serve(request, respond)));
                if max_requests.is_some_and(|max| accepted >= max) && !std::mem::replace(&mut announced, true)
                {
                    announce(&mut connection, &ending);
                }
            }
            Event::Accepted(Some(Err(error))) => {
                if error.is_library() || error.is_reset() {
                    conn.stats.cx_protocol_error.inc();
                }
                tracing::debug!(%error, "HTTP/2 connection ended");
                drop(connection);
                let _ = tokio::time::timeout(CLOSING, wire.discard()).await;
                return;
            }
            Event::Accepted(None) | Event::Forced => return,
            Event::EndOfLife if std::mem::replace(&mut announced, true) => {}
            Event::EndOfLife => announce(&mut connection, &ending),
            Event::Unused => return close(connection, &wire, Reason::NO_ERROR).await,
            Event::Dead => return conn.stats.cx_keepalive_timeout.inc(),
            Event::Abuse => {
                conn.stats.cx_protocol_error.inc();
                if session.abused.get() {
                    conn.stats.rq_too_many_premature_resets.inc();
                }
                return close(connection, &wire, Reason::ENHANCE_YOUR_CALM).await;
            }
        }
    }
}

fn builder(options: &Http2Options, max_head: u32) -> h2::server::Builder {
    let window = options.initial_connection_window_size.unwrap_or(CONNECTION_WINDOW);
    let mut builder = h2::server::Builder::new();
    builder
        .initial_window_size(options.initial_stream_window_size.unwrap_or(STREAM_WINDOW))
        .initial_connection_window_size(window)
        .data_frame_budget(SMALL_FRAMES)
        .max_concurrent_streams(options.max_concurrent_streams.unwrap_or(MAX_STREAMS))
        .max_header_list_size(max_head)
        .max_send_buffer_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(MAX_UNSEEN_RESETS)
        .max_concurrent_reset_streams(MAX_RESET_STREAMS);
    if let Some(size) = options.hpack_table_size {
        builder.header_table_size(size);
    }
    if options.allow_connect {
        builder.enable_connect_protocol();
    }
    builder
}

/// Two GOAWAYs, the second a round trip after the first (RFC 9113, section 6.8), so that no stream
/// that is on its way is lost. Streams finish.
fn announce(connection: &mut Served, ending: &Notify) {
    connection.graceful_shutdown();
    ending.notify_one();
}

/// Says why, and waits a little for the client to hear it: a socket that is closed with bytes unread
/// resets the connection, and what was sent may be lost.
async fn close(mut connection: Served, wire: &Wire, reason: Reason) {
    connection.abrupt_shutdown(reason);
    let _ = tokio::time::timeout(CLOSING, async {
        let _ = poll_fn(|cx| connection.poll_closed(cx)).await;
        wire.discard().await;
    })
    .await;
}
