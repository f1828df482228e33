//! Local rate limits.

use ir::LocalRateLimit;
use ir::rate_limit::{RateLimitDescriptor, TokenBucket, VhostRateLimits};

use super::{headers, limit_actions, matcher, wire};
use crate::pb::common_ratelimit::{
    LocalRateLimitDescriptor, VhRateLimitsOptions, XRateLimitHeadersRfcVersion, rate_limit_descriptor,
};
use crate::pb::{envoy_type, google, local_ratelimit as pb};

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
        descriptors: it.descriptors.iter().map(descriptor).collect(),
        rate_limits: limit_actions::rate_limits(&it.rate_limits),
        stage: it.stage,
        vh_rate_limits: match it.vhost_rate_limits {
            VhostRateLimits::Override => VhRateLimitsOptions::Override,
            VhostRateLimits::Include => VhRateLimitsOptions::Include,
            VhostRateLimits::Ignore => VhRateLimitsOptions::Ignore,
        }
        .into(),
        always_consume_default_token_bucket: (!it.always_consume_default)
            .then_some(google::BoolValue { value: false }),
        max_dynamic_descriptors: Some(wire::number(it.max_dynamic_descriptors)),
        enable_retry_after_header: it.retry_after,
        ..Default::default()
    }
}

fn descriptor(it: &RateLimitDescriptor) -> LocalRateLimitDescriptor {
    let entry = |(key, value): &(ir::Str, ir::Str)| rate_limit_descriptor::Entry {
        key: key.to_string(),
        value: value.to_string(),
    };
    LocalRateLimitDescriptor {
        entries: it.entries.iter().map(entry).collect(),
        token_bucket: Some(bucket(&it.bucket)),
        shadow_mode: it.shadow,
    }
}

fn bucket(it: &TokenBucket) -> envoy_type::TokenBucket {
    envoy_type::TokenBucket {
        max_tokens: it.max_tokens,
        tokens_per_fill: Some(wire::number(it.tokens_per_fill)),
        fill_interval: Some(wire::duration(it.fill_interval)),
    }
}
