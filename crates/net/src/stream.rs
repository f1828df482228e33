//! [`Io`]: TCP, Unix or TLS, with bytes put back in front.

use std::any::Any;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::rustls;
use tokio_rustls::{client, server};

use crate::meter::Meter;
use crate::tcp::Tcp;

/// One stream of the data path.
#[derive(Debug)]
pub struct Io {
    /// Read before anything of the stream.
    prefix: Option<Box<Bytes>>,
    kind: Kind,
    /// Dropped with the stream.
    attached: Option<Box<dyn Any + Send + Sync>>,
}

#[derive(Debug)]
enum Kind {
    Tcp(Tcp),
    Unix(UnixStream),
    Server(Box<server::TlsStream<Io>>),
    Client(Box<client::TlsStream<Io>>),
    /// Another one whose bytes somebody counts.
    Metered(Box<(Io, Arc<Meter>)>),
}

impl From<TcpStream> for Io {
    fn from(stream: TcpStream) -> Self {
        // Fails on a socket that is gone, and then so does everything else.
        let _ = stream.set_nodelay(true);
        Io::new(Kind::Tcp(Tcp::new(stream)))
    }
}

impl From<UnixStream> for Io {
    fn from(stream: UnixStream) -> Self {
        Io::new(Kind::Unix(stream))
    }
}

impl From<server::TlsStream<Io>> for Io {
    fn from(stream: server::TlsStream<Io>) -> Self {
        Io::new(Kind::Server(Box::new(stream)))
    }
}

impl From<client::TlsStream<Io>> for Io {
    fn from(stream: client::TlsStream<Io>) -> Self {
        Io::new(Kind::Client(Box::new(stream)))
    }
}

impl Io {
    fn new(kind: Kind) -> Self {
        Io { prefix: None, kind, attached: None }
    }

    /// Keeps something, such as a guard that counts, for as long as the stream lives.
    pub fn attach(&mut self, guard: impl Any + Send + Sync) {
        self.attached = Some(match self.attached.take() {
            None => Box::new(guard),
            Some(before) => Box::new((before, guard)),
        });
    }

    /// The same stream, counted from now on: for those of whom a log tells how much they were.
    pub fn metered(self) -> (Self, Arc<Meter>) {
        let meter = Arc::new(Meter::default());
        (Io::new(Kind::Metered(Box::new((self, meter.clone())))), meter)
    }

    /// Bytes that were put back and not read again yet.
    pub fn prefix(&self) -> &[u8] {
        self.prefix.as_deref().map_or(b"", |bytes| bytes)
    }

    /// Puts bytes back, to be read before all others.
    pub fn unread(&mut self, bytes: Bytes) {
        let all = match &self.prefix {
            None => bytes,
            Some(after) => [&bytes[..], &after[..]].concat().into(),
        };
        self.prefix = (!all.is_empty()).then(|| Box::new(all));
    }

    /// Reads more bytes of the stream behind those that were put back, where
    /// [`Io::prefix`] shows them. Gives their number; 0 is the end of the stream. Safe to drop.
    pub fn poll_peek_more(&mut self, cx: &mut Context<'_>, max: usize) -> Poll<io::Result<usize>> {
        let mut room = [0; 2048];
        let max = max.min(room.len());
        let mut buf = ReadBuf::new(&mut room[..max]);
        std::task::ready!(self.poll_read_kind(cx, &mut buf))?;
        let new = buf.filled();
        if !new.is_empty() {
            self.prefix = Some(Box::new([self.prefix(), new].concat().into()));
        }
        Poll::Ready(Ok(new.len()))
    }

    /// The TCP socket under it all, for its addresses and options: what is read past us is not noticed.
    pub fn tcp(&self) -> Option<&TcpStream> {
        match &self.kind {
            Kind::Tcp(tcp) => Some(&tcp.stream),
            Kind::Unix(_) => None,
            Kind::Server(stream) => stream.get_ref().0.tcp(),
            Kind::Client(stream) => stream.get_ref().0.tcp(),
            Kind::Metered(it) => it.0.tcp(),
        }
    }

    /// The TLS session, where we are the server.
    pub fn tls_server(&self) -> Option<&rustls::ServerConnection> {
        match &self.kind {
            Kind::Server(stream) => Some(stream.get_ref().1),
            Kind::Metered(it) => it.0.tls_server(),
            _ => None,
        }
    }

    /// The TLS session, where we are the client.
    pub fn tls_client(&self) -> Option<&rustls::ClientConnection> {
        match &self.kind {
            Kind::Client(stream) => Some(stream.get_ref().1),
            Kind::Metered(it) => it.0.tls_client(),
            _ => None,
        }
    }

    pub fn is_tls(&self) -> bool {
        match &self.kind {
            Kind::Server(_) | Kind::Client(_) => true,
            Kind::Metered(it) => it.0.is_tls(),
            Kind::Tcp(_) | Kind::Unix(_) => false,
        }
    }

    /// The protocol that ALPN chose.
    pub fn alpn(&self) -> Option<&[u8]> {
        match &self.kind {
            Kind::Server(stream) => stream.get_ref().1.alpn_protocol(),
            Kind::Client(stream) => stream.get_ref().1.alpn_protocol(),
            Kind::Metered(it) => it.0.alpn(),
            _ => None,
        }
    }

    /// The peer's certificates, its own first.
    pub fn peer_certificates(&self) -> Option<&[rustls::pki_types::CertificateDer<'static>]> {
        match &self.kind {
            Kind::Server(stream) => stream.get_ref().1.peer_certificates(),
            Kind::Client(stream) => stream.get_ref().1.peer_certificates(),
            Kind::Metered(it) => it.0.peer_certificates(),
            _ => None,
        }
    }

    /// `None` for Unix sockets. A system call: keep the answer.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.tcp()?.local_addr().ok().map(crate::original_dst::unmapped)
    }

    /// `None` for Unix sockets. A system call: keep the answer.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.tcp()?.peer_addr().ok().map(crate::original_dst::unmapped)
    }

    /// Nothing came from the socket since it was read to its last byte, as far as its readiness says:
    /// no system call, and whoever is to be woken when something comes still is.
    pub fn is_quiet(&self) -> bool {
        let nothing = |looked: io::Result<()>| looked.is_err();
        self.prefix.is_none()
            && match &self.kind {
                Kind::Tcp(tcp) => tcp.is_quiet(),
                Kind::Unix(stream) => nothing(stream.try_io(Interest::READABLE, || Ok(()))),
                Kind::Server(stream) => stream.get_ref().0.is_quiet(),
                Kind::Client(stream) => stream.get_ref().0.is_quiet(),
                Kind::Metered(it) => it.0.is_quiet(),
            }
    }

    /// Makes dropping the stream reset the connection instead of closing it in order.
    pub fn abort_on_drop(&self) {
        if let Some(stream) = self.tcp() {
            let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
        }
    }

    fn poll_read_kind(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.kind {
            Kind::Tcp(tcp) => tcp.poll_read(cx, buf),
            Kind::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Kind::Server(stream) => Pin::new(&mut **stream).poll_read(cx, buf),
            Kind::Client(stream) => Pin::new(&mut **stream).poll_read(cx, buf),
            Kind::Metered(it) => {
                let before = buf.filled().len();
                let read = Pin::new(&mut it.0).poll_read(cx, buf);
                it.1.add_received(buf.filled().len() - before);
                read
            }
        }
    }
}

impl AsyncRead for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(prefix) = &mut self.prefix else { return self.poll_read_kind(cx, buf) };
        let len = prefix.len().min(buf.remaining());
        buf.put_slice(&prefix[..len]);
        prefix.advance(len);
        if prefix.is_empty() {
            self.prefix = None;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.kind {
            Kind::Tcp(tcp) => tcp.poll_write(cx, buf),
            Kind::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
            Kind::Server(stream) => Pin::new(&mut **stream).poll_write(cx, buf),
            Kind::Client(stream) => Pin::new(&mut **stream).poll_write(cx, buf),
            Kind::Metered(it) => {
                let written = Pin::new(&mut it.0).poll_write(cx, buf);
                if let Poll::Ready(Ok(bytes)) = &written {
                    it.1.add_sent(*bytes);
                }
                written
            }
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.kind {
            Kind::Tcp(tcp) => Pin::new(&mut tcp.stream).poll_write_vectored(cx, bufs),
            Kind::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Kind::Server(stream) => Pin::new(&mut **stream).poll_write_vectored(cx, bufs),
            Kind::Client(stream) => Pin::new(&mut **stream).poll_write_vectored(cx, bufs),
            Kind::Metered(it) => {
                let written = Pin::new(&mut it.0).poll_write_vectored(cx, bufs);
                if let Poll::Ready(Ok(bytes)) = &written {
                    it.1.add_sent(*bytes);
                }
                written
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.kind {
            Kind::Tcp(tcp) => Pin::new(&mut tcp.stream).poll_flush(cx),
            Kind::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Kind::Server(stream) => Pin::new(&mut **stream).poll_flush(cx),
            Kind::Client(stream) => Pin::new(&mut **stream).poll_flush(cx),
            Kind::Metered(it) => Pin::new(&mut it.0).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.kind {
            Kind::Tcp(tcp) => Pin::new(&mut tcp.stream).poll_shutdown(cx),
            Kind::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Kind::Server(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
            Kind::Client(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
            Kind::Metered(it) => Pin::new(&mut it.0).poll_shutdown(cx),
        }
    }
}
