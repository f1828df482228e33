//! When and how a request is tried again.

use std::collections::BTreeSet;
use std::time::Duration;

use stdx::Str;

use crate::HeaderMatcher;

/// `envoy.config.route.v3.RetryPolicy`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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
    /// `envoy.retry_priorities.previous_priorities`: after so many attempts, and each time after as many
    /// more, the priorities of endpoints tried before are avoided. Never 0.
    pub previous_priorities: Option<u32>,
    /// First back-off; `None` is Envoy's 25 ms. Doubled with full jitter up to `max_interval`.
    pub base_interval: Option<Duration>,
    /// `None`: ten times the base.
    pub max_interval: Option<Duration>,
    /// An attempt ends if nothing comes for so long. Zero or `None`: no limit.
    pub per_try_idle_timeout: Option<Duration>,
    /// Of a response, for [`RetryOn::RetriableHeaders`]; one is enough.
    pub retriable_headers: Vec<HeaderMatcher>,
    /// Only requests with one of these are tried again. Empty: all.
    pub retriable_request_headers: Vec<HeaderMatcher>,
    /// A response that says when to come back is believed.
    pub rate_limited: Option<RateLimitedBackOff>,
}

impl Default for RetryPolicy {
    /// Envoy's defaults: one retry, for nothing.
    fn default() -> Self {
        RetryPolicy {
            on: BTreeSet::new(),
            num_retries: 1,
            per_try_timeout: None,
            retriable_status_codes: BTreeSet::new(),
            avoid_previous_hosts: false,
            host_selection_attempts: 1,
            previous_priorities: None,
            base_interval: None,
            max_interval: None,
            per_try_idle_timeout: None,
            retriable_headers: Vec::new(),
            retriable_request_headers: Vec::new(),
            rate_limited: None,
        }
    }
}

/// `RateLimitedRetryBackOff`: the first header that is there and makes sense counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RateLimitedBackOff {
    /// Lower case names.
    pub reset_headers: Vec<(Str, ResetFormat)>,
    /// A longer time is not believed. `None` is 300 s.
    pub max_interval: Option<Duration>,
}

/// What the value of a header is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResetFormat {
    /// From now.
    Seconds,
    /// Seconds since 1970.
    UnixTimestamp,
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
    RetriableHeaders,
    Http3PostConnectFailure,
    GrpcCancelled,
    GrpcDeadlineExceeded,
    GrpcInternal,
    GrpcResourceExhausted,
    GrpcUnavailable,
}

impl RetryOn {
    /// Every condition with Envoy's name for it.
    pub const ALL: [(RetryOn, &'static str); 16] = [
        (RetryOn::FiveXx, "5xx"),
        (RetryOn::GatewayError, "gateway-error"),
        (RetryOn::Reset, "reset"),
        (RetryOn::ResetBeforeRequest, "reset-before-request"),
        (RetryOn::ConnectFailure, "connect-failure"),
        (RetryOn::EnvoyRateLimited, "envoy-ratelimited"),
        (RetryOn::Retriable4xx, "retriable-4xx"),
        (RetryOn::RefusedStream, "refused-stream"),
        (RetryOn::RetriableStatusCodes, "retriable-status-codes"),
        (RetryOn::RetriableHeaders, "retriable-headers"),
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
