//! The TCP proxy filter.

use std::time::Duration;

use ir::TcpProxy;
use ir::tcp::TcpClusters;
use stdx::Str;

use super::at::At;
use super::strict::refuse;
use super::{access_log, hash_policy, wire};
use crate::pb::core;
use crate::pb::tcp_proxy::tcp_proxy::{
    ClusterSpecifier, TunnelingConfig, WeightedCluster, weighted_cluster::ClusterWeight,
};
use crate::pb::tcp_proxy::{self as pb};

pub(super) fn tcp_proxy(at: At<'_>, it: pb::TcpProxy) -> TcpProxy {
    let pb::TcpProxy {
        stat_prefix,
        on_demand,
        metadata_match,
        idle_timeout,
        downstream_idle_timeout,
        upstream_idle_timeout,
        access_log: logs,
        max_connect_attempts,
        backoff_options,
        hash_policy,
        tunneling_config,
        max_downstream_connection_duration,
        max_downstream_connection_duration_jitter_percentage,
        access_log_flush_interval,
        flush_access_log_on_connected,
        access_log_options,
        proxy_protocol_tlvs,
        proxy_protocol_tlv_merge_policy,
        upstream_connect_mode,
        max_early_data_bytes,
        check_drain_close,
        cluster_specifier,
    } = it;
    refuse!(at; on_demand, downstream_idle_timeout, upstream_idle_timeout,
        max_downstream_connection_duration_jitter_percentage, access_log_flush_interval,
        flush_access_log_on_connected, access_log_options, proxy_protocol_tlvs,
        proxy_protocol_tlv_merge_policy, upstream_connect_mode, max_early_data_bytes, check_drain_close);
    let attempts = max_connect_attempts.map_or(1, |it| it.value);
    if attempts == 0 {
        at.field("max_connect_attempts").refuse("must be at least 1");
    }
    let duration = wire::optional_duration(
        at.field("max_downstream_connection_duration"),
        max_downstream_connection_duration,
    );
    if duration.is_some_and(|it| it < Duration::from_millis(1)) {
        at.field("max_downstream_connection_duration").refuse("must be at least 1 ms");
    }
    TcpProxy {
        stat_prefix: stat_prefix.into(),
        clusters: clusters(at, cluster_specifier),
        idle_timeout: wire::optional_duration(at.field("idle_timeout"), idle_timeout),
        max_connect_attempts: attempts,
        connect_back_off: backoff_options.map(|it| back_off(at.field("backoff_options"), it)),
        max_downstream_connection_duration: duration,
        hash_source_ip: hash_policy::of_tcp(&at, hash_policy),
        metadata_match: hash_policy::criteria(metadata_match),
        tunnel_to: tunneling_config.map(|it| tunnel(at.field("tunneling_config"), it)),
        access_log: access_log::access_logs(&at, logs),
    }
}

fn tunnel(at: At<'_>, it: TunnelingConfig) -> Str {
    let TunnelingConfig {
        hostname,
        use_post,
        headers_to_add,
        propagate_response_headers,
        post_path,
        propagate_response_trailers,
        request_id_extension,
        request_id_header,
        request_id_metadata_key,
        formatters,
    } = it;
    refuse!(at; use_post, headers_to_add, propagate_response_headers, post_path, propagate_response_trailers,
        request_id_extension, request_id_header, request_id_metadata_key, formatters);
    let at = at.field("hostname");
    // Operators are evaluated per connection; and nothing else may get into the request.
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
    if !hostname.chars().all(plain) {
        at.refuse("must be HOST:PORT, without operators");
    }
    wire::required(at, hostname)
}

fn back_off(at: At<'_>, it: core::BackoffStrategy) -> (Duration, Option<Duration>) {
    let core::BackoffStrategy { base_interval, max_interval } = it;
    let base = wire::optional_duration(at.field("base_interval"), base_interval).unwrap_or_default();
    let max = wire::optional_duration(at.field("max_interval"), max_interval);
    if base < Duration::from_millis(1) || max.is_some_and(|max| max < base) {
        at.refuse("base_interval must be at least 1 ms and at most max_interval");
    }
    (base, max)
}

fn clusters(at: At<'_>, it: Option<ClusterSpecifier>) -> TcpClusters {
    match it {
        Some(ClusterSpecifier::Cluster(name)) => {
            TcpClusters::Single(wire::required(at.field("cluster"), name))
        }
        Some(ClusterSpecifier::WeightedClusters(it)) => weighted(at.field("weighted_clusters"), it),
        None => {
            at.field("cluster").refuse("is required");
            TcpClusters::Single(Str::default())
        }
    }
}

fn weighted(at: At<'_>, it: WeightedCluster) -> TcpClusters {
    let mut all = Vec::new();
    let mut sum = 0u64;
    for (index, it) in it.clusters.into_iter().enumerate() {
        let at = at.index("clusters", index);
        let ClusterWeight { name, weight, metadata_match } = it;
        refuse!(at; metadata_match);
        if weight == 0 {
            at.field("weight").refuse("must be at least 1");
        }
        sum = sum.saturating_add(weight.into());
        all.push((wire::required(at.field("name"), name), weight));
    }
    if all.is_empty() || sum > u64::from(u32::MAX) {
        at.field("clusters").refuse("must not be empty, and weights must fit into 32 bits together");
    }
    TcpClusters::Weighted(all)
}
