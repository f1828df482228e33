//! What comes back.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use identity::TlsInfo;
use net::Io;

use crate::tunnel::Tunnel;
use crate::{Body, BodyError, BodyKind, Frame, ResponseHead, h1, h2c};
use crate::{InFlight, InFlightAt};

/// A response whose head is here and whose body may still be on its way. It goes through many hands: in a box.
pub struct Response<B> {
    pub head: ResponseHead,
    pub body: ResponseBody<B>,
    pub facts: Rc<Facts>,
    /// The connection had served a request before.
    pub reused: bool,
}

/// What is known of a connection to an endpoint; all that it carries shares it.
#[derive(Debug)]
pub struct Facts {
    /// `HTTP/1.1` or `HTTP/2`: `%UPSTREAM_PROTOCOL%`. Empty: it carries no requests.
    pub protocol: &'static str,
    pub local: Option<SocketAddr>,
    pub tls: Option<Arc<TlsInfo>>,
    pub dialed: Dialing,
}

/// How a connection was made.
#[derive(Clone, Copy, Debug)]
pub struct Dialing {
    /// No other connection to an endpoint in this process has it.
    pub id: u64,
    pub begun: Instant,
    /// TCP's part was done.
    pub connected: Instant,
    /// TLS stood; `None`: there is none.
    pub secured: Option<Instant>,
}

impl Dialing {
    /// How long it took, TLS included, in milliseconds.
    pub fn millis(&self) -> u64 {
        let end = self.secured.unwrap_or(self.connected);
        end.saturating_duration_since(self.begun).as_millis() as u64
    }
}

/// The response's body. While it is polled, the rest of the request's body goes out, too.
/// Dropped before its end it ends the exchange: an HTTP/1 connection is closed, an HTTP/2 stream
/// reset. Read to its end it gives its connection back.
pub struct ResponseBody<B> {
    kind: BodyKind,
    inside: Inside<B>,
    /// The request is in flight until this is dropped.
    in_flight: Option<(InFlight, InFlightAt)>,
}

pub(crate) enum Inside<B> {
    H1(h1::Exchange<B>),
    H2(h2c::Exchange<B>),
    /// Bytes, whatever they are.
    Raw(Io),
}

impl<B: Body> ResponseBody<B> {
    pub(crate) fn new(kind: BodyKind, inside: Inside<B>) -> Self {
        ResponseBody { kind, inside, in_flight: None }
    }

    pub(crate) fn count(&mut self, in_flight: (InFlight, InFlightAt)) {
        self.in_flight = Some(in_flight);
    }

    /// After a 101 over HTTP/1: the stream and the bytes behind the head. The request counts as
    /// in flight for as long as the stream lives.
    ///
    /// # Errors
    /// The exchange was over HTTP/2, or the request is not sent to its end.
    pub fn into_upgraded(self) -> io::Result<(Io, Bytes)> {
        let Inside::H1(exchange) = self.inside else { return Err(io::ErrorKind::Unsupported.into()) };
        let (mut io, first) = exchange.into_upgraded()?;
        io.attach(self.in_flight);
        Ok((io, first))
    }

    /// After a 101, or a CONNECT's 2xx, whatever is spoken upstream: the bytes of both ways. The request counts as in
    /// flight for as long as they are held.
    ///
    /// # Errors
    /// The stream is over, or the request is not sent to its end.
    pub fn into_tunnel(self) -> io::Result<Tunnel> {
        match self.inside {
            Inside::H1(exchange) => {
                let (mut io, first) = exchange.into_upgraded()?;
                io.unread(first);
                io.attach(self.in_flight);
                Ok(Tunnel::Io(io))
            }
            Inside::H2(exchange) => {
                let mut stream = exchange.into_tunnel().ok_or(io::ErrorKind::NotConnected)?;
                stream.attach(self.in_flight);
                Ok(Tunnel::H2(stream))
            }
            Inside::Raw(mut io) => {
                io.attach(self.in_flight);
                Ok(Tunnel::Io(io))
            }
        }
    }

    /// The whole request has been taken.
    pub fn request_done(&self) -> bool {
        match &self.inside {
            Inside::H1(exchange) => exchange.request_done(),
            Inside::H2(exchange) => exchange.request_done(),
            Inside::Raw(_) => true,
        }
    }
}

impl<B: Body> Body for ResponseBody<B> {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>, BodyError>> {
        match &mut self.inside {
            Inside::H1(exchange) => exchange.poll_frame(cx),
            Inside::H2(exchange) => exchange.poll_frame(cx),
            Inside::Raw(_) => Poll::Ready(Ok(None)),
        }
    }

    fn release(&mut self, bytes: usize) {
        if let Inside::H2(exchange) = &mut self.inside {
            exchange.release(bytes);
        }
    }

    fn kind(&self) -> BodyKind {
        self.kind
    }

    fn is_end(&self) -> bool {
        match &self.inside {
            Inside::H1(exchange) => exchange.is_end(),
            Inside::H2(exchange) => exchange.is_end(),
            Inside::Raw(_) => true,
        }
    }
}
