//! When and how a request is tried again.

use std::collections::BTreeSet;
use std::time::Duration;

/// `envoy.config.route.v3.RetryPolicy`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RetryPolicy {
    pub on: BTreeSet<RetryOn>,
    /// Retries after the first attempt. 0 switches retrying off.
    pub num_retries: u32,
    /// Zero or `None`: the route's timeout only.
    pub per_try_timeout: Option<Duration>,
    /// Statuses for [`RetryOn::RetriableStatusCodes`].
    pub retriable_status_codes: BTreeSet<u16>,
    /// `envoy.retry_host_predicates.previous_hosts`: avoid endpoints tried before.
    pub avoid_previous_hosts: bool,
    /// How often a pick may be thrown away for that. Istio uses 5, Envoy's default is 1.
    pub host_selection_attempts: u32,
    /// First back-off; `None` is Envoy's 25 ms. Doubled with full jitter up to `max_interval`.
    pub base_interval: Option<Duration>,
    /// `None`: ten times the base.
    pub max_interval: Option<Duration>,
}

/// Conditions of `retry_on`, HTTP and gRPC, and of `x-envoy-retry-on`.
/// See <https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/http/http_filters/router_filter#x-envoy-retry-on>.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RetryOn {
    FiveXx,
    GatewayError,
    Reset,
    ResetBeforeRequest,
    ConnectFailure,
    EnvoyRateLimited,
    Retriable4xx,
    RefusedStream,
    RetriableStatusCodes,
    Http3PostConnectFailure,
    GrpcCancelled,
    GrpcDeadlineExceeded,
    GrpcInternal,
    GrpcResourceExhausted,
    GrpcUnavailable,
}

impl RetryOn {
    /// Every condition with Envoy's name for it.
    pub const ALL: [(RetryOn, &'static str); 15] = [
        (RetryOn::FiveXx, "5xx"),
        (RetryOn::GatewayError, "gateway-error"),
        (RetryOn::Reset, "reset"),
        (RetryOn::ResetBeforeRequest, "reset-before-request"),
        (RetryOn::ConnectFailure, "connect-failure"),
        (RetryOn::EnvoyRateLimited, "envoy-ratelimited"),
        (RetryOn::Retriable4xx, "retriable-4xx"),
        (RetryOn::RefusedStream, "refused-stream"),
        (RetryOn::RetriableStatusCodes, "retriable-status-codes"),
        (RetryOn::Http3PostConnectFailure, "http3-post-connect-failure"),
        (RetryOn::GrpcCancelled, "cancelled"),
        (RetryOn::GrpcDeadlineExceeded, "deadline-exceeded"),
        (RetryOn::GrpcInternal, "internal"),
        (RetryOn::GrpcResourceExhausted, "resource-exhausted"),
        (RetryOn::GrpcUnavailable, "unavailable"),
    ];

    /// Envoy's name.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(on, _)| *on == self).map_or("", |(_, name)| name)
    }

    /// The condition with this name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, n)| *n == name).map(|(on, _)| *on)
    }
}
