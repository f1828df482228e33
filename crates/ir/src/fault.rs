//! Faults put in on purpose.

use std::time::Duration;

use stdx::Str;

use crate::{Fraction, HeaderMatcher};

/// `envoy.extensions.filters.http.fault.v3.HTTPFault`. The delay comes before the abort.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fault {
    pub delay: Option<FaultDelay>,
    pub abort: Option<FaultAbort>,
    pub rate_limit: Option<FaultRateLimit>,
    /// Only requests to this cluster.
    pub upstream_cluster: Option<Str>,
    /// Only requests that match all of them.
    pub headers: Vec<HeaderMatcher>,
    /// Only requests from these nodes, as `x-envoy-downstream-service-node` says; empty: from any.
    pub downstream_nodes: Vec<Str>,
    /// At a time and filter. `None`: without a limit.
    pub max_active: Option<u32>,
}

/// A delay before the request goes on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FaultDelay {
    /// `None`: as `x-envoy-fault-delay-request` says.
    pub fixed: Option<Duration>,
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
    /// As `x-envoy-fault-abort-request` or `x-envoy-fault-abort-grpc-request` says.
    Header,
}

/// A response body that is slow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FaultRateLimit {
    /// KiB a second; `None`: as `x-envoy-fault-throughput-response` says.
    pub fixed_kbps: Option<u64>,
    pub fraction: Fraction,
}
