//! Copies of a request's body, for mirrors.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use upstream::{Body, BodyError, BodyKind, Frame};

use super::{CONNECTION_REPLAY_LIMIT, RequestBody};

impl RequestBody {
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
}

/// A copy of a request's body: what its first reader has read.
pub struct Tap {
    kind: BodyKind,
    tapped: Rc<RefCell<Tapped>>,
}

#[derive(Default)]
pub(super) struct Tapped {
    frames: VecDeque<Frame>,
    bytes: usize,
    /// Whether it came to its end, or broke.
    end: Option<bool>,
    reader: Option<Waker>,
}

impl Tapped {
    /// Whether more is wanted.
    pub(super) fn take(&mut self, frame: &Result<Option<Frame>, BodyError>) -> bool {
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
