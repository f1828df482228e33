//! Retry policies.

use std::collections::BTreeSet;
use std::time::Duration;

use ir::RetryPolicy;
use ir::retry::{RateLimitedBackOff, ResetFormat, RetryOn};

use super::at::At;
use super::strict::{harmless, refuse};
use super::{matcher, wire};
use crate::pb::previous_hosts::PreviousHostsPredicate;
use crate::pb::previous_priorities::PreviousPrioritiesConfig;
use crate::pb::route as pb;
use crate::pb::route::retry_policy::{
    RateLimitedRetryBackOff, ResetHeader, ResetHeaderFormat, RetryBackOff, RetryHostPredicate, RetryPriority,
    retry_host_predicate::ConfigType, retry_priority::ConfigType as PriorityConfig,
};

pub(super) fn retry_policy(at: At<'_>, it: pb::RetryPolicy) -> RetryPolicy {
    let pb::RetryPolicy {
        retry_on,
        num_retries,
        per_try_timeout,
        per_try_idle_timeout,
        retry_priority,
        retry_host_predicate,
        retry_options_predicates,
        host_selection_retry_max_attempts,
        retriable_status_codes,
        retry_back_off,
        rate_limited_retry_back_off,
        retriable_headers,
        retriable_request_headers,
        refresh_cluster_on_retry,
    } = it;
    refuse!(at; retry_options_predicates, refresh_cluster_on_retry);
    let (base_interval, max_interval) = back_off(at, retry_back_off);
    RetryPolicy {
        on: conditions(at.field("retry_on"), &retry_on),
        num_retries: num_retries.map_or(1, |it| it.value),
        per_try_timeout: wire::optional_duration(at.field("per_try_timeout"), per_try_timeout),
        retriable_status_codes: status_codes(at, retriable_status_codes),
        avoid_previous_hosts: host_predicates(at, retry_host_predicate),
        host_selection_attempts: host_selection_attempts(at, host_selection_retry_max_attempts),
        previous_priorities: retry_priority
            .and_then(|it| previous_priorities(at.field("retry_priority"), it)),
        base_interval,
        max_interval,
        per_try_idle_timeout: wire::optional_duration(at.field("per_try_idle_timeout"), per_try_idle_timeout),
        retriable_headers: matcher::headers(&at, "retriable_headers", retriable_headers),
        retriable_request_headers: matcher::headers(
            &at,
            "retriable_request_headers",
            retriable_request_headers,
        ),
        rate_limited: rate_limited_retry_back_off
            .map(|it| rate_limited(at.field("rate_limited_retry_back_off"), it)),
    }
}

fn rate_limited(at: At<'_>, it: RateLimitedRetryBackOff) -> RateLimitedBackOff {
    let RateLimitedRetryBackOff { reset_headers: all, max_interval } = it;
    if all.is_empty() {
        at.field("reset_headers").refuse("is required");
    }
    let mut reset_headers = Vec::with_capacity(all.len());
    for (index, ResetHeader { name, format }) in all.into_iter().enumerate() {
        let at = at.index("reset_headers", index);
        let format = match wire::enumeration(at.field("format"), format) {
            ResetHeaderFormat::Seconds => ResetFormat::Seconds,
            ResetHeaderFormat::UnixTimestamp => ResetFormat::UnixTimestamp,
        };
        reset_headers.push((wire::lower(wire::required(at.field("name"), name).to_string()), format));
    }
    let max_interval = wire::optional_duration(at.field("max_interval"), max_interval);
    RateLimitedBackOff { reset_headers, max_interval }
}

fn conditions(at: At<'_>, text: &str) -> BTreeSet<RetryOn> {
    let mut on = BTreeSet::new();
    for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        match RetryOn::by_name(name) {
            Some(condition) => {
                on.insert(condition);
            }
            None => at.refuse(format!("{name:?} is not supported")),
        }
    }
    on
}

fn status_codes(at: At<'_>, codes: Vec<u32>) -> BTreeSet<u16> {
    let mut all = BTreeSet::new();
    for (index, code) in codes.into_iter().enumerate() {
        match u16::try_from(code) {
            Ok(code) => {
                all.insert(code);
            }
            Err(_) => at.index("retriable_status_codes", index).refuse(format!("{code} is not a status")),
        }
    }
    all
}

fn host_predicates(at: At<'_>, all: Vec<RetryHostPredicate>) -> bool {
    let mut avoid_previous = false;
    for (index, RetryHostPredicate { name, config_type }) in all.into_iter().enumerate() {
        let at = at.index("retry_host_predicate", index);
        harmless!(Label; name);
        match config_type {
            Some(ConfigType::TypedConfig(any)) if wire::is::<PreviousHostsPredicate>(&any) => {
                let PreviousHostsPredicate {} = wire::unpack(at.field("typed_config"), &any);
                avoid_previous = true;
            }
            Some(ConfigType::TypedConfig(any)) => wire::unknown_type(at.field("typed_config"), &any),
            None => at.field("typed_config").refuse("is required"),
        }
    }
    avoid_previous
}

/// There is one kind of them.
fn previous_priorities(at: At<'_>, it: RetryPriority) -> Option<u32> {
    let RetryPriority { name, config_type } = it;
    harmless!(Label; name);
    let at = at.field("typed_config");
    match config_type {
        Some(PriorityConfig::TypedConfig(any)) if wire::is::<PreviousPrioritiesConfig>(&any) => {
            let PreviousPrioritiesConfig { update_frequency } = wire::unpack(at, &any);
            let frequency = u32::try_from(update_frequency).ok().filter(|frequency| *frequency > 0);
            if frequency.is_none() {
                at.field("update_frequency").refuse("must be more than 0");
            }
            frequency
        }
        Some(PriorityConfig::TypedConfig(any)) => {
            wire::unknown_type(at, &any);
            None
        }
        None => {
            at.refuse("is required");
            None
        }
    }
}

fn host_selection_attempts(at: At<'_>, attempts: i64) -> u32 {
    match u32::try_from(attempts) {
        Ok(0) => 1,
        Ok(attempts) => attempts,
        Err(_) => {
            at.field("host_selection_retry_max_attempts").refuse(format!("{attempts} is out of range"));
            1
        }
    }
}

fn back_off(at: At<'_>, it: Option<RetryBackOff>) -> (Option<Duration>, Option<Duration>) {
    let Some(RetryBackOff { base_interval, max_interval }) = it else { return (None, None) };
    let at = at.field("retry_back_off");
    let base = wire::optional_duration(at.field("base_interval"), base_interval);
    let max = wire::optional_duration(at.field("max_interval"), max_interval);
    match base {
        None | Some(Duration::ZERO) => at.field("base_interval").refuse("is required and must not be zero"),
        Some(base) if max.is_some_and(|max| max < base) => {
            at.field("max_interval").refuse("must not be less than base_interval");
        }
        Some(_) => {}
    }
    (base, max)
}
