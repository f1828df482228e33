//! The server's end of a connection.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use crate::conn::{Core, Expectation, Shared};
use crate::response::bodiless;
use crate::{
    Body, BodyError, BodyKind, Frame, Incoming, Limits, Meter, ReadError, RequestHead, ResponseHead, Version,
};

/// How long an unread rest of a request, or a client that is to read our last words, is waited
/// for; and how many bytes are thrown away meanwhile.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 256 * 1024;

/// A connection on which requests arrive.
pub struct ServerConn<S> {
    shared: Shared<S>,
    /// Of the request that is answered now.
    head_request: bool,
    connect: bool,
    version: Version,
    body: BodyKind,
    keep_alive: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> ServerConn<S> {
    pub fn new(io: S, limits: Limits) -> Self {
        ServerConn {
            shared: Shared::new(io, limits, true),
            head_request: false,
            connect: false,
            version: Version::Http11,
            body: BodyKind::None,
            keep_alive: false,
        }
    }

    /// Waits for the first byte of the next request, holding no buffer. `false`: the peer closed.
    /// Needs not be called before [`ServerConn::read_head`]; it tells idle time from the time a
    /// head takes.
    ///
    /// # Errors
    /// The socket failed.
    pub async fn readable(&mut self) -> io::Result<bool> {
        poll_fn(|cx| self.poll_readable(cx)).await
    }

    /// See [`ServerConn::readable`]. First of all it writes what a burst could not write.
    ///
    /// # Errors
    /// The socket failed.
    pub fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if !self.is_settled() {
            std::task::ready!(self.poll_flush(cx))?;
        }
        self.shared.poll_reading(|reader, io, _| reader.poll_readable(io, cx))
    }

    /// The next request's head; `None`: the peer closed between requests. After an error nothing
    /// more can be read: answer with [`crate::Refusal::status`] and close.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn read_head(&mut self) -> Result<Option<RequestHead>, ReadError> {
        // Whatever answers a head that cannot be read closes the connection.
        (self.keep_alive, self.head_request, self.connect) = (false, false, false);
        self.version = Version::Http11;
        self.shared.with(|core| {
            core.reader.begin();
            core.writer.begin();
        });
        let read = poll_fn(|cx| {
            self.shared.poll_reading(|reader, io, limits| {
                reader.poll_head(io, cx, limits, |bytes| RequestHead::parse(bytes, limits))
            })
        });
        let Some(head) = read.await? else { return Ok(None) };
        self.head_request = head.method() == b"HEAD";
        self.connect = head.is_connect();
        self.version = head.version();
        self.body = head.body_kind();
        self.keep_alive = head.keep_alive();
        self.shared.with(|core| {
            core.reader.expect(self.body);
            let waits = head.expects_continue() && !core.reader.body_done();
            core.expectation = if waits { Expectation::Ours } else { Expectation::None };
        });
        Ok(Some(head))
    }

    /// The body of the request whose head was read last, as a handle that lives beside this one.
    /// Its first poll sends `100 Continue` if the client waits for it, unless that was left to
    /// somebody else with [`Incoming::forward_expectation`].
    pub fn body(&self) -> Incoming<S> {
        Incoming::new(self.shared.clone(), self.body)
    }

    /// Resolves when the peer closes or resets the connection after the request's end. Bytes of a
    /// next request are kept, and then it does not resolve. May be polled beside any other call.
    pub fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        let watched = self.shared.with(|core| core.reader.body_done() && !core.reader.has_bytes());
        if !watched {
            return Poll::Pending;
        }
        match self.shared.poll_reading(|reader, io, _| reader.poll_fill(io, cx)) {
            Poll::Ready(Ok(read)) if read > 0 => Poll::Pending,
            Poll::Ready(_) => Poll::Ready(()),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Queues an interim response (1xx, but not 101), to be sent by [`ServerConn::poll_flush`] or
    /// with whatever is written next. Dropped where it must not be sent: to an HTTP/1.0 client
    /// (RFC 9110, section 15.2), and a 100 for which the client does not wait.
    pub fn queue_interim(&self, head: &ResponseHead) {
        let status = head.status();
        if self.version == Version::Http10 || status == 101 || status >= 200 {
            return;
        }
        self.shared.with(|core| {
            if status == 100
                && std::mem::replace(&mut core.expectation, Expectation::None) == Expectation::None
            {
                return;
            }
            core.writer.head(|out| head.write(BodyKind::None, out));
        });
    }

    /// Nothing is queued that the socket has not taken.
    pub fn is_flushed(&self) -> bool {
        self.shared.with(|core| core.writer.is_flushed())
    }

    /// Nothing is queued but what a burst is going to write (see [`crate::write_bursts`]).
    pub fn is_settled(&self) -> bool {
        self.shared.with(|core| core.is_settled())
    }

    /// Sends what is queued; may be polled beside any other call.
    ///
    /// # Errors
    /// The socket failed.
    pub fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.poll_flush(cx)
    }

    /// Queues the response's head; it goes out with the first bytes of the body, or with
    /// [`ServerConn::flush`]. `body` is what the caller is going to write: `None` is announced as
    /// length 0 where a body could be, `Chunked` becomes `UntilClose` for an HTTP/1.0 client.
    /// What HTTP gives no body (HEAD, 1xx, 204, 304) gets none, whatever is written. `close` ends
    /// the connection after it. The head should have no hop-by-hop fields but those of an upgrade.
    pub fn start(&mut self, head: &ResponseHead, body: BodyKind, close: bool) {
        let status = head.status();
        let upgraded = status == 101 || (self.connect && (200..300).contains(&status));
        let no_body = self.head_request || upgraded || bodiless(status) || status == 304;
        let discard = no_body && !upgraded && body != BodyKind::None;
        let body = match body {
            _ if upgraded || bodiless(status) => BodyKind::None,
            BodyKind::None if !no_body => BodyKind::Length(0),
            BodyKind::Chunked | BodyKind::UntilClose if no_body => BodyKind::None,
            BodyKind::Chunked if self.version == Version::Http10 => BodyKind::UntilClose,
            body => body,
        };
        // Nobody can tell whether a body comes for which we did not ask.
        let expectation = |core: &mut Core<S>| std::mem::replace(&mut core.expectation, Expectation::None);
        let waits = self.shared.with(expectation) != Expectation::None;
        // What follows a CONNECT may be meant for its tunnel: it is never read as another request.
        let last = close || upgraded || self.connect;
        self.keep_alive &= !last && !waits && body != BodyKind::UntilClose;
        self.shared.with(|core| {
            core.reader.quiet = true;
            let persistence: &[u8] = match (self.keep_alive, self.version) {
                _ if upgraded => b"",
                (false, _) => b"connection: close\r\n",
                (true, Version::Http10) => b"connection: keep-alive\r\n",
                (true, Version::Http11) => b"",
            };
            core.writer.head(|out| {
                head.write(body, out);
                if !persistence.is_empty() {
                    // Before the empty line.
                    out.truncate(out.len() - 2);
                    out.extend_from_slice(persistence);
                    out.extend_from_slice(b"\r\n");
                }
            });
            core.writer.expect(body, discard);
        });
    }

    /// Writes a whole body, trailers too, and flushes, or leaves that to the burst of this turn
    /// (see [`crate::write_bursts`]). The outer error is of our socket, the
    /// inner one of the body's source; after either the connection can only be closed.
    ///
    /// # Errors
    /// See above.
    pub async fn write_body<B: Body>(&mut self, body: &mut B) -> io::Result<Result<(), BodyError>> {
        poll_fn(|cx| self.poll_write_body(body, cx)).await
    }

    /// Like [`ServerConn::write_body`], to be polled beside something else.
    pub fn poll_write_body<B: Body>(
        &mut self,
        body: &mut B,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Result<(), BodyError>>> {
        self.shared.poll_write_body(body, cx)
    }

    /// Sends what is queued.
    ///
    /// # Errors
    /// The socket failed.
    pub async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// After the response: `true` if a next request may be read. An unread rest of the request's
    /// body is thrown away if it comes soon and is not long.
    ///
    /// # Errors
    /// The socket failed.
    pub async fn finish(&mut self) -> io::Result<bool> {
        if !self.is_settled() {
            self.flush().await?;
        }
        if !self.keep_alive || !self.shared.with(|core| core.writer.ended()) {
            return Ok(false);
        }
        let mut rest = self.body();
        if rest.is_end() {
            return Ok(true);
        }
        let skipped = async {
            let mut left = LINGER_BYTES;
            while left > 0 {
                match poll_fn(|cx| rest.poll_frame(cx)).await {
                    Ok(Some(Frame::Data(data))) => {
                        left = left.saturating_sub(data.len());
                        crate::pool::recycle(data);
                    }
                    Ok(Some(Frame::Trailers(_))) => {}
                    Ok(None) => return true,
                    Err(_) => return false,
                }
            }
            false
        };
        Ok(tokio::time::timeout(LINGER, skipped).await.unwrap_or(false))
    }

    /// Bytes read from the wire since the present request's head was asked for, that head and
    /// what follows the request included.
    pub fn received(&self) -> u64 {
        self.shared.with(|core| core.reader.received)
    }

    /// Bytes written to the wire for the present request.
    pub fn sent(&self) -> u64 {
        self.shared.with(|core| core.writer.sent)
    }

    /// Counts what goes over the wire, while others use the connection.
    pub fn meter(&self) -> Meter<S> {
        Meter::new(self.shared.clone())
    }

    /// Closes so that the peer can still read the last response: says that nothing more comes,
    /// then reads on, at most for `linger`. Bytes unread at a close would turn it into a reset, and
    /// that may overtake the response.
    pub async fn close(self, linger: Duration) {
        let written = async {
            poll_fn(|cx| self.poll_flush(cx)).await?;
            let (mut io, _) = self.shared.upgrade()?;
            io.shutdown().await?;
            io::Result::Ok(io)
        };
        let Ok(Ok(mut io)) = tokio::time::timeout(linger.max(LINGER), written).await else { return };
        let read = async {
            let mut left = LINGER_BYTES;
            let mut scratch = [0; 1024];
            while left > 0 {
                match tokio::io::AsyncReadExt::read(&mut io, &mut scratch).await? {
                    0 => break,
                    read => left = left.saturating_sub(read),
                }
            }
            io::Result::Ok(())
        };
        let _ = tokio::time::timeout(linger, read).await;
    }

    /// After a 101 or a CONNECT's 2xx that was flushed: the stream, and what was read of it
    /// already.
    ///
    /// # Errors
    /// It was taken before.
    pub fn into_upgraded(self) -> io::Result<(S, Bytes)> {
        self.shared.upgrade()
    }

    /// A look at the stream, for addresses and TLS facts. `None` after an upgrade.
    pub fn with_io<T>(&self, f: impl FnOnce(&S) -> T) -> Option<T> {
        self.shared.with_io(f)
    }
}
