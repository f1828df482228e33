//! What an error of a stream or a connection means for a request.

use std::rc::Rc;

use http2::{Error, Reason};

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
    pub(super) fn into_send_error(self, over: &Rc<Facts>) -> SendError {
        let request_started = self.started;
        let StreamError { failure, detail, by_tls, .. } = self;
        let over = Some(over.clone());
        SendError { request_started, detail, over, by_tls, ..SendError::new(failure) }
    }

    /// The request did not get into the connection.
    pub(super) fn unsent(error: &Error) -> Self {
        // An error of a stream that does not exist is one of the connection.
        StreamError { connection_over: true, unseen: true, started: false, ..StreamError::of(error) }
    }

    /// What an error of a stream or connection means.
    pub(super) fn of(error: &Error) -> Self {
        // RFC 9113, section 8.7: what a GOAWAY left out, or what was refused, was not looked at.
        let unseen = matches!(error, Error::GoneAway(_) | Error::Reset(Reason::REFUSED_STREAM));
        let failure = match error {
            _ if unseen => Failure::Refused,
            Error::Reset(reason) => Failure::Reset(reason.0),
            Error::Refused(_) | Error::Violation(..) => Failure::Protocol,
            _ => Failure::Closed,
        };
        let ours = matches!(error, Error::Refused(_) | Error::Violation(..) | Error::Io(_) | Error::Closed);
        StreamError {
            failure,
            unseen,
            connection_over: error.is_of_connection(),
            started: true,
            // What the TLS library makes of its errors; a socket has none of that kind.
            by_tls: matches!(error, Error::Io(io) if io.kind() == std::io::ErrorKind::InvalidData),
            detail: if ours { error.to_string() } else { String::new() },
        }
    }
}
