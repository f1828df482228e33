//! One request of a connection.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use http2::{Incoming, Reason, Receive, Send};
use stdx::{boxed, turn};
use upstream::{BodyKind, Empty, Frame, H2Tunnel, RequestHead};

use super::body::H2Body;
use super::session::Session;
use crate::access_log::Flag;
use crate::http::body::{BoxBody, Progress, RequestBody};
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

impl From<http2::Error> for Sending {
    fn from(_: http2::Error) -> Self {
        Sending::ClientGone
    }
}

impl Stream {
    pub(super) fn new(conn: &Rc<HttpConnection>, session: &Rc<Session>) -> Self {
        session.streams.set(session.streams.get() + 1);
        let (conn, session) = (conn.clone(), session.clone());
        Stream { conn, session, started: turn::now(), reset: Cell::new(false) }
    }

    /// Serves it. What can be done without waiting is done before there is a future that needs room for it.
    pub(super) fn serve(self, incoming: Incoming) -> impl Future<Output = ()> {
        let Incoming { head, https, upgrade, receive, send: mut respond } = incoming;
        let is_head = head.method() == b"HEAD";
        let head = RequestHead::from_h2(head, https);
        let too_many_headers = head.field_count() > MAX_HEADERS;
        // What follows an upgrade or CONNECT is none of the request's body.
        let (source, tunnel): (BoxBody, _) = match upgrade {
            true => (Box::new(Empty), Some(receive)),
            false => (Box::new(H2Body::new(receive, head.content_length())), None),
        };
        // Boxed: it is handed on several times.
        let mut ctx = boxed(|| Context::new(self.conn.clone(), self.conn.hcm(), head, true));
        if let Some(told) = &ctx.record.told {
            let meter = respond.meter();
            told.set_downstream(move || meter.wire());
        }
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
            let (progress, asked) = (ctx.progress.clone(), ctx.head.get("expect").is_some());
            let gone = |cx: &mut TaskContext<'_>| {
                pass_interim_on(&mut respond, &progress, asked);
                respond.poll_reset(cx).map(drop)
            };
            let Some(answer) = serving::answer(&mut ctx, body, gone).await else {
                return self.client_gone(ctx);
            };
            match tunnel {
                Some(receive) => self.write_upgrade(ctx, answer, respond, receive).await,
                None => self.write(ctx, answer, &mut respond, is_head).await,
            }
        }
    }

    fn client_gone(&self, mut ctx: Box<Context>) {
        self.reset.set(true);
        ctx.client_gone();
    }

    async fn write(&self, mut ctx: Box<Context>, answer: Box<Answer>, send: &mut Send, is_head: bool) {
        let Answer { head, mut body, .. } = *answer;
        pass_interim_on(send, &ctx.progress, ctx.head.get("expect").is_some());
        let no_body = is_head || body.kind() == BodyKind::None;
        if send.respond(head.as_h1(), no_body).is_err() {
            return self.client_gone(ctx);
        }
        if no_body {
            return;
        }
        drop(head);
        match self.send_body(send, &mut body, ctx.stream_idle).await {
            Ok(()) => {}
            Err(Sending::ClientGone) => self.client_gone(ctx),
            // The response cannot be completed, and a client must not take it for complete.
            Err(Sending::Broken) => send.reset(Reason::INTERNAL_ERROR),
            Err(Sending::Stalled) => {
                ctx.record.flag(Flag::SI);
                ctx.record.details = "stream_idle_timeout".into();
                ctx.conn.stats.rq_idle_timeout.inc();
                send.reset(Reason::CANCEL);
            }
        }
    }

    /// The answer to a CONNECT, extended or not: success is a tunnel, so that nothing else may be told
    /// as one. 200 stands for HTTP/1's 101 (RFC 8441, section 5).
    async fn write_upgrade(
        &self,
        mut ctx: Box<Context>,
        mut answer: Box<Answer>,
        mut send: Send,
        receive: Receive,
    ) {
        let Some(upgraded) = answer.upgrade.take() else {
            if (200..300).contains(&answer.head.status()) {
                ctx.record.details = "upgrade_failed".into();
                let refused = Stop::Refused { status: 502, details: "upgrade_failed", body: "" };
                let answer = respond::local(&mut ctx, refused);
                return self.write(ctx, answer, &mut send, false).await;
            }
            return self.write(ctx, answer, &mut send, false).await;
        };
        let head = &mut answer.head;
        if head.status() == 101 {
            head.set_status(200);
        }
        head.remove("sec-websocket-accept");
        match send.respond(head.as_h1(), false) {
            Ok(()) => Box::pin(upgrade::join(*ctx, H2Tunnel::new(receive, send), upgraded)).await,
            Err(_) => self.client_gone(ctx),
        }
    }

    async fn send_body(
        &self,
        send: &mut Send,
        body: &mut BoxBody,
        idle: Option<Duration>,
    ) -> Result<(), Sending> {
        loop {
            let frame = poll_fn(|cx| {
                if send.poll_reset(cx).is_ready() {
                    return Poll::Ready(Err(Sending::ClientGone));
                }
                body.poll_frame(cx).map_err(|_| Sending::Broken)
            });
            let mut bytes = match frame.await? {
                None => return Ok(send.end()?),
                Some(Frame::Trailers(trailers)) => return Ok(send.trailers(&trailers)?),
                Some(Frame::Data(bytes)) => bytes,
            };
            // The end goes with the last bytes, where it is known: another frame costs as much.
            let last = body.is_end();
            while !bytes.is_empty() {
                let sent = within(idle, poll_fn(|cx| send.poll_data(&mut bytes, last, cx))).await;
                body.release(sent.ok_or(Sending::Stalled)??);
            }
            if last {
                return Ok(());
            }
        }
    }
}

/// Passes interim responses on as they come; a 100 only to who waits for it (`asked`).
fn pass_interim_on(send: &mut Send, progress: &Progress, asked: bool) {
    let mut interim = progress.interim.borrow_mut();
    for head in interim.drain(..).filter(|head| asked || head.status() != 100) {
        // A client that is gone is noticed by others.
        let _ = send.interim(head.as_h1());
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
