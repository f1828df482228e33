//! Retry policies.

use std::time::Duration;

use ir::RetryPolicy;

use super::wire;
use crate::names;
use crate::pb::previous_hosts::PreviousHostsPredicate;
use crate::pb::route as pb;
use crate::pb::route::retry_policy::{RetryBackOff, RetryHostPredicate, retry_host_predicate::ConfigType};

/// Envoy's first back-off where none is given.
const DEFAULT_BASE: Duration = Duration::from_millis(25);

pub(super) fn retry_policy(it: &RetryPolicy) -> pb::RetryPolicy {
    let on: Vec<&str> = it.on.iter().map(|on| on.as_str()).collect();
    pb::RetryPolicy {
        retry_on: on.join(","),
        num_retries: Some(wire::number(it.num_retries)),
        per_try_timeout: wire::optional_duration(it.per_try_timeout),
        retry_host_predicate: it.avoid_previous_hosts.then(previous_hosts).into_iter().collect(),
        host_selection_retry_max_attempts: it.host_selection_attempts.into(),
        retriable_status_codes: it.retriable_status_codes.iter().map(|code| u32::from(*code)).collect(),
        retry_back_off: back_off(it.base_interval, it.max_interval),
        ..Default::default()
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
