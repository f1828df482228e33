//! Numbers of circuit breakers, of outlier detection, of health checks and of TLS, under Envoy's names.

use std::sync::atomic::{AtomicU64, Ordering};

use engine::outlier::Cause;
use ir::route::RoutingPriority;
use upstream::{Breaker, Limits};

use crate::config::snapshot::Cluster;
use crate::telemetry::{Kind, Sample, Scope};

/// Of one cluster.
pub fn samples(cluster: &Cluster) -> Vec<Sample> {
    let mut all = Vec::new();
    let mut push = |name, kind, value| {
        all.push(Sample { scope: Scope::Cluster(cluster.config.name.clone()), name, kind, value });
    };
    push("upstream_cx_overflow", Kind::Counter, cluster.state.overflowed.load(Ordering::Relaxed));
    breakers(cluster, RoutingPriority::Default, &mut push);
    if cluster.config.high_thresholds.is_some() {
        breakers(cluster, RoutingPriority::High, &mut push);
    }
    if cluster.config.outlier.is_some() {
        outliers(cluster, &mut push);
    }
    if !cluster.config.health_checks.is_empty() {
        checks(cluster, &mut push);
    }
    if let Some(handshakes) = cluster.state.handshakes() {
        handshakes.each(&mut |name, value| push(name, Kind::Counter, value));
    }
    all
}

type Push<'a> = &'a mut dyn FnMut(&'static str, Kind, u64);

fn breakers(cluster: &Cluster, priority: RoutingPriority, push: Push<'_>) {
    let config = &cluster.config;
    let (high, tracked) = match priority {
        RoutingPriority::Default => (false, config.thresholds.track_remaining),
        RoutingPriority::High => (true, config.high_thresholds.is_some_and(|it| it.track_remaining)),
    };
    for (breaker, used, max) in cluster.state.breakers(&Limits::of(config, priority)) {
        let (open, remaining) = names(breaker, high);
        push(open, Kind::Gauge, u64::from(used >= max));
        if tracked {
            push(remaining, Kind::Gauge, u64::from(max.saturating_sub(used)));
        }
    }
}

fn names(breaker: Breaker, high: bool) -> (&'static str, &'static str) {
    match (breaker, high) {
        (Breaker::Connections, false) => {
            ("circuit_breakers.default.cx_open", "circuit_breakers.default.remaining_cx")
        }
        (Breaker::Pending, false) => {
            ("circuit_breakers.default.rq_pending_open", "circuit_breakers.default.remaining_pending")
        }
        (Breaker::Requests, false) => {
            ("circuit_breakers.default.rq_open", "circuit_breakers.default.remaining_rq")
        }
        (Breaker::Retries, false) => {
            ("circuit_breakers.default.rq_retry_open", "circuit_breakers.default.remaining_retries")
        }
        (Breaker::Connections, true) => {
            ("circuit_breakers.high.cx_open", "circuit_breakers.high.remaining_cx")
        }
        (Breaker::Pending, true) => {
            ("circuit_breakers.high.rq_pending_open", "circuit_breakers.high.remaining_pending")
        }
        (Breaker::Requests, true) => ("circuit_breakers.high.rq_open", "circuit_breakers.high.remaining_rq"),
        (Breaker::Retries, true) => {
            ("circuit_breakers.high.rq_retry_open", "circuit_breakers.high.remaining_retries")
        }
    }
}

fn outliers(cluster: &Cluster, push: Push<'_>) {
    let Some(health) = cluster.state.health() else { return };
    let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let stats = &health.stats;
    push("outlier_detection.ejections_active", Kind::Gauge, get(&stats.active));
    push("outlier_detection.ejections_enforced_total", Kind::Counter, get(&stats.enforced_total));
    push("outlier_detection.ejections_overflow", Kind::Counter, get(&stats.overflow));
    for ((cause, enforced), detected) in Cause::ALL.iter().zip(&stats.enforced).zip(&stats.detected) {
        let (enforced_name, detected_name) = of_cause(*cause);
        push(enforced_name, Kind::Counter, get(enforced));
        push(detected_name, Kind::Counter, get(detected));
    }
}

fn checks(cluster: &Cluster, push: Push<'_>) {
    let stats = cluster.state.checks();
    for (name, counter) in [
        ("health_check.attempt", &stats.attempt),
        ("health_check.success", &stats.success),
        ("health_check.failure", &stats.failure),
        ("health_check.network_failure", &stats.network_failure),
        ("health_check.verify_cluster", &stats.verify_cluster),
    ] {
        push(name, Kind::Counter, counter.load(Ordering::Relaxed));
    }
    let endpoints = cluster.endpoints.endpoints().iter().zip(&cluster.destinations);
    let checked = endpoints.filter(|(endpoint, _)| crate::config::checks::is_checked(endpoint));
    let states: Vec<_> = checked.map(|(_, to)| to.endpoint.checked()).collect();
    let healthy = states.iter().filter(|it| !it.failed).count() as u64;
    push("health_check.healthy", Kind::Gauge, healthy);
    push("health_check.degraded", Kind::Gauge, states.iter().filter(|it| it.degraded).count() as u64);
}

/// What was carried out, and what was found.
fn of_cause(cause: Cause) -> (&'static str, &'static str) {
    match cause {
        Cause::Consecutive5xx => (
            "outlier_detection.ejections_enforced_consecutive_5xx",
            "outlier_detection.ejections_detected_consecutive_5xx",
        ),
        Cause::ConsecutiveGatewayFailure => (
            "outlier_detection.ejections_enforced_consecutive_gateway_failure",
            "outlier_detection.ejections_detected_consecutive_gateway_failure",
        ),
        Cause::ConsecutiveLocalOriginFailure => (
            "outlier_detection.ejections_enforced_consecutive_local_origin_failure",
            "outlier_detection.ejections_detected_consecutive_local_origin_failure",
        ),
        Cause::SuccessRate => (
            "outlier_detection.ejections_enforced_success_rate",
            "outlier_detection.ejections_detected_success_rate",
        ),
        Cause::LocalOriginSuccessRate => (
            "outlier_detection.ejections_enforced_local_origin_success_rate",
            "outlier_detection.ejections_detected_local_origin_success_rate",
        ),
        Cause::FailurePercentage => (
            "outlier_detection.ejections_enforced_failure_percentage",
            "outlier_detection.ejections_detected_failure_percentage",
        ),
        Cause::LocalOriginFailurePercentage => (
            "outlier_detection.ejections_enforced_local_origin_failure_percentage",
            "outlier_detection.ejections_detected_local_origin_failure_percentage",
        ),
    }
}
