//! Serving HTTP/1 connections: one request after the other, nothing held in between.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use http1::{BodyKind, Limits, ReadError, ServerConn};
use net::Io;
use tokio::time::{Instant, Sleep, sleep_until};
use upstream::{Body, BodyError, Empty, RequestHead};

use super::body::{Progress, RequestBody};
use super::context::Context;
use super::respond::{self, Answer, Stop};
use super::stall::Stall;
use super::{Closing, HttpConnection, phases, upgrade};

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
        let mut timer = pin!(None);
        while next_request(&conn, &mut h1, timer.as_mut()).await {
            // Boxed, so that an idle connection does not keep room for a request's future.
            h1 = match Box::pin(serve_one(&conn, h1)).await {
                After::Next(h1) => h1,
                After::Close(h1) => {
                    Box::pin(h1.close()).await;
                    break;
                }
                After::Gone => break,
            };
        }
        drop(count);
    }
}

/// Waits for the first byte of the next request. `false`: the connection is over.
async fn next_request(
    conn: &HttpConnection,
    h1: &mut ServerConn<Io>,
    timer: Pin<&mut Option<Sleep>>,
) -> bool {
    let (limit, idle) = patience(conn);
    tokio::select! {
        biased;
        readable = h1.readable() => return matches!(readable, Ok(true)),
        () = out_of_patience(limit, timer) => {
            if idle {
                conn.stats.cx_idle_timeout.inc();
            }
            return false;
        }
        () = conn.worker.draining() => conn.stats.cx_drain_close.inc(),
    }
    let first = conn.requests.get() == 0;
    first && matches!(Box::pin(tokio::time::timeout(super::LAST_CALL, h1.readable())).await, Ok(Ok(true)))
}

/// How long a request is waited for, and whether that is because of the idle timeout. One timer for
/// both limits: every idle connection carries it.
fn patience(conn: &HttpConnection) -> (Option<Duration>, bool) {
    let (idle, life) = (conn.idle_timeout(), rest_of_life(conn));
    let by_idle = life.is_none_or(|life| idle.is_some_and(|idle| idle <= life));
    (idle.into_iter().chain(life).min(), by_idle)
}

/// Resolves after `limit`. The timer stays armed from one request to the next, and is put off when it
/// fires too early: that is once an hour, where arming and disarming would be twice per request.
async fn out_of_patience(limit: Option<Duration>, mut timer: Pin<&mut Option<Sleep>>) {
    let Some(limit) = limit else { return std::future::pending().await };
    let end = Instant::now() + limit;
    if timer.as_ref().as_pin_ref().is_none_or(|timer| timer.deadline() > end) {
        timer.set(Some(sleep_until(end)));
    }
    while let Some(mut timer) = timer.as_mut().as_pin_mut() {
        timer.as_mut().await;
        if timer.deadline() >= end {
            return;
        }
        timer.reset(end);
    }
}

async fn sleep(limit: Option<Duration>) {
    match limit {
        Some(limit) => tokio::time::sleep(limit).await,
        None => std::future::pending().await,
    }
}

/// `None`: the connection does not end while it is idle.
fn rest_of_life(conn: &HttpConnection) -> Option<Duration> {
    let hcm = conn.hcm();
    if hcm.config.http1_safe_max_connection_duration {
        return None;
    }
    let max = conn.max_duration(&hcm.config)?;
    Some(max.saturating_sub(conn.started.elapsed()))
}

async fn serve_one(conn: &Rc<HttpConnection>, mut h1: ServerConn<Io>) -> After {
    let hcm = conn.hcm();
    let limit = hcm.config.request_headers_timeout.filter(|limit| !limit.is_zero());
    let read = tokio::select! {
        read = h1.read_head() => read,
        () = sleep(limit) => return Box::pin(refuse(conn, h1, 408, "request_header_timeout")).await,
    };
    let head = match read {
        Ok(Some(head)) => head,
        Ok(None) | Err(ReadError::Io(_) | ReadError::Closed) => return After::Gone,
        Err(ReadError::Refused(why)) => return Box::pin(refuse(conn, h1, why.status(), why.as_str())).await,
    };
    let source = h1.body();
    let expectation = (hcm.config.proxy_100_continue && head.expects_continue()).then(|| h1.body());
    // In a box, as it goes from hand to hand.
    let mut ctx = Box::new(Context::new(conn.clone(), RequestHead::from_h1(head, conn.is_tls()), false));
    ctx.expectation = expectation;
    let body = RequestBody::new(Box::new(source), ctx.progress.clone(), ctx.record.started);
    let progress = ctx.progress.clone();
    let served = tokio::select! {
        biased;
        answer = phases::serve_request(&mut ctx, body) => Some(answer),
        () = poll_fn(|cx| poll_interim(&h1, &progress, cx)) => None,
        () = overdue(&progress, hcm.config.request_timeout) => None,
        () = poll_fn(|cx| h1.poll_closed(cx)) => {
            ctx.client_gone();
            return After::Gone;
        }
    };
    let answer = served.unwrap_or_else(|| respond::local(&mut ctx, Stop::RequestTimeout));
    write(conn, ctx, h1, answer).await
}

/// Passes interim responses on as they come. Never resolves.
fn poll_interim(h1: &ServerConn<Io>, progress: &Progress, cx: &mut TaskContext<'_>) -> Poll<()> {
    queue_interim(h1, progress);
    if !h1.is_flushed() {
        // A client that is gone is noticed by others.
        let _ = h1.poll_flush(cx);
    }
    Poll::Pending
}

fn queue_interim(h1: &ServerConn<Io>, progress: &Progress) {
    for head in progress.interim.borrow_mut().drain(..) {
        h1.queue_interim(&head.into_h1());
    }
}

/// Resolves when the whole request should have been here, and is not.
pub(super) async fn overdue(progress: &Progress, limit: Option<Duration>) {
    let Some(limit) = limit.filter(|limit| !limit.is_zero()) else { return std::future::pending().await };
    tokio::time::sleep(limit).await;
    if progress.request_end.get().is_some() {
        std::future::pending::<()>().await;
    }
}

async fn write(
    conn: &HttpConnection,
    mut ctx: Box<Context>,
    mut h1: ServerConn<Io>,
    answer: Answer,
) -> After {
    let Answer { head, mut body, upgrade } = answer;
    queue_interim(&h1, &ctx.progress);
    if let Some(upgraded) = upgrade {
        h1.start(&head.into_h1(), BodyKind::None, false);
        match deliver(&mut h1, &mut Empty, ctx.stream_idle).await {
            // In a box: few requests are upgrades, and every request has room for this one.
            Ok(_) => Box::pin(upgrade::relay(*ctx, h1, upgraded)).await,
            Err(_) => ctx.client_gone(),
        }
        return After::Gone;
    }
    let last = conn.is_last(&ctx.hcm);
    h1.start(&head.into_h1(), body.kind(), last);
    net::turn::after_others().await;
    let written = deliver(&mut h1, &mut body, ctx.stream_idle).await;
    drop(body);
    match written {
        Ok(Ok(())) => drop(ctx),
        // The response cannot be completed, and a client must not take it for complete.
        Ok(Err(_)) => {
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
    let mut ctx = Context::new(conn.clone(), head, false);
    ctx.record.protocol = Some("HTTP/1.1");
    ctx.unread = true;
    let answer = respond::local(&mut ctx, Stop::Malformed { status, details });
    let mut body = answer.body;
    h1.start(&answer.head.into_h1(), body.kind(), true);
    match deliver(&mut h1, &mut body, super::stream_idle_timeout(&ctx.hcm)).await {
        Ok(_) => After::Close(h1),
        Err(_) => After::Gone,
    }
}
