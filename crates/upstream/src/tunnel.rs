//! A stream of HTTP/2 as bytes both ways: WebSocket and its like (RFC 8441).

use std::any::Any;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http2::{Error, Reason, Receive, Send};
use net::Io;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::Frame;

/// Bytes both ways behind an upgrade, whatever is spoken below.
pub enum Tunnel {
    Io(Io),
    H2(H2Tunnel),
}

/// One stream. Its window opens as bytes are read.
pub struct H2Tunnel {
    receive: Receive,
    send: Send,
    unread: Bytes,
    ended: bool,
    attached: Vec<Box<dyn Any>>,
}

impl H2Tunnel {
    pub fn new(receive: Receive, send: Send) -> Self {
        H2Tunnel { receive, send, unread: Bytes::new(), ended: false, attached: Vec::new() }
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
            match ready!(self.receive.poll_frame(cx)) {
                Ok(Some(Frame::Data(bytes))) => self.unread = bytes,
                // As TCP's FIN (RFC 9113, section 8.5).
                Ok(Some(Frame::Trailers(_)) | None) | Err(Error::Reset(Reason::NO_ERROR)) => {
                    return Poll::Ready(Ok(()));
                }
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
        let len = self.unread.len().min(buf.remaining());
        buf.put_slice(&self.unread[..len]);
        self.unread.advance(len);
        self.receive.release(len);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for H2Tunnel {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.send.poll_copy(buf, cx).map_err(io::Error::from)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !std::mem::replace(&mut self.ended, true) {
            self.send.end()?;
        }
        Poll::Ready(Ok(()))
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
