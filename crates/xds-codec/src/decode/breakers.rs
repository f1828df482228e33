//! Circuit breakers and outlier detection.

use ir::OutlierDetection;
use ir::cluster::{RetryBudget, Thresholds};

use super::at::At;
use super::strict::refuse;
use super::{number, wire};
use crate::pb::cluster::circuit_breakers::{self, thresholds};
use crate::pb::cluster::{self as pb};
use crate::pb::core::RoutingPriority;
use crate::pb::google::UInt32Value;

/// Of the default and of the high priority. The first of each counts, as in Envoy.
pub(super) fn thresholds(at: At<'_>, it: pb::CircuitBreakers) -> (Thresholds, Option<Thresholds>) {
    let pb::CircuitBreakers { thresholds, per_host_thresholds } = it;
    refuse!(at; per_host_thresholds);
    let (mut default, mut high) = (None, None);
    for (index, it) in thresholds.into_iter().enumerate() {
        let at = at.index("thresholds", index);
        let slot = match wire::enumeration(at.field("priority"), it.priority) {
            RoutingPriority::Default => &mut default,
            RoutingPriority::High => &mut high,
        };
        let read = one(at, it);
        match slot {
            Some(_) => at.refuse("there are others of this priority before it"),
            None => *slot = Some(read),
        }
    }
    (default.unwrap_or_default(), high)
}

fn one(at: At<'_>, it: circuit_breakers::Thresholds) -> Thresholds {
    let circuit_breakers::Thresholds {
        priority: _,
        max_connections,
        max_pending_requests,
        max_requests,
        max_retries,
        retry_budget,
        track_remaining,
        max_connection_pools,
    } = it;
    refuse!(at; max_connection_pools);
    Thresholds {
        max_connections: wire::optional_number(max_connections),
        max_pending_requests: wire::optional_number(max_pending_requests),
        max_requests: wire::optional_number(max_requests),
        max_retries: wire::optional_number(max_retries),
        retry_budget: retry_budget.map(|it| budget(at.field("retry_budget"), it)),
        track_remaining,
    }
}

fn budget(at: At<'_>, it: thresholds::RetryBudget) -> RetryBudget {
    let thresholds::RetryBudget { budget_percent, budget_interval, min_retry_concurrency } = it;
    RetryBudget {
        budget: number::percent(at.field("budget_percent"), budget_percent),
        interval: wire::optional_duration(at.field("budget_interval"), budget_interval),
        min_retry_concurrency: wire::optional_number(min_retry_concurrency),
    }
}

pub(super) fn outlier(at: At<'_>, it: pb::OutlierDetection) -> OutlierDetection {
    let pb::OutlierDetection {
        consecutive_5xx,
        interval,
        base_ejection_time,
        max_ejection_percent,
        enforcing_consecutive_5xx,
        enforcing_success_rate,
        success_rate_minimum_hosts,
        success_rate_request_volume,
        success_rate_stdev_factor,
        consecutive_gateway_failure,
        enforcing_consecutive_gateway_failure,
        split_external_local_origin_errors,
        consecutive_local_origin_failure,
        enforcing_consecutive_local_origin_failure,
        enforcing_local_origin_success_rate,
        failure_percentage_threshold,
        enforcing_failure_percentage,
        enforcing_failure_percentage_local_origin,
        failure_percentage_minimum_hosts,
        failure_percentage_request_volume,
        max_ejection_time,
        max_ejection_time_jitter,
        successful_active_health_check_uneject_host,
        monitors,
        always_eject_one_host,
        detect_degraded_hosts,
    } = it;
    refuse!(at; monitors);
    super::strict::refuse_true!(at; detect_degraded_hosts);
    let percent = |name, it: Option<UInt32Value>| {
        let value = wire::optional_number(it);
        if value.is_some_and(|value| value > 100) {
            at.field(name).refuse("must be at most 100");
        }
        value
    };
    let positive = |name, it| {
        let duration = wire::optional_duration(at.field(name), it);
        if duration.is_some_and(|it| it.is_zero()) {
            at.field(name).refuse("must not be zero");
        }
        duration
    };
    OutlierDetection {
        consecutive_5xx: wire::optional_number(consecutive_5xx),
        interval: positive("interval", interval),
        base_ejection_time: positive("base_ejection_time", base_ejection_time),
        max_ejection_time: positive("max_ejection_time", max_ejection_time),
        max_ejection_time_jitter: wire::optional_duration(
            at.field("max_ejection_time_jitter"),
            max_ejection_time_jitter,
        ),
        max_ejection_percent: percent("max_ejection_percent", max_ejection_percent),
        always_eject_one_host: wire::flag(always_eject_one_host, false),
        enforcing_consecutive_5xx: percent("enforcing_consecutive_5xx", enforcing_consecutive_5xx),
        consecutive_gateway_failure: wire::optional_number(consecutive_gateway_failure),
        enforcing_consecutive_gateway_failure: percent(
            "enforcing_consecutive_gateway_failure",
            enforcing_consecutive_gateway_failure,
        ),
        split_external_local_origin_errors,
        consecutive_local_origin_failure: wire::optional_number(consecutive_local_origin_failure),
        enforcing_consecutive_local_origin_failure: percent(
            "enforcing_consecutive_local_origin_failure",
            enforcing_consecutive_local_origin_failure,
        ),
        enforcing_success_rate: percent("enforcing_success_rate", enforcing_success_rate),
        enforcing_local_origin_success_rate: percent(
            "enforcing_local_origin_success_rate",
            enforcing_local_origin_success_rate,
        ),
        success_rate_minimum_hosts: wire::optional_number(success_rate_minimum_hosts),
        success_rate_request_volume: wire::optional_number(success_rate_request_volume),
        success_rate_stdev_factor: wire::optional_number(success_rate_stdev_factor),
        failure_percentage_threshold: percent("failure_percentage_threshold", failure_percentage_threshold),
        enforcing_failure_percentage: percent("enforcing_failure_percentage", enforcing_failure_percentage),
        enforcing_failure_percentage_local_origin: percent(
            "enforcing_failure_percentage_local_origin",
            enforcing_failure_percentage_local_origin,
        ),
        failure_percentage_minimum_hosts: wire::optional_number(failure_percentage_minimum_hosts),
        failure_percentage_request_volume: wire::optional_number(failure_percentage_request_volume),
        successful_active_health_check_uneject_host: successful_active_health_check_uneject_host
            .map(|it| it.value),
    }
}
