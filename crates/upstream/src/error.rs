//! Why there is no response, in the terms of Envoy's flags and retry conditions.

use std::fmt;
use std::rc::Rc;

use engine::retry::Outcome;

use crate::{BodyError, Breaker, Facts, is_idempotent};

/// An attempt that yielded no response head.
#[derive(Debug)]
pub struct SendError {
    pub failure: Failure,
    /// Some byte of the request may have reached the endpoint.
    pub request_started: bool,
    /// Some byte of a response was read.
    pub response_started: bool,
    /// The connection had served others before.
    pub reused: bool,
    /// It was sent once more already, without being asked.
    pub again: bool,
    /// TLS ended the connection and said why, as with a certificate of ours that it does not like.
    pub by_tls: bool,
    /// What `%UPSTREAM_TRANSPORT_FAILURE_REASON%` and response bodies show.
    pub detail: String,
    /// The connection's local address, if there was a connection.
    pub local: Option<std::net::SocketAddr>,
    /// The connection that it was sent over, if it came so far.
    pub over: Option<Rc<Facts>>,
}

/// What kind.
#[derive(Debug)]
pub enum Failure {
    /// TCP or Unix connection, or TLS: `UF`.
    Connect { timeout: bool, tls: bool },
    /// A circuit breaker: `UO`.
    Overflow(Breaker),
    /// The connection was closed or broke: `UC`.
    Closed,
    /// The stream was reset by the endpoint, with its HTTP/2 code: `UR`.
    Reset(u32),
    /// The endpoint did not look at it (`REFUSED_STREAM`, or after its `GOAWAY`): `UR`.
    Refused,
    /// The endpoint does not speak the protocol: `UPE`.
    Protocol,
    /// The request's own body failed: it is the client that is gone.
    RequestBody(BodyError),
    /// The request cannot be said in the protocol spoken upstream.
    Unsendable(&'static str),
}

impl SendError {
    pub(crate) fn new(failure: Failure) -> Self {
        SendError {
            failure,
            request_started: false,
            response_started: false,
            reused: false,
            again: false,
            by_tls: false,
            detail: String::new(),
            local: None,
            over: None,
        }
    }

    /// Envoy's response flag; empty where the client is to blame.
    pub fn flag(&self) -> &'static str {
        match self.failure {
            Failure::Connect { .. } => "UF",
            Failure::Overflow(_) => "UO",
            Failure::Closed => "UC",
            Failure::Reset(_) | Failure::Refused => "UR",
            Failure::Protocol => "UPE",
            Failure::RequestBody(_) | Failure::Unsendable(_) => "",
        }
    }

    /// The endpoint closed the connection: what it did not get may be sent once more, and what it may have got if
    /// that changes nothing (RFC 9110, section 9.2.2). The caller knows whether it still has the body.
    pub fn may_be_sent_again(&self, method: &[u8]) -> bool {
        let lost = matches!(self.failure, Failure::Closed) && !self.response_started && !self.again;
        // What TLS refused it would refuse again.
        lost && !self.by_tls && (!self.request_started || is_idempotent(method))
    }

    /// As [`engine::retry`] sees it; `None`: not to be retried.
    pub fn outcome(&self) -> Option<Outcome> {
        match self.failure {
            Failure::Connect { .. } => Some(Outcome::ConnectFailure),
            Failure::Closed | Failure::Reset(_) | Failure::Protocol => {
                Some(Outcome::Reset { request_sent: self.request_started })
            }
            Failure::Refused => Some(Outcome::RefusedStream),
            Failure::Overflow(_) | Failure::RequestBody(_) | Failure::Unsendable(_) => None,
        }
    }

    /// The reason in Envoy's words, as in `upstream connect error or disconnect/reset before headers. reset reason: …`.
    pub fn reason(&self) -> &'static str {
        match self.failure {
            Failure::Connect { timeout: true, .. } => "connection timeout",
            Failure::Connect { timeout: false, .. } => "remote connection failure",
            Failure::Overflow(_) => "overflow",
            Failure::Closed => "connection termination",
            Failure::Reset(_) => "remote reset",
            Failure::Refused => "remote refused stream reset",
            Failure::Protocol => "protocol error",
            Failure::RequestBody(_) | Failure::Unsendable(_) => "local reset",
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.detail.is_empty() {
            true => f.write_str(self.reason()),
            false => write!(f, "{}: {}", self.reason(), self.detail),
        }
    }
}

impl std::error::Error for SendError {}
