//! Local rate limits.

use std::time::Duration;

use ir::rate_limit::{RateLimitDescriptor, TokenBucket, VhostRateLimits};
use ir::{Fraction, LocalRateLimit};

use super::at::At;
use super::strict::refuse;
use super::{headers, limit_actions, matcher, wire};
use crate::pb::common_ratelimit::{
    LocalRateLimitDescriptor, VhRateLimitsOptions, XRateLimitHeadersRfcVersion, rate_limit_descriptor,
};
use crate::pb::{core, envoy_type, google, local_ratelimit as pb};

/// Envoy refuses to fill faster.
const MIN_INTERVAL: Duration = Duration::from_millis(50);
/// Envoy's default, and what may be asked for: each takes memory, of each connection if so configured.
const DYNAMIC_DESCRIPTORS: u32 = 20;
const MAX_DYNAMIC_DESCRIPTORS: u32 = 65_536;

pub(super) fn local(at: At<'_>, it: pb::LocalRateLimit) -> LocalRateLimit {
    let pb::LocalRateLimit {
        stat_prefix,
        status,
        token_bucket,
        filter_enabled,
        filter_enforced,
        request_headers_to_add_when_not_enforced,
        response_headers_to_add,
        descriptors,
        stage,
        local_rate_limit_per_downstream_connection,
        local_cluster_rate_limit,
        enable_x_ratelimit_headers,
        vh_rate_limits,
        always_consume_default_token_bucket,
        rate_limited_as_resource_exhausted,
        rate_limits,
        max_dynamic_descriptors,
        enable_retry_after_header,
    } = it;
    refuse!(at; local_cluster_rate_limit);
    let descriptor_at = |(index, it)| descriptor(at.index("descriptors", index), it);
    let share = |name, it: Option<core::RuntimeFractionalPercent>| {
        it.map_or(Fraction::NONE, |it| matcher::runtime_fraction(at.field(name), it))
    };
    let x_headers: XRateLimitHeadersRfcVersion =
        wire::enumeration(at.field("enable_x_ratelimit_headers"), enable_x_ratelimit_headers);
    LocalRateLimit {
        stat_prefix: wire::required(at.field("stat_prefix"), stat_prefix),
        status: refusal(at, status),
        bucket: token_bucket.map(|it| bucket(at.field("token_bucket"), it)),
        enabled: share("filter_enabled", filter_enabled),
        enforced: share("filter_enforced", filter_enforced),
        request_headers_when_not_enforced: headers::additions(
            at,
            "request_headers_to_add_when_not_enforced",
            request_headers_to_add_when_not_enforced,
        ),
        response_headers: headers::additions(at, "response_headers_to_add", response_headers_to_add),
        per_connection: local_rate_limit_per_downstream_connection,
        x_ratelimit_headers: x_headers == XRateLimitHeadersRfcVersion::DraftVersion03,
        as_resource_exhausted: rate_limited_as_resource_exhausted,
        descriptors: descriptors.into_iter().enumerate().map(descriptor_at).collect(),
        rate_limits: limit_actions::rate_limits(at, rate_limits),
        stage: limit_actions::stage(at, stage),
        vhost_rate_limits: match wire::enumeration(at.field("vh_rate_limits"), vh_rate_limits) {
            VhRateLimitsOptions::Override => VhostRateLimits::Override,
            VhRateLimitsOptions::Include => VhostRateLimits::Include,
            VhRateLimitsOptions::Ignore => VhostRateLimits::Ignore,
        },
        always_consume_default: wire::flag(always_consume_default_token_bucket, true),
        max_dynamic_descriptors: room(at.field("max_dynamic_descriptors"), max_dynamic_descriptors),
        retry_after: enable_retry_after_header,
    }
}

fn descriptor(at: At<'_>, it: LocalRateLimitDescriptor) -> RateLimitDescriptor {
    let LocalRateLimitDescriptor { entries, token_bucket, shadow_mode } = it;
    if entries.is_empty() {
        at.field("entries").refuse("must not be empty");
    }
    let entry = |(index, it): (usize, rate_limit_descriptor::Entry)| {
        let at = at.index("entries", index);
        (wire::required(at.field("key"), it.key), it.value.into())
    };
    let entries = entries.into_iter().enumerate().map(entry).collect();
    let at = at.field("token_bucket");
    if token_bucket.is_none() {
        at.refuse("is required");
    }
    RateLimitDescriptor { entries, bucket: bucket(at, token_bucket.unwrap_or_default()), shadow: shadow_mode }
}

/// For how many values of a descriptor there are buckets at a time.
fn room(at: At<'_>, it: Option<google::UInt32Value>) -> u32 {
    let room = it.map_or(DYNAMIC_DESCRIPTORS, |it| it.value);
    if !(1..=MAX_DYNAMIC_DESCRIPTORS).contains(&room) {
        at.refuse(format!("{room} is not from 1 to {MAX_DYNAMIC_DESCRIPTORS}"));
    }
    room
}

/// As Envoy: what is no error stays 429.
fn refusal(at: At<'_>, it: Option<envoy_type::HttpStatus>) -> u16 {
    let Some(envoy_type::HttpStatus { code }) = it else { return 429 };
    match u16::try_from(code) {
        Ok(code @ 400..=599) => code,
        Ok(0..400) => 429,
        _ => {
            at.field("status.code").refuse(format!("{code} is not a status"));
            429
        }
    }
}

fn bucket(at: At<'_>, it: envoy_type::TokenBucket) -> TokenBucket {
    let envoy_type::TokenBucket { max_tokens, tokens_per_fill, fill_interval } = it;
    let tokens_per_fill = tokens_per_fill.map_or(1, |it| it.value);
    let fill_interval = wire::optional_duration(at.field("fill_interval"), fill_interval).unwrap_or_default();
    if max_tokens == 0 {
        at.field("max_tokens").refuse("must not be 0");
    }
    if tokens_per_fill == 0 {
        at.field("tokens_per_fill").refuse("must not be 0");
    }
    if fill_interval < MIN_INTERVAL {
        at.field("fill_interval").refuse("must be at least 50 ms");
    }
    TokenBucket { max_tokens, tokens_per_fill, fill_interval }
}
