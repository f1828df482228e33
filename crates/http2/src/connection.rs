//! A connection's socket: what is read goes to the state, what the state composes is written.

use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use http1::{RequestHead, pool};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::error::{Error, Reason};
use crate::handle::{Receive, Send, Shared, halves};
use crate::pings::Pings;
use crate::settings::Config;
use crate::state::{Core, OUT_LIMIT, Role};

/// Beyond bodies, heads and answers to control frames that wait for the socket: with so many bytes nothing
/// is read until some have gone.
const CONTROL_LIMIT: usize = 1024 * 1024;

/// What reads and writes.
struct Driver<S> {
    io: S,
    core: Shared,
    /// What was read and is no whole frame. Without bytes it has no memory.
    buffer: BytesMut,
    /// The last read was a full buffer: there is more, and large bodies are likely.
    busy: bool,
    /// A client's first bytes are still to come.
    preface: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    fn new(io: S, role: Role, config: Config) -> Self {
        let core = Shared::new(Core::new(role, config).into());
        Driver { io, core, buffer: BytesMut::new(), busy: false, preface: role == Role::Server }
    }

    /// Reads and writes until there is nothing to do, or requests are there to be taken. Ready: the
    /// connection is over.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        {
            let mut core = self.core.borrow_mut();
            core.awake = true;
            crate::stream::remember(&mut core.driver, cx);
        }
        loop {
            if let Poll::Ready(over) = self.poll_flush(cx) {
                return Poll::Ready(over);
            }
            match self.poll_read(cx) {
                Poll::Ready(()) if self.core.borrow().has_opened() => return Poll::Pending,
                Poll::Ready(()) => {}
                Poll::Pending => break,
            }
        }
        let flushed = self.poll_flush(cx);
        self.core.borrow_mut().awake = false;
        flushed
    }

    /// Writes what waits. Ready: nothing more is to come.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let core = &mut *self.core.borrow_mut();
        let mut written = 0;
        let flushed = core.out.poll_flush(&mut self.io, &mut written, cx);
        core.flushed(written);
        match flushed {
            Poll::Ready(Err(error)) => {
                let error = Error::from(error);
                core.fail(error.clone());
                // The reason that is known is better than that it could not be told.
                return Poll::Ready(Err(core.error.clone().unwrap_or(error)));
            }
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(())) => {}
        }
        match &core.error {
            Some(Error::ShutDown(Reason::NO_ERROR)) => Poll::Ready(Ok(())),
            Some(error) => Poll::Ready(Err(error.clone())),
            None if core.is_over() => Poll::Ready(Ok(())),
            None => Poll::Pending,
        }
    }

    /// Reads once, and takes what came.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Driver { io, core, buffer, busy, preface } = self;
        let core = &mut *core.borrow_mut();
        if core.error.is_some() || core.out.len() > OUT_LIMIT + CONTROL_LIMIT {
            return Poll::Pending;
        }
        pool::make_room(buffer, if *busy { pool::LARGE } else { pool::SMALL });
        let room = buffer.capacity() - buffer.len();
        let read = match http1::poll_read(io, cx, buffer) {
            Poll::Ready(read) => read,
            Poll::Pending => {
                *busy = false;
                give_back(buffer);
                return Poll::Pending;
            }
        };
        match read {
            Ok(0) => core.fail(Error::Closed),
            Ok(count) => {
                *busy = count == room;
                if *preface {
                    match core.preface(buffer) {
                        None => return Poll::Ready(()),
                        Some(true) => *preface = false,
                        Some(false) => {
                            core.abort(Error::Violation(Reason::PROTOCOL_ERROR, "no preface of HTTP/2"));
                            return Poll::Ready(());
                        }
                    }
                }
                core.receive(buffer);
            }
            Err(error) => core.fail(error.into()),
        }
        if buffer.is_empty() && !*busy {
            give_back(buffer);
        }
        Poll::Ready(())
    }
}

fn give_back(buffer: &mut BytesMut) {
    if buffer.is_empty() && buffer.capacity() > 0 {
        pool::give(std::mem::take(buffer));
    }
}

impl<S> Drop for Driver<S> {
    fn drop(&mut self) {
        let core = &mut *self.core.borrow_mut();
        core.fail(Error::Closed);
        core.out.clear();
    }
}

/// A server's connection. It moves only while it is polled.
pub struct Server<S> {
    driver: Driver<S>,
}

/// A request, and its stream's two halves.
pub struct Incoming {
    /// As HTTP/1.1 would have it: `:authority` is Host, and extended CONNECT an upgrade.
    pub head: RequestHead,
    /// Its `:scheme` is `https`.
    pub https: bool,
    /// CONNECT, or extended CONNECT (RFC 8441): what follows is no body.
    pub upgrade: bool,
    pub receive: Receive,
    pub send: Send,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Server<S> {
    /// Settings go out with the first poll.
    pub fn new(io: S, config: Config) -> Self {
        Server { driver: Driver::new(io, Role::Server, config) }
    }

    /// Resolves when the client's first bytes were here: it speaks HTTP/2.
    ///
    /// # Errors
    /// It does not, or hung up.
    pub fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if !self.driver.preface {
            return Poll::Ready(Ok(()));
        }
        match self.driver.poll(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) => Poll::Ready(Err(Error::Closed)),
            Poll::Pending if !self.driver.preface => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        }
    }

    /// The next request; `None`: the connection is over in order. Streams that were taken move only while
    /// this is polled.
    pub fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Incoming, Error>>> {
        loop {
            if let Some(opened) = self.driver.core.borrow_mut().pop_opened() {
                let (receive, send) = halves(&self.driver.core, opened.slot);
                let crate::state::Opened { head, https, upgrade, .. } = opened;
                return Poll::Ready(Some(Ok(Incoming { head, https, upgrade, receive, send })));
            }
            let polled = self.driver.poll(cx);
            if self.driver.core.borrow().has_opened() {
                continue;
            }
            return match ready!(polled) {
                Ok(()) => Poll::Ready(None),
                Err(error) => Poll::Ready(Some(Err(error))),
            };
        }
    }

    /// Announces the end: streams that are on their way are served, and then the connection is over
    /// (RFC 9113, section 6.8: two GOAWAYs, the second a round trip after the first).
    pub fn announce_end(&mut self) {
        self.driver.core.borrow_mut().announce_end();
    }

    /// Ends all streams and the connection, which says why.
    pub fn shut_down(&mut self, reason: Reason) {
        self.driver.core.borrow_mut().abort(Error::ShutDown(reason));
    }

    /// Resolves when everything was written after [`Server::shut_down`] or an error.
    pub fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.driver.poll(cx).map(drop)
    }

    /// For whoever asks whether the client is alive.
    pub fn pings(&self) -> Pings {
        Pings(self.driver.core.clone())
    }

    /// The socket.
    pub fn io(&mut self) -> &mut S {
        &mut self.driver.io
    }
}

/// A client's connection: resolves when it is over. It moves only while it is polled.
#[must_use = "a connection moves only while it is polled"]
pub struct ClientConnection<S> {
    driver: Driver<S>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for ClientConnection<S> {
    type Output = Result<(), Error>;

    fn poll(mut self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.driver.poll(cx)
    }
}

/// Opens streams. When the last copy is dropped, the connection ends with its streams.
#[derive(Clone)]
pub struct Client(Rc<Opener>);

struct Opener(Shared);

impl Drop for Opener {
    fn drop(&mut self) {
        self.0.borrow_mut().abandon();
    }
}

/// A client of an endpoint. Requests may be sent at once.
pub fn client<S: AsyncRead + AsyncWrite + Unpin>(io: S, config: Config) -> (Client, ClientConnection<S>) {
    let driver = Driver::new(io, Role::Client, config);
    (Client(Rc::new(Opener(driver.core.clone()))), ClientConnection { driver })
}

impl Client {
    /// Waits until the endpoint allows another stream. One that is ready is not kept for anybody.
    ///
    /// # Errors
    /// It takes no more of them.
    pub fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0.0.borrow_mut().poll_opening(cx)
    }

    /// Opens a stream with a request, without looking at the endpoint's limit. `ends`: it has no body.
    ///
    /// # Errors
    /// The endpoint takes no more of them.
    pub fn send(&self, head: &RequestHead, https: bool, ends: bool) -> Result<(Receive, Send), Error> {
        let slot = self.0.0.borrow_mut().open(head, https, ends)?;
        Ok(halves(&self.0.0, slot))
    }

    /// Streams that may be open at a time, as far as is known.
    pub fn max_streams(&self) -> usize {
        self.0.0.borrow().peer.max_streams
    }

    /// The endpoint takes extended CONNECT (RFC 8441, section 3). `None`: its settings are not here.
    pub fn extended_connect(&self) -> Option<bool> {
        let core = self.0.0.borrow();
        core.peer.known.then_some(core.peer.extended_connect)
    }

    /// For whoever asks whether the endpoint is alive.
    pub fn pings(&self) -> Pings {
        Pings(self.0.0.clone())
    }
}
