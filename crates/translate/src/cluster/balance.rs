//! How a cluster's endpoints are chosen, and which are left out.

use std::time::Duration;

use ir::cluster::{ProxyProtocol, RetryBudget};
use ir::lb::{Maglev, Millionths, RingHash, SlowStart};
use ir::{Cluster, ClusterDiscovery, Fraction, LbPolicy, OutlierDetection};
use istio_api::MeshConfig;
use istio_api::networking::load_balancer::ConsistentHash;
use istio_api::networking::upstream::ProxyProtocolVersion;
use istio_api::networking::{LoadBalancer, LoadBalancerSettings, OutlierDetection as WrittenOutlier};

use super::policy::Effective;
use crate::locality;

/// Lays what is written over a cluster's settings.
pub fn apply(cluster: &mut Cluster, effective: Effective<'_>, mesh: &MeshConfig) {
    if let Some(written) = effective.outlier {
        cluster.outlier = Some(Box::new(outlier(written)));
        // Never below it, even where most endpoints fail: zero, unless it is written.
        let percent = u32::try_from(written.min_health_percent.unwrap_or(0)).unwrap_or(0);
        cluster.common_lb.healthy_panic_threshold = Some(whole_percent(percent));
    }
    cluster.common_lb.locality_weighted =
        locality::is_weighted(effective.locality(mesh), effective.outlier.is_some());
    cluster.lb_policy = match &cluster.discovery {
        ClusterDiscovery::OriginalDst | ClusterDiscovery::DynamicForwardProxy(_) => LbPolicy::ClusterProvided,
        _ => policy(effective.load_balancer),
    };
    if matches!(cluster.lb_policy, LbPolicy::RoundRobin | LbPolicy::LeastRequest) {
        cluster.slow_start = effective.load_balancer.and_then(slow_start);
    }
    if let Some(budget) = effective.retry_budget {
        let percent = budget.percent.map(|percent| (percent * 10_000.0).round() as u32);
        cluster.thresholds.retry_budget = Some(RetryBudget {
            budget: percent.map(|parts_per_million| Fraction { parts_per_million }),
            interval: budget.budget_interval,
            min_retry_concurrency: budget.min_retry_concurrency,
        });
    }
    if let Some(written) = effective.proxy_protocol {
        let version = match written.version {
            Some(ProxyProtocolVersion::V2) => ProxyProtocol::V2,
            Some(ProxyProtocolVersion::V1) | None => ProxyProtocol::V1,
        };
        cluster.proxy_protocol = Some(version);
        cluster.transport_matches.iter_mut().for_each(|one| one.proxy_protocol = Some(version));
    }
}

fn policy(written: Option<&LoadBalancerSettings>) -> LbPolicy {
    if let Some(hash) = written.and_then(|settings| settings.consistent_hash.as_ref()) {
        return consistent(hash);
    }
    match written.and_then(|settings| settings.simple) {
        Some(LoadBalancer::RoundRobin) => LbPolicy::RoundRobin,
        Some(LoadBalancer::Random) => LbPolicy::Random,
        Some(LoadBalancer::LeastRequest | LoadBalancer::Unspecified | LoadBalancer::Passthrough) | None => {
            LbPolicy::LeastRequest
        }
    }
}

fn consistent(written: &ConsistentHash) -> LbPolicy {
    let size = |size: Option<u64>| size.filter(|size| *size > 0);
    if let Some(maglev) = &written.maglev {
        return LbPolicy::Maglev(Maglev { table_size: size(maglev.table_size) });
    }
    let minimum = match &written.ring_hash {
        Some(ring) => size(ring.minimum_ring_size),
        None => size(written.minimum_ring_size).or(Some(1024)),
    };
    LbPolicy::RingHash(RingHash { minimum_size: minimum, ..RingHash::default() })
}

fn slow_start(written: &LoadBalancerSettings) -> Option<SlowStart> {
    let Some(warmup) = &written.warmup else {
        let window = written.warmup_duration_secs?;
        return Some(SlowStart { window, aggression: None, min_weight: None });
    };
    let parts = |percent: f64| Fraction { parts_per_million: (percent * 10_000.0).round() as u32 };
    Some(SlowStart {
        window: warmup.duration.unwrap_or(Duration::ZERO),
        aggression: warmup.aggression.map(|value| Millionths((value * 1e6).round() as u64)),
        min_weight: warmup.minimum_percent.map(parts),
    })
}

/// Rates of success are not looked at, as in Istio; what is counted is enforced unless it is zero.
fn outlier(written: &WrittenOutlier) -> OutlierDetection {
    let enforced = |count: Option<u32>| count.map(|count| if count > 0 { 100 } else { 0 });
    let deprecated =
        written.consecutive_errors.and_then(|count| u32::try_from(count).ok()).filter(|c| *c > 0);
    let gateway = written.consecutive_gateway_errors.or(deprecated);
    let split = written.split_external_local_origin_errors;
    let local = written.consecutive_local_origin_failures.filter(|count| split && *count > 0);
    OutlierDetection {
        consecutive_5xx: written.consecutive_5xx_errors,
        enforcing_consecutive_5xx: enforced(written.consecutive_5xx_errors),
        consecutive_gateway_failure: gateway,
        enforcing_consecutive_gateway_failure: enforced(gateway),
        interval: written.interval,
        base_ejection_time: written.base_ejection_time,
        max_ejection_percent: written
            .max_ejection_percent
            .and_then(|percent| u32::try_from(percent).ok())
            .filter(|percent| *percent > 0),
        enforcing_success_rate: Some(0),
        split_external_local_origin_errors: split,
        consecutive_local_origin_failure: local,
        enforcing_consecutive_local_origin_failure: enforced(local),
        enforcing_local_origin_success_rate: split.then_some(0),
        ..OutlierDetection::default()
    }
}

fn whole_percent(percent: u32) -> Fraction {
    Fraction { parts_per_million: percent.min(100).saturating_mul(10_000) }
}
