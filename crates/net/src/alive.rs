//! Connections whose peer has fallen silent.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// A connection that fails when no byte has gone through it for a time, in neither direction. It takes
/// somebody who asks the peer now and then (HTTP/2's PING) so that a peer that lives is heard.
///
/// An answer to a PING may stand behind megabytes that a busy peer has still to read, and a busy process may
/// not have come to read an answer that is there. So what counts is not the answer: any byte does, and time is
/// over only if there is nothing to be read at that moment (gRPC for Go counts like this).
#[derive(Debug)]
pub struct Alive<IO> {
    io: IO,
    silence: Duration,
    /// When a byte went through last.
    moved: Instant,
    look: Pin<Box<Sleep>>,
}

impl<IO> Alive<IO> {
    /// `silence`: how long the connection may be without a byte.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn new(io: IO, silence: Duration) -> Self {
        let moved = Instant::now();
        Alive { io, silence, moved, look: Box::pin(tokio::time::sleep_until(moved + silence)) }
    }

    pub fn get_ref(&self) -> &IO {
        &self.io
    }

    /// Notes what became of reading or writing.
    fn took<T>(&mut self, outcome: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.moved = Instant::now();
            return outcome;
        }
        loop {
            ready!(self.look.as_mut().poll(cx));
            let end = self.moved + self.silence;
            if Instant::now() >= end {
                let message = format!("the peer was silent for {:?}", self.silence);
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, message)));
            }
            // The clock is set only when it has rung: bytes come more often than it does.
            self.look.as_mut().reset(end);
        }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Alive<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.io).poll_read(cx, buf);
        self.took(outcome, cx)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Alive<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.io).poll_write(cx, buf);
        self.took(outcome, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.took(outcome, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    const SILENCE: Duration = Duration::from_secs(40);

    #[tokio::test(start_paused = true)]
    async fn a_silent_peer_is_given_up() {
        let (near, _far) = duplex(64);
        let mut near = Alive::new(near, SILENCE);
        let begun = Instant::now();
        let error = near.read_u8().await.unwrap_err();
        assert_eq!((error.kind(), begun.elapsed()), (io::ErrorKind::TimedOut, SILENCE));
    }

    #[tokio::test(start_paused = true)]
    async fn any_byte_is_a_sign_of_life() {
        let (near, mut far) = duplex(64);
        let mut near = Alive::new(near, SILENCE);
        let begun = Instant::now();
        let speaking = tokio::spawn(async move {
            for _ in 0..3 {
                tokio::time::sleep(Duration::from_secs(30)).await;
                far.write_all(b"x").await.unwrap();
            }
            far
        });
        for _ in 0..3 {
            near.read_u8().await.unwrap();
        }
        let _far = speaking.await.unwrap();
        assert!(near.read_u8().await.is_err());
        assert_eq!(begun.elapsed(), 3 * Duration::from_secs(30) + SILENCE);
    }

    /// It takes what is written, but says nothing: that is enough as long as it goes on.
    #[tokio::test(start_paused = true)]
    async fn a_peer_that_only_reads_is_alive_and_one_that_does_not_is_not() {
        let (near, mut far) = duplex(1);
        let mut near = Alive::new(near, SILENCE);
        let begun = Instant::now();
        let reading = tokio::spawn(async move {
            for _ in 0..4 {
                tokio::time::sleep(Duration::from_secs(30)).await;
                far.read_u8().await.unwrap();
            }
            far
        });
        near.write_all(b"12345").await.unwrap();
        let _far = reading.await.unwrap();
        let error = near.write_all(b"6").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(begun.elapsed(), 4 * Duration::from_secs(30) + SILENCE);
    }

    /// A process that could not look for an hour reads what has come meanwhile.
    #[tokio::test(start_paused = true)]
    async fn who_was_busy_himself_reads_first() {
        let (near, mut far) = duplex(64);
        let mut near = Alive::new(near, SILENCE);
        far.write_all(b"x").await.unwrap();
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!(near.read_u8().await.unwrap(), b'x');
    }
}
