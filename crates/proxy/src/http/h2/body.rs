//! A stream's body.

use std::task::{Context, Poll, ready};

use h2::RecvStream;
use upstream::{Body, BodyError, BodyKind, Frame, trailers_of_h2};

/// The body of a request. Its window opens as the upstream takes the bytes.
pub(super) struct H2Body {
    recv: RecvStream,
    kind: BodyKind,
    data_ended: bool,
}

impl H2Body {
    /// `length` is what the head announced; `h2` holds the client to it (RFC 9113, section 8.1.1).
    pub(super) fn new(recv: RecvStream, length: Option<u64>) -> Self {
        let kind = match length {
            _ if recv.is_end_stream() => BodyKind::None,
            Some(length) => BodyKind::Length(length),
            None => BodyKind::Chunked,
        };
        H2Body { recv, kind, data_ended: false }
    }
}

impl Body for H2Body {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>, BodyError>> {
        while !self.data_ended {
            match ready!(self.recv.poll_data(cx)) {
                Some(Ok(bytes)) if bytes.is_empty() => {}
                Some(Ok(bytes)) => return Poll::Ready(Ok(Some(Frame::Data(bytes)))),
                Some(Err(error)) => return Poll::Ready(Err(body_error(&error))),
                None => self.data_ended = true,
            }
        }
        Poll::Ready(match ready!(self.recv.poll_trailers(cx)) {
            Ok(None) => Ok(None),
            Ok(Some(map)) => Ok(Some(Frame::Trailers(trailers_of_h2(&map)))),
            Err(error) => Err(body_error(&error)),
        })
    }

    fn release(&mut self, bytes: usize) {
        // More than was received cannot be released; then the stream is gone anyway.
        let _ = self.recv.flow_control().release_capacity(bytes);
    }

    fn kind(&self) -> BodyKind {
        self.kind
    }

    fn is_end(&self) -> bool {
        self.recv.is_end_stream()
    }
}

fn body_error(error: &h2::Error) -> BodyError {
    match (error.reason(), error.get_io()) {
        (_, Some(io)) => BodyError::Io(io.kind().into()),
        (Some(code), _) => BodyError::Reset(code.into()),
        (None, None) => BodyError::Incomplete,
    }
}
