//! Bodies on their way: counted, kept for a retry, watched for time.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use upstream::{Body, BodyError, BodyKind, Frame, Interim, ResponseHead, Trailers};

use super::outgoing::End;

/// A body whose origin does not matter any more.
pub type BoxBody = Box<dyn Body>;

/// How much of a request's body is kept, so that the request can be sent again, and of all requests
/// of a connection together.
const REPLAY_LIMIT: usize = 256 * 1024;
const CONNECTION_REPLAY_LIMIT: usize = 1024 * 1024;

/// What bodies tell of themselves while they move.
#[derive(Debug, Default)]
pub struct Progress {
    pub request_bytes: Cell<u64>,
    pub response_bytes: Cell<u64>,
    /// When the last byte of the request was there.
    pub request_end: Cell<Option<Instant>>,
    /// When something last moved, in either direction.
    pub last_moved: Cell<Option<Instant>>,
    /// The request's body broke: it is the client that is gone.
    pub request_failed: Cell<bool>,
    pub trailers: RefCell<Option<Trailers>>,
    /// How the response's body came to its end.
    pub ending: Cell<End>,
    /// Messages of gRPC could be counted here; status comes with the trailers.
    pub grpc_status: Cell<Option<u32>>,
    /// Interim responses that the client has still to be given.
    pub interim: RefCell<Vec<ResponseHead>>,
}

impl Interim for Progress {
    fn interim(&self, head: ResponseHead) {
        self.interim.borrow_mut().push(head);
        self.touch();
    }
}

impl Progress {
    pub(super) fn touch(&self) {
        self.last_moved.set(Some(Instant::now()));
    }
}

/// The body of a request. Each attempt reads it through a handle of its own.
#[derive(Clone)]
pub struct RequestBody(Rc<RefCell<Inner>>);

struct Inner {
    source: BoxBody,
    kind: BodyKind,
    progress: Rc<Progress>,
    /// Frames from the beginning; `None` once they are not wholly kept.
    kept: Option<VecDeque<Frame>>,
    kept_bytes: usize,
    /// What the connection's requests keep together.
    kept_together: Option<Rc<Cell<usize>>>,
    /// Bytes the source has been told are done with.
    released: u64,
    ended: bool,
}

impl RequestBody {
    /// `began`: when the request did; one without a body has ended by then.
    pub fn new(source: BoxBody, progress: Rc<Progress>, began: Instant) -> Self {
        let kind = source.kind();
        let ended = kind == BodyKind::None;
        if ended {
            progress.request_end.set(Some(began));
        }
        let (kept_bytes, kept_together) = (0, None);
        let inner =
            Inner { source, kind, progress, kept: None, kept_bytes, kept_together, released: 0, ended };
        RequestBody(Rc::new(RefCell::new(inner)))
    }

    /// From here on keeps what is read, for another attempt.
    pub fn keep(&self, together: &Rc<Cell<usize>>) {
        let mut inner = self.0.borrow_mut();
        if inner.released == 0 && inner.kept.is_none() && inner.progress.request_bytes.get() == 0 {
            inner.kept = Some(VecDeque::new());
            inner.kept_together = Some(together.clone());
        }
    }

    /// All that was read so far is kept, or there is nothing to keep.
    pub fn is_kept(&self) -> bool {
        let inner = self.0.borrow();
        inner.kind == BodyKind::None || inner.kept.is_some()
    }

    /// No further attempt will be made: frees what was kept.
    pub fn forget(&self) {
        self.0.borrow_mut().forget();
    }

    /// Whether everything that was read so far can be sent again.
    pub fn replayable(&self) -> bool {
        let inner = self.0.borrow();
        inner.kind == BodyKind::None || inner.kept.is_some() || inner.progress.request_bytes.get() == 0
    }

    /// There is none, or all of it has been read.
    pub fn ended(&self) -> bool {
        self.0.borrow().ended
    }

    /// Whether that time has passed since the request's end.
    pub fn time_is_over(&self, limit: Option<Duration>) -> bool {
        let end = self.0.borrow().progress.request_end.get();
        matches!((end, limit), (Some(end), Some(limit)) if end.elapsed() >= limit)
    }

    /// The body from its beginning, as one attempt sends it.
    pub fn attempt(&self) -> Attempt {
        Attempt { inner: self.0.clone(), next: 0, taken: 0 }
    }
}

/// The body of one attempt.
pub struct Attempt {
    inner: Rc<RefCell<Inner>>,
    /// The next kept frame.
    next: usize,
    /// Bytes this attempt's taker is done with.
    taken: u64,
}

impl Body for Attempt {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>, BodyError>> {
        let mut inner = self.inner.borrow_mut();
        if let Some(frame) = inner.kept.as_ref().and_then(|kept| kept.get(self.next)) {
            self.next += 1;
            return Poll::Ready(Ok(Some(frame.clone())));
        }
        if inner.ended {
            return Poll::Ready(Ok(None));
        }
        let frame = std::task::ready!(inner.source.poll_frame(cx));
        inner.note(&frame);
        self.next += 1;
        Poll::Ready(frame)
    }

    fn release(&mut self, bytes: usize) {
        // A second attempt sends the same bytes again: they count once.
        self.taken += bytes as u64;
        let mut inner = self.inner.borrow_mut();
        if self.taken > inner.released {
            let new = self.taken - inner.released;
            inner.released = self.taken;
            inner.source.release(new as usize);
        }
    }

    fn kind(&self) -> BodyKind {
        self.inner.borrow().kind
    }

    fn is_end(&self) -> bool {
        let inner = self.inner.borrow();
        inner.ended && inner.kept.as_ref().is_none_or(|kept| self.next >= kept.len())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.forget();
    }
}

impl Inner {
    fn forget(&mut self) {
        self.kept = None;
        let kept = std::mem::take(&mut self.kept_bytes);
        if let Some(together) = self.kept_together.take() {
            together.set(together.get() - kept);
        }
    }

    /// Counts bytes that are to be kept, or lets go of all of them.
    fn keep(&mut self, bytes: usize) {
        let Some(together) = &self.kept_together else { return };
        self.kept_bytes += bytes;
        together.set(together.get() + bytes);
        if self.kept_bytes > REPLAY_LIMIT || together.get() > CONNECTION_REPLAY_LIMIT {
            self.forget();
        }
    }

    fn end(&mut self) {
        self.ended = true;
        self.progress.request_end.set(Some(Instant::now()));
    }

    fn note(&mut self, frame: &Result<Option<Frame>, BodyError>) {
        self.progress.touch();
        match frame {
            Ok(Some(frame)) => {
                if let Frame::Data(bytes) = frame {
                    self.progress.request_bytes.set(self.progress.request_bytes.get() + bytes.len() as u64);
                    self.keep(bytes.len());
                }
                if let Some(kept) = &mut self.kept {
                    kept.push_back(frame.clone());
                }
                if self.source.is_end() {
                    self.end();
                }
            }
            Ok(None) => self.end(),
            Err(_) => {
                self.ended = true;
                self.progress.request_failed.set(true);
            }
        }
    }
}

/// A decimal number in a header.
pub fn number(value: &[u8]) -> Option<u32> {
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}

/// A few bytes of our own.
pub fn full(bytes: impl Into<Bytes>) -> BoxBody {
    Box::new(upstream::Full::new(bytes))
}
