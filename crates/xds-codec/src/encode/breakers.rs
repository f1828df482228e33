//! Circuit breakers and outlier detection.

use ir::cluster::{RetryBudget, Thresholds};
use ir::{Cluster, OutlierDetection};

use super::{balance, wire};
use crate::pb::cluster::circuit_breakers::{self, thresholds};
use crate::pb::cluster::{self as pb};
use crate::pb::core::RoutingPriority;

pub(super) fn circuit_breakers(it: &Cluster) -> Option<pb::CircuitBreakers> {
    let default =
        (it.thresholds != Thresholds::default()).then(|| one(RoutingPriority::Default, &it.thresholds));
    let high = it.high_thresholds.map(|it| one(RoutingPriority::High, &it));
    let thresholds: Vec<_> = default.into_iter().chain(high).collect();
    (!thresholds.is_empty()).then(|| pb::CircuitBreakers { thresholds, ..Default::default() })
}

fn one(priority: RoutingPriority, it: &Thresholds) -> circuit_breakers::Thresholds {
    circuit_breakers::Thresholds {
        priority: priority.into(),
        max_connections: wire::optional_number(it.max_connections),
        max_pending_requests: wire::optional_number(it.max_pending_requests),
        max_requests: wire::optional_number(it.max_requests),
        max_retries: wire::optional_number(it.max_retries),
        retry_budget: it.retry_budget.as_ref().map(budget),
        track_remaining: it.track_remaining,
        ..Default::default()
    }
}

fn budget(it: &RetryBudget) -> thresholds::RetryBudget {
    thresholds::RetryBudget {
        budget_percent: it.budget.map(balance::percent),
        budget_interval: wire::optional_duration(it.interval),
        min_retry_concurrency: wire::optional_number(it.min_retry_concurrency),
    }
}

pub(super) fn outlier(it: &OutlierDetection) -> pb::OutlierDetection {
    let number = wire::optional_number;
    let duration = wire::optional_duration;
    pb::OutlierDetection {
        consecutive_5xx: number(it.consecutive_5xx),
        interval: duration(it.interval),
        base_ejection_time: duration(it.base_ejection_time),
        max_ejection_percent: number(it.max_ejection_percent),
        enforcing_consecutive_5xx: number(it.enforcing_consecutive_5xx),
        enforcing_success_rate: number(it.enforcing_success_rate),
        success_rate_minimum_hosts: number(it.success_rate_minimum_hosts),
        success_rate_request_volume: number(it.success_rate_request_volume),
        success_rate_stdev_factor: number(it.success_rate_stdev_factor),
        consecutive_gateway_failure: number(it.consecutive_gateway_failure),
        enforcing_consecutive_gateway_failure: number(it.enforcing_consecutive_gateway_failure),
        split_external_local_origin_errors: it.split_external_local_origin_errors,
        consecutive_local_origin_failure: number(it.consecutive_local_origin_failure),
        enforcing_consecutive_local_origin_failure: number(it.enforcing_consecutive_local_origin_failure),
        enforcing_local_origin_success_rate: number(it.enforcing_local_origin_success_rate),
        failure_percentage_threshold: number(it.failure_percentage_threshold),
        enforcing_failure_percentage: number(it.enforcing_failure_percentage),
        enforcing_failure_percentage_local_origin: number(it.enforcing_failure_percentage_local_origin),
        failure_percentage_minimum_hosts: number(it.failure_percentage_minimum_hosts),
        failure_percentage_request_volume: number(it.failure_percentage_request_volume),
        max_ejection_time: duration(it.max_ejection_time),
        max_ejection_time_jitter: duration(it.max_ejection_time_jitter),
        successful_active_health_check_uneject_host: it
            .successful_active_health_check_uneject_host
            .and_then(wire::boolean),
        always_eject_one_host: wire::truth(it.always_eject_one_host),
        ..Default::default()
    }
}
