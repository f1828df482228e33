//! What a connection has to heed besides its frames: its age, its idleness, drains, PINGs.

use std::future::pending;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use ir::http::Http2Options;
use tokio::sync::Notify;

use super::session::Session;
use super::{Event, Served};
use crate::http::HttpConnection;

/// How long a peer has to let its last streams come in after it was told of the end.
const IDLE_GRACE: Duration = Duration::from_secs(5);

/// Everything but frames that a connection waits for. In one place, so that a frame does not look
/// at each of them.
pub(super) fn others(
    conn: &Rc<HttpConnection>,
    session: &Rc<Session>,
    options: &Http2Options,
    connection: &Served,
    ending: &Rc<Notify>,
) -> FuturesUnordered<LocalBoxFuture<'static, Event>> {
    let others: FuturesUnordered<LocalBoxFuture<'static, Event>> = FuturesUnordered::new();
    let (this, now) = (conn.clone(), session.clone());
    others.push(Box::pin(async move {
        end_of_life(&this, &now).await;
        Event::EndOfLife
    }));
    let drain = conn.worker.shared.drain.clone();
    others.push(Box::pin(async move {
        drain.forced().await;
        Event::Forced
    }));
    let (now, told) = (session.clone(), ending.clone());
    others.push(Box::pin(async move {
        told.notified().await;
        unused(&now).await;
        Event::Unused
    }));
    if let Some(settings) = options.keepalive.filter(|settings| settings.interval.is_some()) {
        let pings = connection.pings();
        others.push(Box::pin(async move {
            upstream::keepalive(pings, settings, &Notify::new()).await;
            Event::Dead
        }));
    }
    others
}

async fn end_of_life(conn: &HttpConnection, session: &Session) {
    let old = async {
        match conn.max_duration(&conn.hcm().config) {
            Some(max) => tokio::time::sleep_until((conn.started + max).into()).await,
            None => pending().await,
        }
    };
    tokio::select! {
        () = conn.draining() => conn.stats.cx_drain_close.inc(),
        () = old => conn.stats.cx_max_duration_reached.inc(),
        () = idle(session, conn.idle_timeout()) => conn.stats.cx_idle_timeout.inc(),
    }
}

async fn idle(session: &Session, limit: Option<Duration>) {
    let Some(limit) = limit else { return pending().await };
    loop {
        let now = Instant::now();
        // A stream that ends before we look again sets a new beginning, never an earlier end.
        let end = if session.streams.get() > 0 { now + limit } else { session.last.get() + limit };
        if end <= now {
            return;
        }
        tokio::time::sleep_until(end.into()).await;
    }
}

async fn unused(session: &Session) {
    loop {
        tokio::time::sleep(IDLE_GRACE).await;
        if session.streams.get() == 0 && session.last.get().elapsed() >= IDLE_GRACE {
            return;
        }
    }
}
