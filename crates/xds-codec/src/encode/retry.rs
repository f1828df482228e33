//! Retry policies.

use std::time::Duration;

use ir::retry::{RateLimitedBackOff, ResetFormat};
use ir::{RetryPolicy, Str};

use super::{matcher, wire};
use crate::names;
use crate::pb::previous_hosts::PreviousHostsPredicate;
use crate::pb::previous_priorities::PreviousPrioritiesConfig;
use crate::pb::route as pb;
use crate::pb::route::retry_policy::{
    RateLimitedRetryBackOff, ResetHeader, ResetHeaderFormat, RetryBackOff, RetryHostPredicate, RetryPriority,
    retry_host_predicate::ConfigType, retry_priority::ConfigType as PriorityConfig,
};

/// Envoy's first back-off where none is given.
const DEFAULT_BASE: Duration = Duration::from_millis(25);

pub(super) fn retry_policy(it: &RetryPolicy) -> pb::RetryPolicy {
    let on: Vec<&str> = it.on.iter().map(|on| on.as_str()).collect();
    pb::RetryPolicy {
        retry_on: on.join(","),
        num_retries: Some(wire::number(it.num_retries)),
        per_try_timeout: wire::optional_duration(it.per_try_timeout),
        retry_host_predicate: it.avoid_previous_hosts.then(previous_hosts).into_iter().collect(),
        retry_priority: it.previous_priorities.map(previous_priorities),
        host_selection_retry_max_attempts: it.host_selection_attempts.into(),
        retriable_status_codes: it.retriable_status_codes.iter().map(|code| u32::from(*code)).collect(),
        retry_back_off: back_off(it.base_interval, it.max_interval),
        per_try_idle_timeout: wire::optional_duration(it.per_try_idle_timeout),
        retriable_headers: it.retriable_headers.iter().map(matcher::header).collect(),
        retriable_request_headers: it.retriable_request_headers.iter().map(matcher::header).collect(),
        rate_limited_retry_back_off: it.rate_limited.as_ref().map(rate_limited),
        ..Default::default()
    }
}

fn rate_limited(it: &RateLimitedBackOff) -> RateLimitedRetryBackOff {
    let one = |(name, format): &(Str, ResetFormat)| ResetHeader {
        name: name.to_string(),
        format: match format {
            ResetFormat::Seconds => ResetHeaderFormat::Seconds,
            ResetFormat::UnixTimestamp => ResetHeaderFormat::UnixTimestamp,
        }
        .into(),
    };
    RateLimitedRetryBackOff {
        reset_headers: it.reset_headers.iter().map(one).collect(),
        max_interval: wire::optional_duration(it.max_interval),
    }
}

fn previous_priorities(frequency: u32) -> RetryPriority {
    let config = PreviousPrioritiesConfig { update_frequency: i32::try_from(frequency).unwrap_or(i32::MAX) };
    RetryPriority {
        name: names::PREVIOUS_PRIORITIES.into(),
        config_type: Some(PriorityConfig::TypedConfig(wire::pack(&config))),
    }
}

fn previous_hosts() -> RetryHostPredicate {
    RetryHostPredicate {
        name: names::PREVIOUS_HOSTS.into(),
        config_type: Some(ConfigType::TypedConfig(wire::pack(&PreviousHostsPredicate {}))),
    }
}

/// Envoy demands a base where there is a maximum: its own default then.
fn back_off(base: Option<Duration>, max: Option<Duration>) -> Option<RetryBackOff> {
    if base.is_none() && max.is_none() {
        return None;
    }
    Some(RetryBackOff {
        base_interval: Some(wire::duration(base.unwrap_or(DEFAULT_BASE))),
        max_interval: wire::optional_duration(max),
    })
}
