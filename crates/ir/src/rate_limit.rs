//! Local rate limits.

use std::time::Duration;

use stdx::Str;

use crate::Fraction;
use crate::header::HeaderValue;

/// `envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LocalRateLimit {
    pub stat_prefix: Str,
    /// What a request too many is answered with: 400 to 599.
    pub status: u16,
    /// `None`: nothing is limited.
    pub bucket: Option<TokenBucket>,
    /// The share of requests that is looked at.
    pub enabled: Fraction,
    /// Of those too many, the share that is refused.
    pub enforced: Fraction,
    /// For requests too many that are let through.
    pub request_headers_when_not_enforced: Vec<HeaderValue>,
    /// For responses to requests too many.
    pub response_headers: Vec<HeaderValue>,
    /// A bucket for each connection of a client, not one for all.
    pub per_connection: bool,
    /// `x-ratelimit-limit`, `-remaining` and `-reset` on responses.
    pub x_ratelimit_headers: bool,
    /// gRPC gets RESOURCE_EXHAUSTED for UNAVAILABLE.
    pub as_resource_exhausted: bool,
}

/// `envoy.type.v3.TokenBucket`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenBucket {
    /// And so many at the beginning. At least 1.
    pub max_tokens: u32,
    /// At least 1.
    pub tokens_per_fill: u32,
    /// At least 50 ms.
    pub fill_interval: Duration,
}
