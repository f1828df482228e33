//! A stream of HTTP/2 as bytes both ways: WebSocket and its like (RFC 8441).

use std::any::Any;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h2::{Reason, RecvStream, SendStream};
use net::Io;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::Outbox;

/// Of one piece on its way into a stream.
const MAX_PIECE: usize = 16 * 1024;

/// Bytes both ways behind an upgrade, whatever is spoken below.
pub enum Tunnel {
    Io(Io),
    H2(H2Tunnel),
}

/// One stream. Its window opens as bytes are read.
pub struct H2Tunnel {
    recv: RecvStream,
    send: SendStream<Bytes>,
    outbox: Rc<Outbox>,
    unread: Bytes,
    ended: bool,
    attached: Vec<Box<dyn Any>>,
}

impl H2Tunnel {
    /// `outbox` is that of the stream's connection.
    pub fn new(recv: RecvStream, send: SendStream<Bytes>, outbox: Rc<Outbox>) -> Self {
        H2Tunnel { recv, send, outbox, unread: Bytes::new(), ended: false, attached: Vec::new() }
    }

    /// Keeps something for as long as the stream lives.
    pub fn attach(&mut self, guard: impl Any) {
        self.attached.push(Box::new(guard));
    }
}

impl AsyncRead for H2Tunnel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.unread.is_empty() {
            match ready!(self.recv.poll_data(cx)) {
                Some(Ok(bytes)) => self.unread = bytes,
                // As TCP's FIN (RFC 9113, section 8.5).
                None => return Poll::Ready(Ok(())),
                Some(Err(error)) if error.reason() == Some(Reason::NO_ERROR) => return Poll::Ready(Ok(())),
                Some(Err(error)) => return Poll::Ready(Err(io_error(error))),
            }
        }
        let len = self.unread.len().min(buf.remaining());
        buf.put_slice(&self.unread[..len]);
        self.unread.advance(len);
        // Fails only for more than was received.
        let _ = self.recv.flow_control().release_capacity(len);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for H2Tunnel {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        ready!(self.outbox.poll_room(cx));
        let room = match ready!(poll_capacity(&mut self.send, buf.len().min(MAX_PIECE), cx)) {
            Some(Ok(room)) => room.min(buf.len()),
            Some(Err(error)) => return Poll::Ready(Err(io_error(error))),
            None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        };
        self.send.send_data(Bytes::copy_from_slice(&buf[..room]), false).map_err(io_error)?;
        self.outbox.add(room);
        Poll::Ready(Ok(room))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !std::mem::replace(&mut self.ended, true) {
            self.send.send_data(Bytes::new(), true).map_err(io_error)?;
        }
        Poll::Ready(Ok(()))
    }
}

/// Room for some of `wanted` bytes in the windows and in what we keep for the peer.
pub fn poll_capacity(
    send: &mut SendStream<Bytes>,
    wanted: usize,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<usize, h2::Error>>> {
    send.reserve_capacity(wanted);
    match send.capacity() {
        0 => send.poll_capacity(cx),
        room => Poll::Ready(Some(Ok(room))),
    }
}

fn io_error(error: h2::Error) -> io::Error {
    match error.is_io() {
        true => error.into_io().unwrap_or_else(|| io::ErrorKind::BrokenPipe.into()),
        false => io::Error::new(io::ErrorKind::ConnectionReset, error),
    }
}

impl AsyncRead for Tunnel {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Tunnel::Io(io) => Pin::new(io).poll_read(cx, buf),
            Tunnel::H2(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Tunnel::Io(io) => Pin::new(io).poll_write(cx, buf),
            Tunnel::H2(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Tunnel::Io(io) => Pin::new(io).poll_flush(cx),
            Tunnel::H2(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Tunnel::Io(io) => Pin::new(io).poll_shutdown(cx),
            Tunnel::H2(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
