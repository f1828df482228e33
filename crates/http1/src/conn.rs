//! What both ends share: one stream with its two halves, reachable from several handles of one
//! task. A handle borrows the core for one step and never across a wait.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::burst::{self, Waiting};
use crate::reader::Reader;
use crate::writer::Writer;
use crate::{Body, BodyError, BodyKind, Frame, Limits};

/// A connection's stream and state.
pub(crate) struct Core<S> {
    /// Gone after an upgrade.
    io: Option<S>,
    pub(crate) reader: Reader,
    pub(crate) writer: Writer,
    pub(crate) limits: Limits,
    /// Server: what becomes of `Expect: 100-continue`.
    pub(crate) expectation: Expectation,
    /// Server: `100 Continue` is queued and not written yet.
    continuing: bool,
    later: Later,
    /// Of the owner, to be woken if the burst could not write all.
    owner: Option<Waker>,
    /// Which is the same task all the time, so that its waker may stay.
    one_owner: bool,
}

/// Whether somebody else writes what waits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Later {
    No,
    /// At the end of this turn.
    Burst,
    /// That was tried, and the socket did not take it.
    Stuck,
}

impl<S: AsyncWrite + Unpin> Waiting for RefCell<Core<S>> {
    fn write_now(&self, cx: &mut Context<'_>) {
        let mut core = self.borrow_mut();
        let core = &mut *core;
        let owner = if core.one_owner { None } else { core.owner.take() };
        // It may have had to write since then.
        let Some(io) =
            core.io.as_mut().filter(|_| std::mem::replace(&mut core.later, Later::No) == Later::Burst)
        else {
            return;
        };
        if !matches!(core.writer.poll_flush(io, cx), Poll::Ready(Ok(()))) {
            // An error comes again when the owner writes.
            core.later = Later::Stuck;
            owner.iter().chain(&core.owner).for_each(Waker::wake_by_ref);
        }
    }
}

impl<S> Core<S> {
    /// Nothing is queued, or the burst is going to write it.
    pub(crate) fn is_settled(&self) -> bool {
        self.later == Later::Burst || self.writer.is_flushed()
    }
}

/// Who tells a client that it may send its body (RFC 9110, section 10.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expectation {
    /// It does not wait, or was told.
    None,
    /// We, when the body is first asked for.
    Ours,
    /// Whoever the request is forwarded to.
    Forwarded,
}

pub(crate) struct Shared<S>(Rc<RefCell<Core<S>>>);

impl<S> Clone for Shared<S> {
    fn clone(&self) -> Self {
        Shared(self.0.clone())
    }
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the connection was upgraded")
}

impl<S> Shared<S> {
    pub(crate) fn new(io: S, limits: Limits, one_owner: bool) -> Self {
        Shared(Rc::new(RefCell::new(Core {
            io: Some(io),
            reader: Reader::new(),
            writer: Writer::new(),
            limits,
            expectation: Expectation::None,
            continuing: false,
            later: Later::No,
            owner: None,
            one_owner,
        })))
    }

    /// One look at the state.
    pub(crate) fn with<T>(&self, f: impl FnOnce(&mut Core<S>) -> T) -> T {
        f(&mut self.0.borrow_mut())
    }

    /// The stream and the bytes that were read beyond the head.
    pub(crate) fn upgrade(&self) -> io::Result<(S, Bytes)> {
        self.with(|core| {
            if !core.writer.is_flushed() {
                return Err(io::Error::other("bytes wait to be written"));
            }
            let io = core.io.take().ok_or_else(gone)?;
            Ok((io, core.reader.take_rest()))
        })
    }

    pub(crate) fn with_io<T>(&self, f: impl FnOnce(&S) -> T) -> Option<T> {
        self.with(|core| core.io.as_ref().map(f))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Shared<S> {
    /// One step of the reading half.
    pub(crate) fn poll_reading<T, E: From<io::Error>>(
        &self,
        f: impl FnOnce(&mut Reader, &mut S, &Limits) -> Poll<Result<T, E>>,
    ) -> Poll<Result<T, E>> {
        let mut core = self.0.borrow_mut();
        let core = &mut *core;
        match &mut core.io {
            Some(io) => f(&mut core.reader, io, &core.limits),
            None => Poll::Ready(Err(gone().into())),
        }
    }

    /// One step of the writing half.
    pub(crate) fn poll_writing(
        &self,
        f: impl FnOnce(&mut Writer, &mut S) -> Poll<io::Result<()>>,
    ) -> Poll<io::Result<()>> {
        let mut core = self.0.borrow_mut();
        let core = &mut *core;
        match &mut core.io {
            Some(io) => f(&mut core.writer, io),
            None => Poll::Ready(Err(gone())),
        }
    }

    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_writing(|writer, io| writer.poll_flush(io, cx)))?;
        self.with(|core| core.later = Later::No);
        Poll::Ready(Ok(()))
    }

    /// Leaves what is queued to the burst of this turn. `false`: it has to be flushed here.
    fn leave_to_burst(&self, cx: &Context<'_>) -> bool {
        let mut core = self.0.borrow_mut();
        match core.later {
            Later::Burst => return core.writer.is_small(),
            Later::Stuck => return false,
            Later::No if !core.writer.is_small() || core.writer.is_flushed() => return false,
            Later::No => {}
        }
        if burst::join(|| self.0.clone()) {
            core.later = Later::Burst;
            if !core.owner.as_ref().is_some_and(|owner| owner.will_wake(cx.waker())) {
                core.owner = Some(cx.waker().clone());
            }
        }
        core.later == Later::Burst
    }

    /// Writes a body to its end and flushes, or leaves that to the burst. The outer error is the socket's, the inner one the
    /// body's source's, which may be the other half of this connection.
    pub(crate) fn poll_write_body<B: Body + ?Sized>(
        &self,
        source: &mut B,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Result<(), BodyError>>> {
        loop {
            ready!(self.poll_writing(|writer, io| writer.poll_room(io, cx)))?;
            let frame = match self.with(|core| core.writer.ended()) {
                true => Poll::Ready(Ok(None)),
                false => source.poll_frame(cx),
            };
            let (queued, finished) = match frame {
                Poll::Ready(Ok(Some(frame))) => (self.with(|core| core.writer.queue(frame)), false),
                Poll::Ready(Ok(None)) => (self.with(|core| core.writer.queue_end(None)), true),
                Poll::Ready(Err(error)) => (Err(error), true),
                Poll::Pending => {
                    ready!(self.poll_write_out(source, cx))?;
                    return Poll::Pending;
                }
            };
            if let Err(error) = queued {
                return Poll::Ready(Ok(Err(error)));
            }
            if finished {
                return self.poll_write_out(source, cx).map_ok(Ok);
            }
        }
    }

    /// Flushes and tells the source that its bytes were taken.
    fn poll_write_out<B: Body + ?Sized>(&self, source: &mut B, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.leave_to_burst(cx) {
            ready!(self.poll_flush(cx))?;
        }
        let taken = self.with(|core| core.writer.take_released());
        if taken > 0 {
            source.release(taken);
        }
        Poll::Ready(Ok(()))
    }

    /// Sends `100 Continue` if we owe it. A socket that takes nothing now will take it later.
    fn poll_continue(&self, cx: &mut Context<'_>) -> io::Result<()> {
        let flush = self.with(|core| {
            if core.expectation == Expectation::Ours {
                core.expectation = Expectation::None;
                // A client whose body is on its way does not wait.
                if !core.reader.has_bytes() {
                    core.writer.out().extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
                    core.continuing = true;
                }
            }
            core.continuing
        });
        if flush && self.poll_flush(cx)?.is_ready() {
            self.with(|core| core.continuing = false);
        }
        Ok(())
    }
}

/// The body that arrives on a connection: a handle beside the connection's own. Dropping it
/// leaves the rest unread.
pub struct Incoming<S> {
    shared: Shared<S>,
    kind: BodyKind,
}

impl<S> Incoming<S> {
    pub(crate) fn new(shared: Shared<S>, kind: BodyKind) -> Self {
        Incoming { shared, kind }
    }

    /// Of a request that is forwarded with its `Expect: 100-continue`: reading the body sends no
    /// `100 Continue`. It comes from there, for [`crate::ServerConn::queue_interim`].
    pub fn forward_expectation(&self) {
        self.shared.with(|core| {
            if core.expectation == Expectation::Ours {
                core.expectation = Expectation::Forwarded;
            }
        });
    }

    /// It was read to its end.
    pub fn is_end(&self) -> bool {
        self.shared.with(|core| core.reader.body_done())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Body for Incoming<S> {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>, BodyError>> {
        self.shared.poll_continue(cx)?;
        let frame = ready!(self.shared.poll_reading(|reader, io, limits| reader.poll_frame(io, cx, limits)));
        // It comes without being asked for: so its end is known.
        self.shared.with(|core| core.expectation = Expectation::None);
        Poll::Ready(frame)
    }

    fn kind(&self) -> BodyKind {
        match self.kind {
            BodyKind::UntilClose => BodyKind::Chunked,
            kind => kind,
        }
    }

    fn is_end(&self) -> bool {
        Incoming::is_end(self)
    }
}
