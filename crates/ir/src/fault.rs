//! Faults put in on purpose.

use std::time::Duration;

use crate::Fraction;

/// `envoy.extensions.filters.http.fault.v3.HTTPFault`. The delay comes before the abort.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fault {
    pub delay: Option<FaultDelay>,
    pub abort: Option<FaultAbort>,
}

/// A fixed delay before the request goes on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FaultDelay {
    pub fixed: Duration,
    pub fraction: Fraction,
}

/// A response in the upstream's place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FaultAbort {
    pub status: AbortStatus,
    pub fraction: Fraction,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AbortStatus {
    /// 200 to 599.
    Http(u16),
    /// A gRPC status, answered as such to gRPC requests and mapped to HTTP for others.
    Grpc(u32),
}
