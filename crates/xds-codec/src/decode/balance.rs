//! How a cluster's endpoints are chosen, and how much they may be given.

use ir::LbPolicy;
use ir::cluster::Thresholds;

use super::at::At;
use super::strict::{harmless, refuse};
use super::wire;
use crate::pb::cluster as pb;
use crate::pb::cluster::circuit_breakers;
use crate::pb::cluster::cluster::{
    CommonLbConfig, LbConfig, LeastRequestLbConfig, OriginalDstLbConfig, RoundRobinLbConfig,
};
use crate::pb::core::RoutingPriority;

pub(super) fn lb_policy(at: At<'_>, it: i32) -> LbPolicy {
    match wire::enumeration(at, it) {
        pb::cluster::LbPolicy::RoundRobin => LbPolicy::RoundRobin,
        pb::cluster::LbPolicy::LeastRequest => LbPolicy::LeastRequest,
        pb::cluster::LbPolicy::Random => LbPolicy::Random,
        pb::cluster::LbPolicy::ClusterProvided => LbPolicy::ClusterProvided,
        other => {
            at.refuse(format!("{} is not supported", other.as_str_name()));
            LbPolicy::RoundRobin
        }
    }
}

pub(super) fn common_lb_config(at: At<'_>, it: CommonLbConfig) {
    let CommonLbConfig {
        healthy_panic_threshold,
        update_merge_window,
        ignore_new_hosts_until_first_hc,
        close_connections_on_host_set_change,
        consistent_hashing_lb_config,
        override_host_status,
        locality_config_specifier,
    } = it;
    refuse!(at; healthy_panic_threshold, close_connections_on_host_set_change, override_host_status,
        locality_config_specifier);
    harmless!(Tuning; update_merge_window);
    // For health checks and for hashing policies, which are refused.
    harmless!(NoSuchMechanism; ignore_new_hosts_until_first_hc, consistent_hashing_lb_config);
}

pub(super) fn lb_config(at: At<'_>, it: LbConfig) {
    match it {
        LbConfig::LeastRequestLbConfig(it) => {
            let at = at.field("least_request_lb_config");
            let LeastRequestLbConfig { choice_count, active_request_bias, slow_start_config } = it;
            refuse!(at; active_request_bias, slow_start_config);
            if choice_count.is_some_and(|it| it.value != 2) {
                at.field("choice_count").refuse("only 2 is supported");
            }
        }
        LbConfig::RoundRobinLbConfig(it) => {
            let at = at.field("round_robin_lb_config");
            let RoundRobinLbConfig { slow_start_config } = it;
            refuse!(at; slow_start_config);
        }
        LbConfig::OriginalDstLbConfig(it) => {
            let at = at.field("original_dst_lb_config");
            let OriginalDstLbConfig {
                use_http_header,
                http_header_name,
                upstream_port_override,
                metadata_key,
            } = it;
            refuse!(at; use_http_header, http_header_name, upstream_port_override, metadata_key);
        }
        LbConfig::RingHashLbConfig(_) => at.unsupported("ring_hash_lb_config"),
        LbConfig::MaglevLbConfig(_) => at.unsupported("maglev_lb_config"),
    }
}

pub(super) fn thresholds(at: At<'_>, it: pb::CircuitBreakers) -> Thresholds {
    let pb::CircuitBreakers { thresholds, per_host_thresholds } = it;
    refuse!(at; per_host_thresholds);
    if thresholds.len() > 1 {
        at.field("thresholds").refuse("only those of the default priority are supported");
    }
    let Some(it) = thresholds.into_iter().next() else { return Thresholds::default() };
    let at = at.index("thresholds", 0);
    let circuit_breakers::Thresholds {
        priority,
        max_connections,
        max_pending_requests,
        max_requests,
        max_retries,
        retry_budget,
        track_remaining,
        max_connection_pools,
    } = it;
    refuse!(at; retry_budget, max_connection_pools);
    harmless!(Statistics; track_remaining);
    if priority != RoutingPriority::Default as i32 {
        at.field("priority").refuse("only DEFAULT is supported");
    }
    Thresholds {
        max_connections: wire::optional_number(max_connections),
        max_pending_requests: wire::optional_number(max_pending_requests),
        max_requests: wire::optional_number(max_requests),
        max_retries: wire::optional_number(max_retries),
    }
}
