//! Serving HTTP/1 connections: one request after the other, nothing held in between.

mod idle;

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use http1::{BodyKind, Limits, ReadError, ServerConn};
use net::Io;
use stdx::{boxed, pinned};
use upstream::{Body, BodyError, Empty, RequestHead};

use super::body::{BoxBody, Progress, RequestBody};
use super::context::Context;
use super::respond::{self, Answer, Stop};
use super::stall::Stall;
use super::{Closing, HttpConnection, serving, upgrade};
use crate::config::snapshot::Hcm;

/// What becomes of the connection after a request.
enum After {
    Next(ServerConn<Io>),
    Close(ServerConn<Io>),
    Gone,
}

/// A connection with the limits of its connection manager.
pub fn connection(conn: &HttpConnection, io: Io) -> ServerConn<Io> {
    let hcm = conn.hcm();
    let limits = Limits { max_headers_kb: hcm.max_headers_kb, max_headers_count: hcm.max_headers_count };
    ServerConn::new(io, limits)
}

/// Serves requests until the connection ends. (An `async fn` would keep its arguments twice.)
#[allow(clippy::manual_async_fn)]
pub fn serve(conn: Rc<HttpConnection>, mut h1: ServerConn<Io>, count: Closing) -> impl Future<Output = ()> {
    async move {
        let (mut timer, mut draining, mut heard) = (pin!(None), pin!(conn.draining()), None);
        while idle::next_request(&conn, &mut h1, timer.as_mut(), draining.as_mut(), &mut heard).await {
            // Boxed, so that an idle connection does not keep room for a request's future.
            h1 = match pinned(|| serve_one(&conn, h1)).await {
                After::Next(h1) => h1,
                After::Close(h1) => {
                    Box::pin(h1.close(conn.delayed_close())).await;
                    break;
                }
                After::Gone => break,
            };
        }
        drop(count);
    }
}

async fn serve_one(conn: &Rc<HttpConnection>, mut h1: ServerConn<Io>) -> After {
    let hcm = conn.hcm();
    // In blocks: what a function holds until its end, its future has room for.
    let (mut ctx, body) = {
        match read_head(&mut h1, hcm.config.request_headers_timeout).await {
            Ok(head) => open(conn, hcm, &h1, head),
            Err(Unread::Gone) => return After::Gone,
            Err(Unread::Refused { status, details }) => {
                return Box::pin(refuse(conn, h1, status, details)).await;
            }
        }
    };
    let progress = ctx.progress.clone();
    let gone = |cx: &mut TaskContext<'_>| {
        pass_interim_on(&h1, &progress, cx);
        h1.poll_closed(cx)
    };
    let Some(answer) = serving::answer(&mut ctx, body, gone).await else {
        ctx.client_gone();
        return After::Gone;
    };
    write(conn, ctx, h1, answer).await
}

/// Why there is no request.
enum Unread {
    Gone,
    Refused { status: u16, details: &'static str },
}

/// Reads a head within the time that there is for it.
async fn read_head(h1: &mut ServerConn<Io>, limit: Option<Duration>) -> Result<http1::RequestHead, Unread> {
    let read = match limit.filter(|limit| !limit.is_zero()) {
        None => Some(h1.read_head().await),
        Some(limit) => tokio::time::timeout(limit, h1.read_head()).await.ok(),
    };
    match read {
        Some(Ok(Some(head))) => Ok(head),
        Some(Ok(None) | Err(ReadError::Io(_) | ReadError::Closed)) => Err(Unread::Gone),
        Some(Err(ReadError::Refused(why))) => {
            Err(Unread::Refused { status: why.status(), details: why.as_str() })
        }
        None => Err(Unread::Refused { status: 408, details: "request_header_timeout" }),
    }
}

/// Everything about a request, in a box, as it goes from hand to hand; and its body.
fn open(
    conn: &Rc<HttpConnection>,
    hcm: Arc<Hcm>,
    h1: &ServerConn<Io>,
    head: http1::RequestHead,
) -> (Box<Context>, RequestBody) {
    let source: BoxBody = match head.body_kind() {
        // Which takes no memory.
        BodyKind::None => Box::new(Empty),
        _ => Box::new(h1.body()),
    };
    let expectation = (hcm.config.proxy_100_continue && head.expects_continue()).then(|| h1.body());
    let head = RequestHead::from_h1(head, conn.is_tls());
    let mut ctx = boxed(|| Context::new(conn.clone(), hcm, head, false));
    ctx.expectation = expectation;
    if let Some(told) = &ctx.record.told {
        let meter = h1.meter();
        told.set_downstream(move || meter.wire());
    }
    let body = RequestBody::new(source, ctx.progress.clone(), ctx.record.started);
    (ctx, body)
}

/// Passes interim responses on as they come.
fn pass_interim_on(h1: &ServerConn<Io>, progress: &Progress, cx: &mut TaskContext<'_>) {
    if queue_interim(h1, progress) || !h1.is_settled() {
        // A client that is gone is noticed by others.
        let _ = h1.poll_flush(cx);
    }
}

/// Whether there were any.
fn queue_interim(h1: &ServerConn<Io>, progress: &Progress) -> bool {
    let mut interim = progress.interim.borrow_mut();
    let any = !interim.is_empty();
    for head in interim.drain(..) {
        h1.queue_interim(head.as_h1());
    }
    any
}

async fn write(
    conn: &HttpConnection,
    mut ctx: Box<Context>,
    mut h1: ServerConn<Io>,
    answer: Box<Answer>,
) -> After {
    let Answer { head, mut body, upgrade } = *answer;
    queue_interim(&h1, &ctx.progress);
    if let Some(upgraded) = upgrade {
        h1.start(head.as_h1(), BodyKind::None, false);
        let mut written = deliver(&mut h1, &mut Empty, ctx.stream_idle).await;
        if written.is_ok() {
            written = h1.flush().await.map(Ok);
        }
        match written {
            // In a box: few requests are upgrades, and every request has room for this one.
            Ok(_) => Box::pin(upgrade::relay(*ctx, h1, upgraded)).await,
            Err(_) => ctx.client_gone(),
        }
        return After::Gone;
    }
    let last = conn.is_last(&ctx.hcm);
    h1.start(head.as_h1(), body.kind(), last);
    drop(head);
    let written = deliver(&mut h1, &mut body, ctx.stream_idle).await;
    drop(body);
    match written {
        Ok(Ok(())) => drop(ctx),
        // The response cannot be completed, and a client must not take it for complete.
        Ok(Err(_)) => {
            // What there is of it, it gets: its head says how it failed, or how much is missing.
            let _ = Box::pin(tokio::time::timeout(super::LAST_CALL, h1.flush())).await;
            h1.with_io(Io::abort_on_drop);
            return After::Gone;
        }
        Err(error) => {
            match error.kind() {
                io::ErrorKind::TimedOut => ctx.client_stalled(),
                _ => ctx.client_gone(),
            }
            h1.with_io(Io::abort_on_drop);
            return After::Gone;
        }
    }
    match h1.finish().await {
        Ok(true) if !last => After::Next(h1),
        Ok(_) => After::Close(h1),
        Err(_) => After::Gone,
    }
}

/// Writes a response's body, for as long as the client takes it.
async fn deliver<B: Body>(
    h1: &mut ServerConn<Io>,
    body: &mut B,
    limit: Option<Duration>,
) -> io::Result<Result<(), BodyError>> {
    let mut stall = Stall::new(limit);
    poll_fn(|cx| match h1.poll_write_body(body, cx) {
        Poll::Pending => stall.poll(h1, cx).map(Err),
        written => written,
    })
    .await
}

/// Answers what could not be read as a request, and closes.
async fn refuse(
    conn: &Rc<HttpConnection>,
    mut h1: ServerConn<Io>,
    status: u16,
    details: &'static str,
) -> After {
    let head = RequestHead::new("", "http", "", "");
    let mut ctx = Context::new(conn.clone(), conn.hcm(), head, false);
    ctx.record.protocol = Some("HTTP/1.1");
    ctx.unread = true;
    let answer = respond::local(&mut ctx, Stop::Malformed { status, details });
    let mut body = answer.body;
    h1.start(answer.head.as_h1(), body.kind(), true);
    match deliver(&mut h1, &mut body, super::stream_idle_timeout(&ctx.hcm)).await {
        Ok(_) => After::Close(h1),
        Err(_) => After::Gone,
    }
}
