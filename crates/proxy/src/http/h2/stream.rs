//! One request of a connection.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use stdx::boxed;
use upstream::{BodyKind, Empty, Frame, H2Tunnel, RequestHead, h2_trailers, poll_capacity};

use super::body::H2Body;
use super::session::Session;
use crate::access_log::Flag;
use crate::http::body::{BoxBody, RequestBody};
use crate::http::context::Context;
use crate::http::respond::{self, Answer, Stop};
use crate::http::{HttpConnection, serving, upgrade};

/// Envoy's default of `max_headers_count`.
const MAX_HEADERS: usize = 100;

/// Counts a stream for as long as it is under way.
pub(super) struct Stream {
    conn: Rc<HttpConnection>,
    session: Rc<Session>,
    started: Instant,
    /// By the client.
    reset: Cell<bool>,
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.session.ended(self.started, self.reset.get());
    }
}

/// Why a response was not sent to its end.
enum Sending {
    ClientGone,
    /// The rest of it does not come.
    Broken,
    /// The client opened no window for too long.
    Stalled,
}

impl From<h2::Error> for Sending {
    fn from(_: h2::Error) -> Self {
        Sending::ClientGone
    }
}

impl Stream {
    pub(super) fn new(conn: &Rc<HttpConnection>, session: &Rc<Session>) -> Self {
        session.streams.set(session.streams.get() + 1);
        let (conn, session) = (conn.clone(), session.clone());
        Stream { conn, session, started: Instant::now(), reset: Cell::new(false) }
    }

    /// Serves it. What can be done without waiting is done before there is a future that needs room for it.
    pub(super) fn serve(
        self,
        request: http::Request<RecvStream>,
        mut respond: SendResponse<Bytes>,
    ) -> impl Future<Output = ()> {
        let (parts, recv) = request.into_parts();
        let is_head = parts.method == http::Method::HEAD;
        let too_many_headers = parts.headers.len() > MAX_HEADERS;
        let head = RequestHead::from_h2(parts);
        // What follows an upgrade is none of the request's body.
        let (source, tunnel): (BoxBody, _) = match head.upgrade() {
            Some(_) => (Box::new(Empty), Some(recv)),
            None => (Box::new(H2Body::new(recv, head.content_length())), None),
        };
        // Boxed: it is handed on several times.
        let mut ctx = boxed(|| Context::new(self.conn.clone(), head, true));
        async move {
            // Before anything is done for it: a flood of resets is to cost no upstream anything.
            if poll_fn(|cx| respond.poll_reset(cx)).now_or_never().is_some() {
                return self.client_gone(ctx);
            }
            if too_many_headers {
                let stop = Stop::Malformed { status: 431, details: "http2.too_many_headers" };
                let answer = respond::local(&mut ctx, stop);
                return self.write(ctx, answer, &mut respond, is_head).await;
            }
            let body = RequestBody::new(source, ctx.progress.clone(), ctx.record.started);
            let gone = |cx: &mut TaskContext<'_>| respond.poll_reset(cx).map(drop);
            let Some(answer) = serving::answer(&mut ctx, body, gone).await else {
                return self.client_gone(ctx);
            };
            match tunnel {
                Some(recv) => self.write_upgrade(ctx, answer, &mut respond, recv).await,
                None => self.write(ctx, answer, &mut respond, is_head).await,
            }
        }
    }

    fn client_gone(&self, mut ctx: Box<Context>) {
        self.reset.set(true);
        ctx.client_gone();
    }

    async fn write(
        &self,
        mut ctx: Box<Context>,
        answer: Answer,
        respond: &mut SendResponse<Bytes>,
        is_head: bool,
    ) {
        let Answer { head, mut body, .. } = answer;
        let no_body = is_head || body.kind() == BodyKind::None;
        let Ok(mut stream) = respond.send_response(head.into_h2(), no_body) else {
            return self.client_gone(ctx);
        };
        if no_body {
            return;
        }
        match self.send_body(&mut stream, &mut body, ctx.stream_idle).await {
            Ok(()) => {}
            Err(Sending::ClientGone) => self.client_gone(ctx),
            // The response cannot be completed, and a client must not take it for complete.
            Err(Sending::Broken) => stream.send_reset(Reason::INTERNAL_ERROR),
            Err(Sending::Stalled) => {
                ctx.record.flag(Flag::SI);
                ctx.record.details = "stream_idle_timeout".into();
                ctx.conn.stats.rq_idle_timeout.inc();
                stream.send_reset(Reason::CANCEL);
            }
        }
    }

    /// The answer to an extended CONNECT (RFC 8441, section 5): 200 stands for HTTP/1's 101, so
    /// that no other success may be told.
    async fn write_upgrade(
        &self,
        mut ctx: Box<Context>,
        answer: Answer,
        respond: &mut SendResponse<Bytes>,
        recv: RecvStream,
    ) {
        let Answer { mut head, body, upgrade } = answer;
        let Some(upgraded) = upgrade else {
            if (200..300).contains(&head.status()) {
                ctx.record.details = "upgrade_failed".into();
                let refused = Stop::Refused { status: 502, details: "upgrade_failed", body: "" };
                let answer = respond::local(&mut ctx, refused);
                return self.write(ctx, answer, respond, false).await;
            }
            return self.write(ctx, Answer { head, body, upgrade: None }, respond, false).await;
        };
        head.set_status(200);
        head.remove("sec-websocket-accept");
        match respond.send_response(head.into_h2(), false) {
            Ok(send) => {
                let client = H2Tunnel::new(recv, send, self.session.outbox.clone());
                Box::pin(upgrade::join(*ctx, client, upgraded)).await
            }
            Err(_) => self.client_gone(ctx),
        }
    }

    async fn send_body(
        &self,
        stream: &mut SendStream<Bytes>,
        body: &mut BoxBody,
        idle: Option<Duration>,
    ) -> Result<(), Sending> {
        loop {
            let frame = poll_fn(|cx| {
                if stream.poll_reset(cx).is_ready() {
                    return Poll::Ready(Err(Sending::ClientGone));
                }
                body.poll_frame(cx).map_err(|_| Sending::Broken)
            });
            let mut bytes = match frame.await? {
                None => return Ok(stream.send_data(Bytes::new(), true)?),
                Some(Frame::Trailers(trailers)) => return Ok(stream.send_trailers(h2_trailers(&trailers))?),
                Some(Frame::Data(bytes)) => bytes,
            };
            while !bytes.is_empty() {
                let room = poll_fn(|cx| {
                    if stream.poll_reset(cx).is_ready() {
                        return Poll::Ready(None);
                    }
                    ready!(self.session.outbox.poll_room(cx));
                    poll_capacity(stream, bytes.len(), cx)
                });
                let room = within(idle, room).await.ok_or(Sending::Stalled)?;
                let room = room.ok_or(Sending::ClientGone)??;
                let part = bytes.split_to(room.min(bytes.len()));
                let len = part.len();
                // The end goes with the last bytes, where it is known: another frame costs as much.
                let last = bytes.is_empty() && body.is_end();
                stream.send_data(part, last)?;
                self.session.outbox.add(len);
                body.release(len);
                if last {
                    return Ok(());
                }
            }
        }
    }
}

/// `None`: it took longer than `limit`. There is no timer for what is ready at once.
async fn within<T>(limit: Option<Duration>, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let first = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
    match (first, limit) {
        (Poll::Ready(output), _) => Some(output),
        (Poll::Pending, None) => Some(future.await),
        (Poll::Pending, Some(limit)) => tokio::time::timeout(limit, future).await.ok(),
    }
}
