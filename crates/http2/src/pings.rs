//! Whether the peer is alive (RFC 9113, section 6.7).

use std::task::{Context, Poll};

use crate::error::Error;
use crate::handle::Shared;

/// Asks whether the peer is alive.
pub struct Pings(pub(crate) Shared);

impl Pings {
    /// Sends a PING.
    ///
    /// # Errors
    /// The connection is over.
    pub fn send(&mut self) -> Result<(), Error> {
        let core = &mut *self.0.borrow_mut();
        match &core.error {
            Some(error) => Err(error.clone()),
            None => {
                core.send_ping();
                Ok(())
            }
        }
    }

    /// Waits for its answer.
    ///
    /// # Errors
    /// The connection is over.
    pub fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let core = &mut *self.0.borrow_mut();
        if let Some(error) = &core.error {
            return Poll::Ready(Err(error.clone()));
        }
        if !core.pings.waiting {
            return Poll::Ready(Ok(()));
        }
        crate::stream::remember(&mut core.pings.waker, cx);
        Poll::Pending
    }
}
