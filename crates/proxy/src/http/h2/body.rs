//! A stream's body.

use std::task::{Context, Poll};

use http2::Receive;
use upstream::{Body, BodyError, BodyKind, Frame};

/// The body of a request. Its window opens as the upstream takes the bytes.
pub(super) struct H2Body {
    receive: Receive,
    kind: BodyKind,
}

impl H2Body {
    /// `length` is what the head announced; the client is held to it (RFC 9113, section 8.1.1).
    pub(super) fn new(receive: Receive, length: Option<u64>) -> Self {
        let kind = match length {
            _ if receive.is_end() => BodyKind::None,
            Some(length) => BodyKind::Length(length),
            None => BodyKind::Chunked,
        };
        H2Body { receive, kind }
    }
}

impl Body for H2Body {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>, BodyError>> {
        self.receive.poll_frame(cx).map_err(BodyError::from)
    }

    fn release(&mut self, bytes: usize) {
        self.receive.release(bytes);
    }

    fn kind(&self) -> BodyKind {
        self.kind
    }

    fn is_end(&self) -> bool {
        self.receive.is_end()
    }
}
