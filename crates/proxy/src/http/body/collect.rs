//! Reading a request's body before it goes on: for the buffer filter, and for who judges by it.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;

use upstream::{BodyKind, Frame};

use super::RequestBody;
use super::request::Inner;

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

impl RequestBody {
    /// Reads all of it, at most `limit` bytes, and keeps it until an attempt is done with it.
    pub async fn collect(&self, limit: usize) -> Whole {
        {
            let mut inner = self.0.borrow_mut();
            inner.keep_from_here();
            inner.limit = limit;
        }
        loop {
            let frame = std::future::poll_fn(|cx| self.0.borrow_mut().source.poll_frame(cx)).await;
            let mut inner = self.0.borrow_mut();
            if let Ok(Some(Frame::Data(bytes))) = &frame {
                inner.has_room_for(bytes);
                if inner.progress.request_bytes.get() + bytes.len() as u64 > limit as u64 {
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
            inner.keep_from_here();
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
                inner.has_room_for(bytes);
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
}

impl Inner {
    /// Keeps what is read from here on, if nothing was read yet.
    fn keep_from_here(&mut self) {
        if self.kept.is_none() && self.progress.request_bytes.get() == 0 {
            self.kept = Some(VecDeque::new());
        }
    }

    /// The buffer takes these bytes: as many more may come.
    fn has_room_for(&mut self, bytes: &[u8]) {
        self.released += bytes.len() as u64;
        self.source.release(bytes.len());
    }
}
