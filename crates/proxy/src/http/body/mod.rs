//! Bodies on their way: counted, kept for a retry, watched for time.

mod collect;
mod request;
mod tap;

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use stdx::turn;
use upstream::{Body, Facts, Interim, ResponseHead, Trailers};

pub use self::collect::{Part, Whole};
pub use self::request::{Attempt, RequestBody};
pub use self::tap::Tap;
use super::outgoing::End;
use crate::access_log::Told;

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
    /// The connection that was waited on when the client went away.
    pub left: RefCell<Option<Rc<Facts>>>,
    /// What some formats ask for.
    pub told: OnceCell<Rc<Told>>,
}

impl Interim for Progress {
    fn interim(&self, head: ResponseHead) {
        self.interim.borrow_mut().push(head);
        self.touch();
    }
}

impl Progress {
    pub(super) fn touch(&self) {
        self.last_moved.set(Some(turn::now()));
    }

    /// All of the request's body was read, and so goes out.
    pub(super) fn sent(&self) {
        if let Some(told) = self.told.get() {
            told.sent();
        }
    }

    /// The response's body is over.
    pub(super) fn received(&self) {
        if let Some(told) = self.told.get() {
            told.received();
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
