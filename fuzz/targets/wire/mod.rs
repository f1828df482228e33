//! A socket that has its bytes already, closes after them, and throws away what is written.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub struct Wire {
    bytes: Vec<u8>,
    at: usize,
    /// How many are given at a time; 0: all.
    piece: usize,
    /// The next read finds nothing.
    pause: bool,
    /// Behind the last byte: reads that find nothing before one finds the end.
    silence: u8,
}

impl Wire {
    pub fn new(bytes: Vec<u8>, piece: usize) -> Self {
        Wire { bytes, at: 0, piece, pause: false, silence: 4 }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.pause = !self.pause;
        if self.at == self.bytes.len() && self.silence > 0 {
            self.silence -= 1;
            return Poll::Pending;
        }
        if self.pause && self.piece > 0 {
            return Poll::Pending;
        }
        let most = if self.piece == 0 { usize::MAX } else { self.piece };
        let end = self.bytes.len().min(self.at.saturating_add(most.min(buf.remaining())));
        buf.put_slice(&self.bytes[self.at..end]);
        self.at = end;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
