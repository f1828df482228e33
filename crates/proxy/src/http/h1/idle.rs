//! Connections without a request: how long they are kept.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use http1::ServerConn;
use net::Io;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::config::snapshot::Hcm;
use crate::http::stall::Stall;
use crate::http::{HttpConnection, LAST_CALL, stream_idle_timeout};

/// What happens to a connection without a request.
enum Event {
    /// `false`: the client closed it.
    Readable(bool),
    OutOfPatience,
    Draining,
}

/// Waits for the first byte of the next request. `false`: the connection is over.
pub(super) async fn next_request(
    conn: &HttpConnection,
    h1: &mut ServerConn<Io>,
    timer: Pin<&mut Option<Sleep>>,
    mut draining: Pin<&mut impl Future<Output = ()>>,
) -> bool {
    let Patience { limit, idle, stall } = patience(conn);
    // The last response may still be on its way out.
    let mut stall = Stall::new(stall);
    let mut out_of_patience = pin!(out_of_patience(limit, timer));
    let event = poll_fn(|cx| {
        let readable = match h1.poll_readable(cx) {
            Poll::Pending => stall.poll(h1, cx).map(Err),
            readable => readable,
        };
        if let Poll::Ready(readable) = readable {
            return Poll::Ready(Event::Readable(matches!(readable, Ok(true))));
        }
        if out_of_patience.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Event::OutOfPatience);
        }
        match conn.is_draining() {
            true => Poll::Ready(Event::Draining),
            false => draining.as_mut().poll(cx).map(|()| Event::Draining),
        }
    });
    match event.await {
        Event::Readable(readable) => return readable,
        Event::OutOfPatience => {
            if idle {
                conn.stats.cx_idle_timeout.inc();
            }
            return false;
        }
        Event::Draining => conn.stats.cx_drain_close.inc(),
    }
    let first = conn.requests.get() == 0;
    first && matches!(Box::pin(tokio::time::timeout(LAST_CALL, h1.readable())).await, Ok(Ok(true)))
}

/// What a connection without a request has.
struct Patience {
    /// One for idle timeout and rest of life: every idle connection carries its timer.
    limit: Option<Duration>,
    /// It is the idle timeout.
    idle: bool,
    /// For the last response to be taken.
    stall: Option<Duration>,
}

/// How long a request is waited for.
fn patience(conn: &HttpConnection) -> Patience {
    let hcm = conn.hcm();
    let (idle, life) = (conn.idle_timeout(), rest_of_life(conn, &hcm));
    let by_idle = life.is_none_or(|life| idle.is_some_and(|idle| idle <= life));
    let limit = match (idle, life) {
        (Some(idle), Some(life)) => Some(idle.min(life)),
        (one, other) => one.or(other),
    };
    Patience { limit, idle: by_idle, stall: stream_idle_timeout(&hcm) }
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

/// `None`: the connection does not end while it is idle.
fn rest_of_life(conn: &HttpConnection, hcm: &Hcm) -> Option<Duration> {
    if hcm.config.http1_safe_max_connection_duration {
        return None;
    }
    let max = conn.max_duration(&hcm.config)?;
    Some(max.saturating_sub(conn.started.elapsed()))
}
