//! What an error of a stream or a connection means for a request.

use h2::Reason;

use crate::{Facts, Failure, SendError};

/// Why a stream yielded no response.
pub(super) struct StreamError {
    pub(super) failure: Failure,
    /// The endpoint says that it did not look at the request.
    pub(super) unseen: bool,
    /// The connection takes no more streams.
    pub(super) connection_over: bool,
    /// Something of the request may have been sent.
    pub(super) started: bool,
    pub(super) detail: String,
    /// See [`SendError::by_tls`].
    pub(super) by_tls: bool,
}

impl StreamError {
    /// `over`: the connection that it was sent over.
    pub(super) fn into_send_error(self, over: &Facts) -> SendError {
        let request_started = self.started;
        let StreamError { failure, detail, by_tls, .. } = self;
        let over = Some(Box::new(over.clone()));
        SendError { request_started, detail, over, by_tls, ..SendError::new(failure) }
    }

    /// The request did not get into the connection.
    pub(super) fn unsent(error: h2::Error) -> Self {
        let mut error = StreamError::of(&error);
        // An error of a stream that does not exist is one of the connection.
        error.connection_over = true;
        error.unseen = true;
        error.started = false;
        error
    }

    /// What an error of a stream or connection means.
    pub(super) fn of(error: &h2::Error) -> Self {
        let reason = error.reason().unwrap_or(Reason::NO_ERROR);
        // RFC 9113, section 8.7: what a GOAWAY left out, or what was refused, was not looked at.
        let unseen =
            error.is_remote() && (error.is_go_away() || error.is_reset() && reason == Reason::REFUSED_STREAM);
        let failure = if unseen {
            Failure::Refused
        } else if error.is_reset() && error.is_remote() {
            Failure::Reset(reason.into())
        } else if error.is_library() {
            Failure::Protocol
        } else {
            Failure::Closed
        };
        StreamError {
            failure,
            unseen,
            connection_over: error.is_go_away() || error.is_io(),
            started: true,
            // What the TLS library makes of its errors; a socket has none of that kind.
            by_tls: error.get_io().is_some_and(|io| io.kind() == std::io::ErrorKind::InvalidData),
            detail: if error.is_io() || error.is_library() { error.to_string() } else { String::new() },
        }
    }
}
