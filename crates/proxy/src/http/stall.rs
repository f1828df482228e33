//! Clients that do not read.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http1::ServerConn;
use net::Io;
use tokio::time::{Instant, Sleep};

/// Watches that a client takes what is written to it. A client that takes nothing would keep its
/// response, and the upstream's, for ever: no other timer runs while the socket is full.
pub struct Stall {
    limit: Option<Duration>,
    /// Bytes that had been taken when the timer was set.
    sent: u64,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Stall {
    pub fn new(limit: Option<Duration>) -> Self {
        Stall { limit, sent: 0, timer: None }
    }

    /// To be called when writing has to wait. Ready when that has been so for too long, with
    /// [`io::ErrorKind::TimedOut`].
    pub fn poll(&mut self, conn: &ServerConn<Io>, cx: &mut Context<'_>) -> Poll<io::Error> {
        let Some(limit) = self.limit.filter(|_| !conn.is_settled()) else {
            // It is the upstream that is waited for.
            self.timer = None;
            return Poll::Pending;
        };
        let end = Instant::now() + limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(end)));
        if self.sent != conn.sent() {
            self.sent = conn.sent();
            timer.as_mut().reset(end);
        }
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(io::ErrorKind::TimedOut.into())
    }
}
