//! How much of an exchange went over the wire.

use tokio::io::{AsyncRead, AsyncWrite};

use crate::conn::Shared;

/// Bytes of one request and its response: heads, and what frames them and their bodies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wire {
    pub received: u64,
    /// Of these, those of heads.
    pub received_heads: u64,
    /// What waits for the socket included.
    pub sent: u64,
    pub sent_heads: u64,
}

/// Looks at a connection while others use it.
pub struct Meter<S>(Shared<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> Meter<S> {
    pub(crate) fn new(shared: Shared<S>) -> Self {
        Meter(shared)
    }

    /// Of the present exchange, or of the last one, until the next begins.
    pub fn wire(&self) -> Wire {
        self.0.with(|core| {
            let (received, received_heads) = core.reader.consumed();
            let (sent, sent_heads) = core.writer.queued();
            Wire { received, received_heads, sent, sent_heads }
        })
    }
}
