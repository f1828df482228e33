//! The two halves of a stream, as its task holds them.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http1::{BodyError, Frame, ResponseHead, Trailers, Wire};

use crate::error::{Error, Reason};
use crate::state::Core;
use crate::stream::remember;

pub(crate) type Shared = Rc<RefCell<Core>>;

/// What comes in on a stream. Dropped with the [`Send`] half before the end it resets the stream.
pub struct Receive {
    core: Shared,
    slot: usize,
}

/// What goes out on a stream.
pub struct Send {
    core: Shared,
    slot: usize,
}

/// Looks at a stream while others use it.
pub struct Meter {
    core: Shared,
    slot: usize,
    id: u32,
}

impl Meter {
    /// What went over the wire; nothing, once both halves of the stream are gone.
    pub fn wire(&self) -> Wire {
        let core = self.core.borrow();
        let stream = core.streams.get(self.slot).filter(|stream| stream.id == self.id);
        stream.map(|stream| stream.wire).unwrap_or_default()
    }
}

/// Of a stream that was counted as having two.
pub(crate) fn halves(core: &Shared, slot: usize) -> (Receive, Send) {
    (Receive { core: core.clone(), slot }, Send { core: core.clone(), slot })
}

impl Receive {
    /// The next interim response (1xx) that is here. Of a client.
    pub fn take_interim(&mut self) -> Option<ResponseHead> {
        self.core.borrow_mut().streams[self.slot].interim.pop_front()
    }

    /// The response's head. Of a client. Wakes for interim responses, too.
    ///
    /// # Errors
    /// The stream or the connection ended before; or it was given out already.
    pub fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<ResponseHead, Error>> {
        let core = &mut *self.core.borrow_mut();
        let stream = &mut core.streams[self.slot];
        if let Some(head) = stream.head.take() {
            return Poll::Ready(Ok(*head));
        }
        if let Some(error) = &stream.error {
            return Poll::Ready(Err(error.clone()));
        }
        if stream.recv_ended {
            return Poll::Ready(Err(Error::Closed));
        }
        remember(&mut stream.recv_waker, cx);
        Poll::Pending
    }

    /// The next piece of the body; `None` is its end.
    ///
    /// # Errors
    /// The stream or the connection ended before. What had come until then comes first.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>, Error>> {
        let core = &mut *self.core.borrow_mut();
        let stream = &mut core.streams[self.slot];
        if let Some(bytes) = stream.inbox.pop() {
            return Poll::Ready(Ok(Some(Frame::Data(bytes))));
        }
        if let Some(trailers) = stream.trailers.take() {
            return Poll::Ready(Ok(Some(Frame::Trailers(*trailers))));
        }
        if let Some(error) = &stream.error {
            return Poll::Ready(Err(error.clone()));
        }
        if stream.recv_ended {
            return Poll::Ready(Ok(None));
        }
        remember(&mut stream.recv_waker, cx);
        Poll::Pending
    }

    /// The end is here: there is nothing more to ask for.
    pub fn is_end(&self) -> bool {
        let stream = &self.core.borrow().streams[self.slot];
        stream.recv_ended && stream.error.is_none() && stream.trailers.is_none() && stream.inbox.is_empty()
    }

    /// So many bytes of data are of no more concern: the peer may send as many more.
    pub fn release(&mut self, bytes: usize) {
        self.core.borrow_mut().release(self.slot, bytes);
    }
}

impl Send {
    /// The response's head. Of a server; once.
    ///
    /// # Errors
    /// The stream is over.
    pub fn respond(&mut self, head: &ResponseHead, ends: bool) -> Result<(), Error> {
        self.core.borrow_mut().respond(self.slot, head, ends)
    }

    /// An interim response (1xx, but not 101). Of a server; before the response.
    ///
    /// # Errors
    /// The stream is over.
    pub fn interim(&mut self, head: &ResponseHead) -> Result<(), Error> {
        self.core.borrow_mut().respond(self.slot, head, false)
    }

    /// Counts what goes over the wire, as long as this half is there.
    pub fn meter(&self) -> Meter {
        let id = self.core.borrow().streams[self.slot].id;
        Meter { core: self.core.clone(), slot: self.slot, id }
    }

    /// Takes as much of `bytes` as the windows and the socket allow, and says how much. `last`: the
    /// stream ends with them.
    ///
    /// # Errors
    /// The stream is over.
    pub fn poll_data(
        &mut self,
        bytes: &mut Bytes,
        last: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<usize, Error>> {
        self.core.borrow_mut().poll_send(self.slot, bytes, last, cx)
    }

    /// Like [`Send::poll_data`], for bytes that are copied.
    ///
    /// # Errors
    /// The stream is over.
    pub fn poll_copy(&mut self, bytes: &[u8], cx: &mut Context<'_>) -> Poll<Result<usize, Error>> {
        self.core.borrow_mut().poll_copy(self.slot, bytes, cx)
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// It is over.
    pub fn end(&mut self) -> Result<(), Error> {
        self.core.borrow_mut().end(self.slot)
    }

    /// Ends the stream with trailers.
    ///
    /// # Errors
    /// It is over.
    pub fn trailers(&mut self, trailers: &Trailers) -> Result<(), Error> {
        self.core.borrow_mut().send_trailers(self.slot, trailers)
    }

    /// Ends the stream at once, both ways.
    pub fn reset(&mut self, reason: Reason) {
        self.core.borrow_mut().reset_stream(self.slot, reason);
    }

    /// Resolves when the stream is over before its end: reset by the peer, or lost with the connection.
    pub fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        let core = &mut *self.core.borrow_mut();
        let stream = &mut core.streams[self.slot];
        if let Some(error) = &stream.error {
            return Poll::Ready(error.clone());
        }
        remember(&mut stream.send_waker, cx);
        Poll::Pending
    }
}

impl Drop for Receive {
    fn drop(&mut self) {
        self.core.borrow_mut().drop_handle(self.slot, true);
    }
}

impl Drop for Send {
    fn drop(&mut self) {
        self.core.borrow_mut().drop_handle(self.slot, false);
    }
}

impl From<Error> for BodyError {
    fn from(error: Error) -> Self {
        match error {
            Error::Io(error) => BodyError::Io(std::io::Error::new(error.kind(), error.to_string())),
            Error::Closed => BodyError::Incomplete,
            other => BodyError::Reset(other.reason().unwrap_or(Reason::INTERNAL_ERROR).0),
        }
    }
}
