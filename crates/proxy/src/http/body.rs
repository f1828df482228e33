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
    /// How many bytes may be kept.
    limit: usize,
    /// Copies for mirrors.
    taps: Vec<Rc<RefCell<Tapped>>>,
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

    /// Reads all of it, at most `limit` bytes, and keeps it until an attempt is done with it.
    pub async fn collect(&self, limit: usize) -> Whole {
        {
            let mut inner = self.0.borrow_mut();
            if inner.kept.is_none() && inner.progress.request_bytes.get() == 0 {
                inner.kept = Some(VecDeque::new());
            }
            inner.limit = limit;
        }
        loop {
            let frame = std::future::poll_fn(|cx| self.0.borrow_mut().source.poll_frame(cx)).await;
            let mut inner = self.0.borrow_mut();
            if let Ok(Some(Frame::Data(bytes))) = &frame {
                // The buffer has room for it: the next may come.
                let len = bytes.len();
                inner.released += len as u64;
                inner.source.release(len);
                if inner.progress.request_bytes.get() + len as u64 > limit as u64 {
                    inner.note(&frame);
                    return Whole::TooLong;
                }
            }
            inner.note(&frame);
            match frame {
                Ok(Some(_)) => {}
                Ok(None) => {
                    inner.kind = match inner.progress.request_bytes.get() {
                        0 => BodyKind::None,
                        bytes => BodyKind::Length(bytes),
                    };
                    return Whole::Yes;
                }
                Err(_) => return Whole::Broken,
            }
        }
    }

    /// Reads the first `limit` bytes of it, or all where there are fewer. It is kept, as for a retry.
    ///
    /// # Errors
    /// It broke.
    pub async fn collect_some(&self, limit: usize, together: &Rc<Cell<usize>>) -> Result<Part, ()> {
        let mut part = Part::default();
        {
            let mut inner = self.0.borrow_mut();
            if inner.kept.is_none() && inner.progress.request_bytes.get() == 0 {
                inner.kept = Some(VecDeque::new());
            }
            for frame in inner.kept.iter().flatten() {
                if let Frame::Data(bytes) = frame {
                    part.add(bytes, limit);
                }
            }
        }
        while !self.ended() && !part.more {
            let frame = std::future::poll_fn(|cx| self.0.borrow_mut().source.poll_frame(cx)).await;
            let mut inner = self.0.borrow_mut();
            if let Ok(Some(Frame::Data(bytes))) = &frame {
                // The buffer has room for it: the next may come.
                let len = bytes.len();
                inner.released += len as u64;
                inner.source.release(len);
                part.add(bytes, limit);
            }
            inner.note(&frame);
            if frame.is_err() {
                return Err(());
            }
        }
        let mut inner = self.0.borrow_mut();
        if inner.kept_together.is_none() && inner.kept.is_some() && !inner.ended {
            // What is still to come is kept within the limits of retries only.
            inner.kept_bytes = usize::try_from(inner.progress.request_bytes.get()).unwrap_or(usize::MAX);
            together.set(together.get() + inner.kept_bytes);
            inner.kept_together = Some(together.clone());
        }
        Ok(part)
    }

    /// The next attempt goes without it.
    pub fn drop_content(&self) {
        let mut inner = self.0.borrow_mut();
        inner.forget();
        inner.kind = BodyKind::None;
    }

    /// What is read of it from here on, for somebody else. What does not keep up is cut off.
    pub fn tap(&self) -> Tap {
        let mut inner = self.0.borrow_mut();
        let tapped = Rc::new(RefCell::new(Tapped::default()));
        let kept = inner.kept.iter().flatten().cloned();
        tapped.borrow_mut().frames.extend(kept);
        if inner.ended {
            tapped.borrow_mut().end = Some(true);
        } else {
            inner.taps.push(tapped.clone());
        }
        Tap { kind: inner.kind, tapped }
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
            self.progress.request_end.set(Some(Instant::now()));
        }
    }

    fn note(&mut self, frame: &Result<Option<Frame>, BodyError>) {
        self.progress.touch();
        self.taps.retain(|tap| tap.borrow_mut().take(frame));
        match frame {
            Ok(Some(frame)) => {
                if let Frame::Data(bytes) = frame {
                    let total = self.progress.request_bytes.get() + bytes.len() as u64;
                    self.progress.request_bytes.set(total);
                    // Who knows the length does not ask again, and the upstream's time begins now.
                    if self.kind == BodyKind::Length(total) {
                        self.progress.request_end.set(Some(Instant::now()));
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

/// The first bytes of a body.
#[derive(Debug, Default)]
pub struct Part {
    pub bytes: Vec<u8>,
    /// There are more.
    pub more: bool,
}

impl Part {
    fn add(&mut self, bytes: &[u8], limit: usize) {
        let room = limit - self.bytes.len();
        self.more |= bytes.len() > room;
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

/// How a body came to be there whole.
pub enum Whole {
    Yes,
    TooLong,
    Broken,
}

/// A copy of a request's body: what its first reader has read.
pub struct Tap {
    kind: BodyKind,
    tapped: Rc<RefCell<Tapped>>,
}

#[derive(Default)]
struct Tapped {
    frames: VecDeque<Frame>,
    bytes: usize,
    /// Whether it came to its end, or broke.
    end: Option<bool>,
    reader: Option<std::task::Waker>,
}

impl Tapped {
    /// Whether more is wanted.
    fn take(&mut self, frame: &Result<Option<Frame>, BodyError>) -> bool {
        match frame {
            Ok(Some(frame)) => {
                if let Frame::Data(bytes) = frame {
                    self.bytes += bytes.len();
                }
                self.frames.push_back(frame.clone());
                if self.bytes > CONNECTION_REPLAY_LIMIT {
                    self.end = Some(false);
                }
            }
            Ok(None) => self.end = Some(true),
            Err(_) => self.end = Some(false),
        }
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        self.end.is_none()
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        // Nobody reads it: nothing is kept for it.
        self.tapped.borrow_mut().end = Some(false);
        self.tapped.borrow_mut().frames.clear();
    }
}

impl Body for Tap {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>, BodyError>> {
        let mut tapped = self.tapped.borrow_mut();
        if let Some(frame) = tapped.frames.pop_front() {
            if let Frame::Data(bytes) = &frame {
                tapped.bytes = tapped.bytes.saturating_sub(bytes.len());
            }
            return Poll::Ready(Ok(Some(frame)));
        }
        match tapped.end {
            Some(true) => Poll::Ready(Ok(None)),
            Some(false) => Poll::Ready(Err(BodyError::Incomplete)),
            None => {
                tapped.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn kind(&self) -> BodyKind {
        self.kind
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
