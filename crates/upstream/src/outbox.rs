//! What was handed to an HTTP/2 connection and has not gone out.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that all streams of a connection together may have waiting for the socket. A peer can
/// open windows as wide as it likes and then read nothing; flow control is no bound for us.
const LIMIT: usize = 1024 * 1024;

/// Counts the bytes of bodies that one connection keeps for its peer.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting_bytes: Cell<usize>,
    waiting_streams: RefCell<Vec<Waker>>,
}

impl Outbox {
    /// Ready when another stream may hand over bytes.
    pub fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.waiting_bytes.get() < LIMIT {
            return Poll::Ready(());
        }
        let mut waiting = self.waiting_streams.borrow_mut();
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// A stream handed over so many bytes.
    pub fn add(&self, bytes: usize) {
        self.waiting_bytes.set(self.waiting_bytes.get() + bytes);
    }

    /// Bytes that wait for the socket.
    pub fn waiting(&self) -> usize {
        self.waiting_bytes.get()
    }

    fn flushed(&self) {
        self.waiting_bytes.set(0);
        if !self.waiting_streams.borrow().is_empty() {
            self.waiting_streams.take().into_iter().for_each(Waker::wake);
        }
    }
}

/// The stream under an HTTP/2 connection, which tells its outbox what went out. Only bytes for
/// which windows are open are handed over, and `h2` flushes when it has written all it can, so that
/// a flush that succeeds means that nothing waits.
#[derive(Debug)]
pub struct Metered<S> {
    inner: S,
    outbox: Rc<Outbox>,
}

impl<S> Metered<S> {
    pub fn new(inner: S) -> (Self, Rc<Outbox>) {
        let outbox = Rc::new(Outbox::default());
        (Metered { inner, outbox: outbox.clone() }, outbox)
    }
}

impl<S> Drop for Metered<S> {
    fn drop(&mut self) {
        // Whoever waits learns from its stream that the connection is gone.
        self.outbox.flushed();
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(Pin::new(&mut self.inner).poll_flush(cx))?;
        self.outbox.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    #[tokio::test]
    async fn holds_back_until_the_socket_took_it() {
        let (ours, _theirs) = tokio::io::duplex(64);
        let (mut metered, outbox) = Metered::new(ours);
        let mut cx = Context::from_waker(Waker::noop());
        outbox.add(LIMIT - 1);
        assert!(outbox.poll_room(&mut cx).is_ready());
        outbox.add(1);
        assert!(outbox.poll_room(&mut cx).is_pending());
        metered.flush().await.unwrap();
        assert_eq!(outbox.waiting(), 0);
        assert!(outbox.poll_room(&mut cx).is_ready());
    }
}
