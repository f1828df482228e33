//! Local rate limits.

use std::time::Duration;

use stdx::Str;

use crate::header::HeaderValue;
use crate::matcher::Cidr;
use crate::route::QueryMatcher;
use crate::{Fraction, HeaderMatcher};

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
    /// Buckets of requests with these descriptors.
    pub descriptors: Vec<RateLimitDescriptor>,
    /// Actions in place of those of the routes.
    pub rate_limits: Vec<RouteRateLimit>,
    /// Of the routes' actions those of this stage count.
    pub stage: u32,
    pub vhost_rate_limits: VhostRateLimits,
    /// A request with a descriptor takes a token from `bucket`, too.
    pub always_consume_default: bool,
    /// For how many values of a descriptor that takes any there are buckets at a time. At least 1.
    pub max_dynamic_descriptors: u32,
    /// A refusal with 429 says in `retry-after` when there is a token again.
    pub retry_after: bool,
}

/// `envoy.extensions.common.ratelimit.v3.LocalRateLimitDescriptor`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RateLimitDescriptor {
    /// Keys and values, in the order of the actions that make them. An empty value is any, and each that
    /// comes has a bucket of its own.
    pub entries: Vec<(Str, Str)>,
    pub bucket: TokenBucket,
    /// It is counted, but nothing is refused.
    pub shadow: bool,
}

impl RateLimitDescriptor {
    /// Some value of it is any.
    pub fn is_wildcard(&self) -> bool {
        self.entries.iter().any(|(_, value)| value.is_empty())
    }
}

/// Whether a virtual host's actions count beside those of its route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VhostRateLimits {
    /// Where the route has none.
    #[default]
    Override,
    Include,
    Ignore,
}

/// `envoy.config.route.v3.RateLimit`: actions that make one descriptor of a request, or none if one of them
/// has nothing to say.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RouteRateLimit {
    /// 0 to 10.
    pub stage: u32,
    /// How many tokens a request takes.
    pub hits: u64,
    pub actions: Vec<Action>,
}

/// `envoy.config.route.v3.RateLimit.Action`: one entry of a descriptor.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// `source_cluster`: our own `--service-cluster`.
    SourceCluster,
    /// `destination_cluster`: the route's cluster.
    DestinationCluster,
    /// `remote_address`: the client as believed from `x-forwarded-for`.
    RemoteAddress,
    /// `masked_remote_address`: so many bits of it.
    MaskedRemoteAddress {
        v4: u8,
        v6: u8,
    },
    /// `remote_address_match`: if it is in one of the ranges, or with `invert` in none.
    RemoteAddressMatch {
        key: Str,
        value: Str,
        ranges: Vec<Cidr>,
        invert: bool,
    },
    GenericKey {
        key: Str,
        value: Str,
    },
    RequestHeader {
        name: Str,
        key: Str,
        skip_if_absent: bool,
    },
    QueryParameter {
        name: Str,
        key: Str,
        skip_if_absent: bool,
    },
    /// If all match, or not all where that is not expected.
    HeaderValueMatch {
        key: Str,
        value: Str,
        expect: bool,
        headers: Vec<HeaderMatcher>,
    },
    QueryParameterValueMatch {
        key: Str,
        value: Str,
        expect: bool,
        parameters: Vec<QueryMatcher>,
    },
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
