//! Frames on their way to the socket.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use http1::pool;
use tokio::io::AsyncWrite;

/// Bodies from this size on go as they are, smaller ones are copied behind their head.
const LARGE: usize = 4096;
/// Pieces in one call.
const PIECES: usize = 32;

/// Composed frames, in order. Without memory while nothing waits.
#[derive(Debug, Default)]
pub(crate) struct Out {
    queue: VecDeque<Bytes>,
    queued: usize,
    tail: BytesMut,
    /// Bytes were written, and the stream below may still hold some.
    unflushed: bool,
}

impl Out {
    /// How many bytes wait.
    pub(crate) fn len(&self) -> usize {
        self.queued + self.tail.len()
    }

    /// Where frames are composed.
    #[inline]
    pub(crate) fn tail(&mut self) -> &mut BytesMut {
        if self.tail.capacity() == 0 {
            self.tail = pool::take(pool::SMALL);
        }
        &mut self.tail
    }

    /// Adds bytes of a body, whose frame's head was composed before.
    pub(crate) fn push(&mut self, bytes: Bytes) {
        if bytes.len() < LARGE {
            self.tail().extend_from_slice(&bytes);
            pool::recycle(bytes);
            return;
        }
        let head = self.tail.split().freeze();
        self.queued += head.len() + bytes.len();
        if !head.is_empty() {
            self.queue.push_back(head);
        }
        self.queue.push_back(bytes);
    }

    /// Writes until nothing waits. How many bytes went is added to `written`, whatever comes of it.
    pub(crate) fn poll_flush<S: AsyncWrite + Unpin>(
        &mut self,
        io: &mut S,
        written: &mut usize,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.len() > 0 {
            let count = match self.queue.front() {
                None => ready!(Pin::new(&mut *io).poll_write(cx, &self.tail))?,
                Some(_) if io.is_write_vectored() => {
                    let mut pieces = [IoSlice::new(&[]); PIECES];
                    let all = self.queue.iter().map(|piece| &piece[..]).chain([&self.tail[..]]);
                    let count =
                        pieces.iter_mut().zip(all).map(|(to, piece)| *to = IoSlice::new(piece)).count();
                    ready!(Pin::new(&mut *io).poll_write_vectored(cx, &pieces[..count]))?
                }
                Some(first) => ready!(Pin::new(&mut *io).poll_write(cx, first))?,
            };
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unflushed = true;
            *written += count;
            self.advance(count);
        }
        if self.tail.capacity() > 0 {
            pool::give(std::mem::take(&mut self.tail));
        }
        if self.unflushed {
            ready!(Pin::new(io).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, mut count: usize) {
        while let Some(first) = self.queue.front_mut() {
            if count < first.len() {
                first.advance(count);
                self.queued -= count;
                return;
            }
            count -= first.len();
            self.queued -= first.len();
            if let Some(piece) = self.queue.pop_front() {
                pool::recycle(piece);
            }
        }
        self.tail.advance(count);
    }

    /// Nothing of it will be written.
    pub(crate) fn clear(&mut self) {
        *self = Out::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    #[test]
    fn pieces_go_out_in_order_whatever_the_socket_takes() {
        for limit in [1, 7, 4096, 5000, 100_000] {
            let mut out = Out::default();
            out.tail().extend_from_slice(b"head");
            out.push(Bytes::from(vec![b'x'; 10_000]));
            out.tail().extend_from_slice(b"more");
            out.push(Bytes::from_static(b"small"));
            let expected = [b"head", &[b'x'; 10_000][..], b"more", b"small"].concat();
            assert_eq!(out.len(), expected.len());
            let (mut near, far) = tokio::io::duplex(limit);
            let mut far = far;
            let (mut got, mut written) = (Vec::new(), 0);
            let mut cx = Context::from_waker(Waker::noop());
            loop {
                let done = out.poll_flush(&mut near, &mut written, &mut cx).is_ready();
                let mut room = [0; 100_000];
                let mut read = tokio::io::ReadBuf::new(&mut room);
                while tokio::io::AsyncRead::poll_read(Pin::new(&mut far), &mut cx, &mut read).is_ready() {
                    if read.remaining() == 0 {
                        break;
                    }
                }
                got.extend_from_slice(read.filled());
                if done {
                    break;
                }
            }
            assert!(got == expected, "{limit}: {} of {}", got.len(), expected.len());
            assert_eq!((out.len(), written), (0, expected.len()));
        }
    }
}
