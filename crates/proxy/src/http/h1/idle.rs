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

/// Waits for the first byte of the next request. `false`: the connection is over. `heard`: of how many
/// drains `draining`, which is of this task all the time, has been told.
pub(super) async fn next_request(
    conn: &HttpConnection,
    h1: &mut ServerConn<Io>,
    timer: Pin<&mut Option<Sleep>>,
    mut draining: Pin<&mut impl Future<Output = ()>>,
    heard: &mut Option<u32>,
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
        if conn.is_draining() {
            return Poll::Ready(Event::Draining);
        }
        // Since the last drain it waits for the next one: there is no need to say so for each request.
        let drains = Some(conn.worker.drains.count());
        if std::mem::replace(heard, drains) == drains {
            return Poll::Pending;
        }
        draining.as_mut().poll(cx).map(|()| Event::Draining)
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
    let (life, stall) = conn.with_hcm(|hcm| (rest_of_life(conn, hcm), stream_idle_timeout(hcm)));
    let idle = conn.idle_timeout();
    let by_idle = life.is_none_or(|life| idle.is_some_and(|idle| idle <= life));
    let limit = match (idle, life) {
        (Some(idle), Some(life)) => Some(idle.min(life)),
        (one, other) => one.or(other),
    };
    Patience { limit, idle: by_idle, stall }
}

/// Resolves after `limit`. The timer stays armed from one request to the next, and is put off when it
/// fires too early: that is once an hour, where arming and disarming would be twice per request.
async fn out_of_patience(limit: Option<Duration>, mut timer: Pin<&mut Option<Sleep>>) {
    let Some(limit) = limit else { return std::future::pending().await };
    // In a block: what is held while it waits, every idle connection has room for.
    let (end, knows) = {
        let now = Instant::now();
        let (end, armed) = (now + limit, timer.as_ref().as_pin_ref().map(|timer| timer.deadline()));
        if armed.is_none_or(|armed| armed > end) {
            timer.set(Some(sleep_until(end)));
        }
        (end, armed.is_some_and(|armed| now < armed && armed <= end))
    };
    // It knows this task from the time before: to be asked again it has to have woken it.
    if knows {
        next_poll().await;
    }
    while let Some(mut timer) = timer.as_mut().as_pin_mut() {
        timer.as_mut().await;
        if timer.deadline() >= end {
            return;
        }
        timer.reset(end);
    }
}

/// Resolves when it is polled again. Somebody else sees to that.
async fn next_poll() {
    let mut again = false;
    poll_fn(|_| if std::mem::replace(&mut again, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

/// `None`: the connection does not end while it is idle.
fn rest_of_life(conn: &HttpConnection, hcm: &Hcm) -> Option<Duration> {
    if hcm.config.http1_safe_max_connection_duration {
        return None;
    }
    let max = conn.max_duration(&hcm.config)?;
    Some(max.saturating_sub(conn.started.elapsed()))
}
