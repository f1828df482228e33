//! Local rate limits.

use ir::LocalRateLimit;
use ir::rate_limit::TokenBucket;

use super::{headers, matcher, wire};
use crate::pb::common_ratelimit::XRateLimitHeadersRfcVersion;
use crate::pb::{envoy_type, local_ratelimit as pb};

pub(super) fn local(it: &LocalRateLimit) -> pb::LocalRateLimit {
    let x_headers = match it.x_ratelimit_headers {
        true => XRateLimitHeadersRfcVersion::DraftVersion03,
        false => XRateLimitHeadersRfcVersion::Off,
    };
    pb::LocalRateLimit {
        stat_prefix: it.stat_prefix.to_string(),
        status: Some(envoy_type::HttpStatus { code: it.status.into() }),
        token_bucket: it.bucket.as_ref().map(bucket),
        filter_enabled: Some(matcher::runtime_fraction(it.enabled)),
        filter_enforced: Some(matcher::runtime_fraction(it.enforced)),
        request_headers_to_add_when_not_enforced: it
            .request_headers_when_not_enforced
            .iter()
            .map(headers::header_value)
            .collect(),
        response_headers_to_add: it.response_headers.iter().map(headers::header_value).collect(),
        local_rate_limit_per_downstream_connection: it.per_connection,
        enable_x_ratelimit_headers: x_headers.into(),
        rate_limited_as_resource_exhausted: it.as_resource_exhausted,
        ..Default::default()
    }
}

fn bucket(it: &TokenBucket) -> envoy_type::TokenBucket {
    envoy_type::TokenBucket {
        max_tokens: it.max_tokens,
        tokens_per_fill: Some(wire::number(it.tokens_per_fill)),
        fill_interval: Some(wire::duration(it.fill_interval)),
    }
}
