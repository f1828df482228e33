//! Serving HTTP/2 connections: every stream a task, bounded by the windows of both sides.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use net::Io;
use tokio::sync::Notify;
use upstream::{Body, BodyError, BodyKind, Frame, RequestHead, Trailers};

use super::HttpConnection;
use super::body::{BoxBody, RequestBody};
use super::context::Context;
use super::respond::{self, Answer, Stop};
use super::{h1, phases};

const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
const MAX_STREAMS: u32 = 1024;
/// How long a peer has to let its last streams come in after it was told of the end.
const IDLE_GRACE: Duration = Duration::from_secs(5);

/// Streams under way, and when the last one ended.
struct Activity {
    streams: Cell<usize>,
    last: Cell<Instant>,
    changed: Notify,
}

/// Serves streams until the connection ends.
pub async fn serve(conn: Rc<HttpConnection>, io: Io) {
    let max_head = conn.hcm().max_headers_kb.saturating_mul(1024);
    let mut builder = h2::server::Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(max_head)
        .max_send_buffer_size(STREAM_WINDOW as usize);
    let handshake = tokio::time::timeout(Duration::from_secs(15), builder.handshake::<_, Bytes>(io));
    let Ok(Ok(mut connection)) = handshake.await else {
        conn.stats.cx_protocol_error.inc();
        return;
    };
    let activity =
        Rc::new(Activity { streams: Cell::new(0), last: Cell::new(Instant::now()), changed: Notify::new() });
    let mut ending = false;
    loop {
        let accepted = tokio::select! {
            biased;
            accepted = connection.accept() => accepted,
            () = end_of_life(&conn, &activity), if !ending => {
                ending = true;
                connection.graceful_shutdown();
                continue;
            }
            () = conn.worker.shared.drain.forced() => return,
            () = unused(&activity), if ending => return connection.abrupt_shutdown(Reason::NO_ERROR),
        };
        match accepted {
            Some(Ok((request, respond))) => {
                activity.streams.set(activity.streams.get() + 1);
                let stream = Stream { conn: conn.clone(), activity: activity.clone() };
                tokio::task::spawn_local(stream.serve(request, respond));
            }
            Some(Err(error)) => {
                if error.is_library() || error.is_reset() {
                    conn.stats.cx_protocol_error.inc();
                }
                tracing::debug!(%error, "HTTP/2 connection ended");
                return;
            }
            None => return,
        }
    }
}

/// Resolves when no new streams are wanted: idle, too old, used up, draining.
async fn end_of_life(conn: &HttpConnection, activity: &Activity) {
    let config = conn.hcm().config.max_connection_duration.filter(|max| !max.is_zero());
    let old = async {
        match config {
            Some(max) => tokio::time::sleep_until((conn.started + max).into()).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = conn.worker.draining() => conn.stats.cx_drain_close.inc(),
        () = old => {}
        () = idle(activity, conn.idle_timeout()) => conn.stats.cx_idle_timeout.inc(),
        () = used_up(conn, activity) => {}
    }
}

async fn used_up(conn: &HttpConnection, activity: &Activity) {
    while !(conn.requests.get() > 0 && conn.is_last(&conn.hcm())) {
        activity.changed.notified().await;
    }
}

async fn idle(activity: &Activity, limit: Option<Duration>) {
    let Some(limit) = limit else { return std::future::pending().await };
    loop {
        let end = activity.last.get() + limit;
        if activity.streams.get() == 0 && Instant::now() >= end {
            return;
        }
        tokio::time::sleep_until(end.max(Instant::now() + Duration::from_secs(1)).into()).await;
    }
}

/// After the announcement: resolves when nothing has been under way for a while.
async fn unused(activity: &Activity) {
    loop {
        tokio::time::sleep(IDLE_GRACE).await;
        if activity.streams.get() == 0 && activity.last.get().elapsed() >= IDLE_GRACE {
            return;
        }
    }
}

/// One request of the connection.
struct Stream {
    conn: Rc<HttpConnection>,
    activity: Rc<Activity>,
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.activity.streams.set(self.activity.streams.get() - 1);
        self.activity.last.set(Instant::now());
        self.activity.changed.notify_one();
    }
}

impl Stream {
    async fn serve(self, request: http::Request<RecvStream>, mut respond: SendResponse<Bytes>) {
        let (parts, recv) = request.into_parts();
        let is_head = parts.method == http::Method::HEAD;
        let source = H2Body::new(recv, &parts.headers);
        let mut ctx = Context::new(self.conn.clone(), RequestHead::from_h2(parts), true);
        let body = RequestBody::new(Box::new(source), ctx.progress.clone());
        let progress = ctx.progress.clone();
        let limit = ctx.hcm.config.request_timeout;
        let served = tokio::select! {
            biased;
            answer = phases::serve_request(&mut ctx, body) => Some(answer),
            () = h1::overdue(&progress, limit) => None,
            _ = poll_fn(|cx| respond.poll_reset(cx)) => return ctx.client_gone(),
        };
        let answer = served.unwrap_or_else(|| respond::local(&mut ctx, Stop::RequestTimeout));
        write(ctx, answer, &mut respond, is_head).await;
    }
}

async fn write(mut ctx: Context, answer: Answer, respond: &mut SendResponse<Bytes>, is_head: bool) {
    let Answer { head, mut body, .. } = answer;
    let no_body = is_head || body.kind() == BodyKind::None;
    let Ok(mut stream) = respond.send_response(head.into_h2(), no_body) else { return ctx.client_gone() };
    if no_body {
        return;
    }
    match send_body(&mut stream, &mut body).await {
        Ok(()) => {}
        Err(Sending::ClientGone) => ctx.client_gone(),
        // The response cannot be completed, and a client must not take it for complete.
        Err(Sending::Broken) => stream.send_reset(Reason::INTERNAL_ERROR),
    }
}

enum Sending {
    ClientGone,
    Broken,
}

impl From<h2::Error> for Sending {
    fn from(_: h2::Error) -> Self {
        Sending::ClientGone
    }
}

async fn send_body(stream: &mut SendStream<Bytes>, body: &mut BoxBody) -> Result<(), Sending> {
    loop {
        let frame = poll_fn(|cx| {
            if stream.poll_reset(cx).is_ready() {
                return Poll::Ready(Err(Sending::ClientGone));
            }
            body.poll_frame(cx).map_err(|_| Sending::Broken)
        });
        match frame.await? {
            None => return Ok(stream.send_data(Bytes::new(), true)?),
            Some(Frame::Trailers(trailers)) => return Ok(stream.send_trailers(header_map(&trailers))?),
            Some(Frame::Data(mut bytes)) => {
                while !bytes.is_empty() {
                    stream.reserve_capacity(bytes.len());
                    let room = poll_fn(|cx| stream.poll_capacity(cx)).await.ok_or(Sending::ClientGone)??;
                    let part = bytes.split_to(room.min(bytes.len()));
                    let len = part.len();
                    stream.send_data(part, false)?;
                    body.release(len);
                }
            }
        }
    }
}

fn header_map(trailers: &Trailers) -> http::HeaderMap {
    let mut map = http::HeaderMap::with_capacity(trailers.len());
    for (name, value) in trailers.iter() {
        if let (Ok(name), Ok(value)) =
            (http::HeaderName::from_bytes(name), http::HeaderValue::from_bytes(value))
        {
            map.append(name, value);
        }
    }
    map
}

/// The body of a stream. Its window opens as the upstream takes the bytes.
struct H2Body {
    recv: RecvStream,
    kind: BodyKind,
    data_ended: bool,
}

impl H2Body {
    fn new(recv: RecvStream, headers: &http::HeaderMap) -> Self {
        let length = headers.get(http::header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
        let kind = match length {
            _ if recv.is_end_stream() => BodyKind::None,
            Some(length) => BodyKind::Length(length),
            None => BodyKind::Chunked,
        };
        H2Body { recv, kind, data_ended: false }
    }
}

impl Body for H2Body {
    fn poll_frame(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<Option<Frame>, BodyError>> {
        while !self.data_ended {
            match ready!(self.recv.poll_data(cx)) {
                Some(Ok(bytes)) if bytes.is_empty() => {}
                Some(Ok(bytes)) => return Poll::Ready(Ok(Some(Frame::Data(bytes)))),
                Some(Err(error)) => return Poll::Ready(Err(body_error(&error))),
                None => self.data_ended = true,
            }
        }
        Poll::Ready(match ready!(self.recv.poll_trailers(cx)) {
            Ok(None) => Ok(None),
            Ok(Some(map)) => {
                let mut trailers = Trailers::default();
                for (name, value) in &map {
                    trailers.push(name.as_str().as_bytes().to_vec(), value.as_bytes().to_vec());
                }
                Ok(Some(Frame::Trailers(trailers)))
            }
            Err(error) => Err(body_error(&error)),
        })
    }

    fn release(&mut self, bytes: usize) {
        // More than was received cannot be released; then the stream is gone anyway.
        let _ = self.recv.flow_control().release_capacity(bytes);
    }

    fn kind(&self) -> BodyKind {
        self.kind
    }
}

fn body_error(error: &h2::Error) -> BodyError {
    match (error.reason(), error.get_io()) {
        (_, Some(io)) => BodyError::Io(io.kind().into()),
        (Some(code), _) => BodyError::Reset(code.into()),
        (None, None) => BodyError::Incomplete,
    }
}
