//! Why a request is not answered by an upstream.

use std::borrow::Cow;
use std::sync::Arc;

use upstream::SendError;

use crate::access_log::Flag;

/// Why a request is not answered by an upstream.
#[derive(Debug)]
pub enum Stop {
    /// Not something that we forward: status, details, text.
    Refused {
        status: u16,
        details: &'static str,
        body: &'static str,
    },
    /// The codec could not read the request.
    Malformed {
        status: u16,
        details: &'static str,
    },
    NoRoute,
    NoCluster,
    NoHealthyUpstream,
    /// By a policy, or because no policy allowed it.
    Denied {
        policy: Option<stdx::Str>,
    },
    Aborted {
        status: ir::fault::AbortStatus,
    },
    /// The route's own response.
    Direct {
        status: u16,
        body: Arc<[u8]>,
    },
    Redirect {
        status: u16,
        location: Vec<u8>,
        details: &'static str,
    },
    /// The last attempt yielded no response.
    Upstream {
        error: Box<SendError>,
        retried: bool,
    },
    Timeout,
    /// `idle`: nothing came for too long.
    PerTryTimeout {
        idle: bool,
    },
    /// The request's body took too long or was too slow.
    RequestTimeout,
    StreamIdle,
    /// `max_stream_duration`, or what a gRPC client allowed.
    MaxDuration,
    Draining,
    /// Of a filter.
    Local(Box<LocalReply>),
}

/// What a filter answers.
#[derive(Debug)]
pub struct LocalReply {
    pub status: u16,
    pub flag: Option<Flag>,
    pub details: Cow<'static, str>,
    pub body: Cow<'static, str>,
    pub headers: Vec<(&'static str, Vec<u8>)>,
    pub edits: Vec<ir::route::HeaderValue>,
    pub grpc_status: Option<u32>,
    /// In place of `body`, where it may be no text.
    pub raw: Vec<u8>,
}

impl LocalReply {
    pub fn new(status: u16, flag: Option<Flag>, details: impl Into<Cow<'static, str>>) -> Self {
        let (details, body) = (details.into(), Cow::Borrowed(""));
        let (headers, edits, raw) = Default::default();
        LocalReply { status, flag, details, body, headers, edits, grpc_status: None, raw }
    }

    pub fn body(self, body: impl Into<Cow<'static, str>>) -> Self {
        LocalReply { body: body.into(), ..self }
    }
}

impl Stop {
    /// The router says it, which edits its responses as the route wants it.
    pub(super) fn is_of_router(&self) -> bool {
        match self {
            Stop::NoCluster
            | Stop::NoHealthyUpstream
            | Stop::Direct { .. }
            | Stop::Redirect { .. }
            | Stop::Upstream { .. }
            | Stop::Timeout
            | Stop::PerTryTimeout { .. } => true,
            Stop::Refused { .. }
            | Stop::Malformed { .. }
            | Stop::NoRoute
            | Stop::Denied { .. }
            | Stop::Aborted { .. }
            | Stop::RequestTimeout
            | Stop::StreamIdle
            | Stop::MaxDuration
            | Stop::Draining
            | Stop::Local(_) => false,
        }
    }
}
