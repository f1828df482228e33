//! The client's end of a connection.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::conn::Shared;
use crate::{Body, BodyError, BodyKind, Incoming, Limits, Meter, ReadError, RequestHead, ResponseHead};

/// A connection on which we send requests.
pub struct ClientConn<S> {
    shared: Shared<S>,
    /// Of the request that was sent last.
    method: Vec<u8>,
    body: BodyKind,
    /// Nothing that was sent or received forbids another request.
    keep_alive: bool,
    /// The final response's head was read.
    answered: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> ClientConn<S> {
    pub fn new(io: S, limits: Limits) -> Self {
        ClientConn {
            shared: Shared::new(io, limits, false),
            method: Vec::new(),
            body: BodyKind::None,
            keep_alive: true,
            answered: true,
        }
    }

    /// Queues a request's head; it goes out with the first bytes of the body, or with
    /// [`ClientConn::flush`]. A body of unknown length is sent in chunks. Without a body methods
    /// that usually have one say so with length 0.
    pub fn start(&mut self, head: &RequestHead, body: BodyKind) {
        self.method.clear();
        self.method.extend_from_slice(head.method());
        self.answered = false;
        let body = match body {
            BodyKind::None if matches!(head.method(), b"POST" | b"PUT" | b"PATCH" | b"OPTIONS") => {
                BodyKind::Length(0)
            }
            BodyKind::UntilClose => BodyKind::Chunked,
            body => body,
        };
        self.shared.with(|core| {
            core.reader.begin();
            core.writer.begin();
            core.reader.quiet = true;
            core.writer.head(|out| head.write(body, out));
            core.writer.expect(body, false);
        });
    }

    /// Writes the body and flushes, or leaves that to the burst of this turn
    /// (see [`crate::write_bursts`] and [`ClientConn::poll_flushed`]); to be polled beside [`ClientConn::poll_head`], since a
    /// response may come before the request's end. The outer error is of the socket (a response
    /// may be there all the same), the inner one of the body's source.
    ///
    /// # Errors
    /// See above.
    pub fn poll_write_body<B: Body>(
        &mut self,
        body: &mut B,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Result<(), BodyError>>> {
        self.shared.poll_write_body(body, cx)
    }

    /// Ready when everything that was queued is written. What a burst is to write it leaves alone.
    ///
    /// # Errors
    /// The socket failed.
    pub fn poll_flushed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.shared.with(|core| (core.writer.is_flushed(), core.is_settled())) {
            (true, _) => Poll::Ready(Ok(())),
            (false, true) => Poll::Pending,
            (false, false) => self.shared.poll_flush(cx),
        }
    }

    /// Sends what is queued.
    ///
    /// # Errors
    /// The socket failed.
    pub async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.shared.poll_flush(cx)).await
    }

    /// The response's head. 1xx are given out, too, each followed by another head, but 101 is
    /// final.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<ResponseHead, ReadError>> {
        let method = &self.method;
        let read = self.shared.poll_reading(|reader, io, limits| {
            reader.poll_head(io, cx, limits, |bytes| ResponseHead::parse(bytes, method, limits))
        });
        let head = match ready!(read) {
            Ok(Some(head)) => head,
            Ok(None) => return Poll::Ready(Err(ReadError::Closed)),
            Err(error) => return Poll::Ready(Err(error)),
        };
        let interim = head.status() < 200 && head.status() != 101;
        if !interim {
            self.answered = true;
            self.body = head.body_kind();
            let tunnel = head.status() == 101 || (self.method == b"CONNECT" && head.status() < 300);
            self.keep_alive &= head.keep_alive() && !tunnel;
            self.shared.with(|core| core.reader.expect(self.body));
        }
        Poll::Ready(Ok(head))
    }

    /// See [`ClientConn::poll_head`].
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn read_head(&mut self) -> Result<ResponseHead, ReadError> {
        poll_fn(|cx| self.poll_head(cx)).await
    }

    /// The body of the response whose head was read last.
    pub fn body(&self) -> Incoming<S> {
        Incoming::new(self.shared.clone(), self.body)
    }

    /// Both messages are over, both sides let the connection be used again, and nothing came
    /// that was not asked for.
    pub fn reusable(&self) -> bool {
        self.keep_alive
            && self.answered
            && self.shared.with(|core| {
                core.writer.ended()
                    && core.writer.is_flushed()
                    && core.reader.body_done()
                    && !core.reader.has_bytes()
                    && !core.reader.eof
            })
    }

    /// Of an idle connection: resolves when the peer closes it or sends something, which it must
    /// not. Holds no buffer.
    pub fn poll_idle_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.shared.poll_reading(|reader, io, _| reader.poll_fill(io, cx)).map(|_| ())
    }

    /// Bytes read from the wire since the present request was started.
    pub fn received(&self) -> u64 {
        self.shared.with(|core| core.reader.received)
    }

    /// Bytes written to the wire since the present request was started.
    pub fn sent(&self) -> u64 {
        self.shared.with(|core| core.writer.sent)
    }

    /// Counts what goes over the wire, while others use the connection.
    pub fn meter(&self) -> Meter<S> {
        Meter::new(self.shared.clone())
    }

    /// After a 101 or a CONNECT's 2xx: the stream, and what was read of it already.
    ///
    /// # Errors
    /// It was taken before.
    pub fn into_upgraded(self) -> io::Result<(S, Bytes)> {
        self.shared.upgrade()
    }

    /// A look at the stream. `None` after an upgrade.
    pub fn with_io<T>(&self, f: impl FnOnce(&S) -> T) -> Option<T> {
        self.shared.with_io(f)
    }
}
