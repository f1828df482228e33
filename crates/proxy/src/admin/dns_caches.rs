//! Numbers of dynamic forward proxies' caches, under Envoy's names.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::forward_proxy::Cache;
use crate::telemetry::{Kind, Sample, Scope};

/// Of one cache: `dns_cache.<name>.…`
pub fn samples(cache: &Cache) -> Vec<Sample> {
    let scope = Scope::Filter(format!("dns_cache.{}", cache.config.name).into());
    let stats = &cache.stats;
    let of = |name, kind, value: &AtomicU64| Sample {
        scope: scope.clone(),
        name,
        kind,
        value: value.load(Ordering::Relaxed),
    };
    vec![
        of("dns_query_attempt", Kind::Counter, &stats.query_attempt),
        of("dns_query_success", Kind::Counter, &stats.query_success),
        of("dns_query_failure", Kind::Counter, &stats.query_failure),
        of("dns_query_timeout", Kind::Counter, &stats.query_timeout),
        of("host_address_changed", Kind::Counter, &stats.host_address_changed),
        of("host_added", Kind::Counter, &stats.host_added),
        of("host_removed", Kind::Counter, &stats.host_removed),
        of("host_overflow", Kind::Counter, &stats.host_overflow),
        of("dns_rq_pending_overflow", Kind::Counter, &stats.pending_overflow),
        of("num_hosts", Kind::Gauge, &stats.num_hosts),
    ]
}
