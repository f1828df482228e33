//! The TCP proxy filter.

use ir::TcpProxy;
use ir::tcp::TcpClusters;

use super::{access_log, hash_policy, wire};
use crate::pb::core;
use crate::pb::tcp_proxy::tcp_proxy::{
    ClusterSpecifier, TunnelingConfig, WeightedCluster, weighted_cluster::ClusterWeight,
};
use crate::pb::tcp_proxy::{self as pb};

pub(super) fn tcp_proxy(it: &TcpProxy) -> pb::TcpProxy {
    let clusters = match &it.clusters {
        TcpClusters::Single(name) => ClusterSpecifier::Cluster(name.to_string()),
        TcpClusters::Weighted(clusters) => {
            let one = |(name, weight): &(stdx::Str, u32)| ClusterWeight {
                name: name.to_string(),
                weight: *weight,
                metadata_match: None,
            };
            ClusterSpecifier::WeightedClusters(WeightedCluster {
                clusters: clusters.iter().map(one).collect(),
            })
        }
    };
    pb::TcpProxy {
        stat_prefix: it.stat_prefix.to_string(),
        idle_timeout: wire::optional_duration(it.idle_timeout),
        access_log: access_log::access_logs(&it.access_log),
        max_connect_attempts: (it.max_connect_attempts != 1).then(|| wire::number(it.max_connect_attempts)),
        backoff_options: it.connect_back_off.map(|(base, max)| core::BackoffStrategy {
            base_interval: Some(wire::duration(base)),
            max_interval: wire::optional_duration(max),
        }),
        max_downstream_connection_duration: wire::optional_duration(it.max_downstream_connection_duration),
        hash_policy: it.hash_source_ip.then(hash_policy::source_ip).into_iter().collect(),
        metadata_match: hash_policy::criteria(&it.metadata_match),
        tunneling_config: it
            .tunnel_to
            .as_ref()
            .map(|target| TunnelingConfig { hostname: target.to_string(), ..Default::default() }),
        cluster_specifier: Some(clusters),
        ..Default::default()
    }
}
