//! The body of a request, which may be sent more than once.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use stdx::turn;
use upstream::{Body, BodyError, BodyKind, Frame};

use super::tap::Tapped;
use super::{BoxBody, CONNECTION_REPLAY_LIMIT, Progress, REPLAY_LIMIT};

/// The body of a request. Each attempt reads it through a handle of its own.
#[derive(Clone)]
pub struct RequestBody(pub(super) Rc<RefCell<Inner>>);

pub(super) struct Inner {
    pub(super) source: BoxBody,
    pub(super) kind: BodyKind,
    pub(super) progress: Rc<Progress>,
    /// Frames from the beginning; `None` once they are not wholly kept.
    pub(super) kept: Option<VecDeque<Frame>>,
    pub(super) kept_bytes: usize,
    /// How many bytes may be kept.
    pub(super) limit: usize,
    /// Copies for mirrors.
    pub(super) taps: Vec<Rc<RefCell<Tapped>>>,
    /// What the connection's requests keep together.
    pub(super) kept_together: Option<Rc<Cell<usize>>>,
    /// Bytes the source has been told are done with.
    pub(super) released: u64,
    pub(super) ended: bool,
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
        let (limit, taps) = (REPLAY_LIMIT, Vec::new());
        let inner = Inner {
            source,
            kind,
            progress,
            kept: None,
            kept_bytes,
            limit,
            taps,
            kept_together,
            released: 0,
            ended,
        };
        RequestBody(Rc::new(RefCell::new(inner)))
    }

    /// From here on keeps what is read, for another attempt; at most `limit` bytes, and our own limit.
    pub fn keep(&self, together: &Rc<Cell<usize>>, limit: Option<u64>) {
        let mut inner = self.0.borrow_mut();
        let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
        inner.limit = inner.limit.max(inner.kept_bytes).min(limit);
        if inner.released == 0 && inner.kept.is_none() && inner.progress.request_bytes.get() == 0 {
            inner.kept = Some(VecDeque::new());
            inner.kept_together = Some(together.clone());
        }
    }

    /// The next attempt goes without it.
    pub fn drop_content(&self) {
        let mut inner = self.0.borrow_mut();
        inner.forget();
        inner.kind = BodyKind::None;
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

    /// There is none, or its last byte has been read.
    pub fn is_whole(&self) -> bool {
        let inner = self.0.borrow();
        inner.ended || inner.progress.request_end.get().is_some()
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        matches!(self.0.borrow().kind, BodyKind::None | BodyKind::Length(0))
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

    /// The time since the request's end; zero before it.
    pub fn elapsed(&self) -> Duration {
        self.0.borrow().progress.request_end.get().map_or(Duration::ZERO, |end| end.elapsed())
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
        // Who still copies it does not wait for ever.
        for tap in self.taps.drain(..) {
            tap.borrow_mut().take(&Err(BodyError::Incomplete));
        }
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
        if self.kept_bytes > self.limit || together.get() > CONNECTION_REPLAY_LIMIT {
            self.forget();
        }
    }

    fn end(&mut self) {
        self.ended = true;
        if self.progress.request_end.get().is_none() {
            self.progress.request_end.set(Some(turn::now()));
        }
        self.progress.sent();
    }

    pub(super) fn note(&mut self, frame: &Result<Option<Frame>, BodyError>) {
        self.progress.touch();
        self.taps.retain(|tap| tap.borrow_mut().take(frame));
        match frame {
            Ok(Some(frame)) => {
                if let Frame::Data(bytes) = frame {
                    let total = self.progress.request_bytes.get() + bytes.len() as u64;
                    self.progress.request_bytes.set(total);
                    // Who knows the length does not ask again, and the upstream's time begins now.
                    if self.kind == BodyKind::Length(total) {
                        self.progress.request_end.set(Some(turn::now()));
                        self.progress.sent();
                    }
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
