//! Clusters.

use ir::cluster::{TcpKeepalive, TransportMatch};
use ir::{Address, Cluster, ClusterDiscovery, LoadAssignment};

use super::at::At;
use super::strict::{harmless, refuse};
use super::upstream::{self, Legacy};
use super::{balance, endpoint, metadata, tls, wire};
use crate::pb::cluster as pb;
use crate::pb::cluster::cluster::{
    ClusterDiscoveryType, DiscoveryType, EdsClusterConfig, TransportSocketMatch,
};
use crate::pb::core;

pub(super) fn cluster(at: At<'_>, it: pb::Cluster) -> Cluster {
    let pb::Cluster {
        transport_socket_matches,
        transport_socket_matcher,
        name,
        alt_stat_name,
        stats_matcher,
        eds_cluster_config,
        connect_timeout,
        per_connection_buffer_limit_bytes,
        per_connection_buffer_high_watermark_timeout,
        lb_policy: policy,
        load_assignment,
        health_checks,
        max_requests_per_connection,
        circuit_breakers: breakers,
        upstream_http_protocol_options,
        common_http_protocol_options,
        http_protocol_options,
        http2_protocol_options,
        typed_extension_protocol_options,
        dns_refresh_rate,
        dns_jitter,
        dns_failure_refresh_rate,
        respect_dns_ttl,
        dns_lookup_family,
        dns_resolvers,
        use_tcp_for_dns_lookups,
        dns_resolution_config,
        typed_dns_resolver_config,
        wait_for_warm_on_init,
        outlier_detection,
        cleanup_interval,
        upstream_bind_config,
        lb_subset_config,
        common_lb_config: common_lb,
        transport_socket,
        metadata: all,
        protocol_selection,
        upstream_connection_options,
        close_connections_on_host_health_failure,
        ignore_health_on_host_removal,
        filters,
        load_balancing_policy,
        lrs_server,
        lrs_report_endpoint_metrics,
        track_timeout_budgets,
        upstream_config,
        track_cluster_stats,
        preconnect_policy,
        connection_pool_per_downstream_connection,
        queuing_policies,
        cluster_discovery_type,
        lb_config: balance,
    } = it;
    refuse!(at; transport_socket_matcher, per_connection_buffer_high_watermark_timeout, health_checks,
        outlier_detection, lb_subset_config, close_connections_on_host_health_failure, filters,
        load_balancing_policy, lrs_server, lrs_report_endpoint_metrics, upstream_config, preconnect_policy,
        connection_pool_per_downstream_connection, queuing_policies);
    harmless!(Statistics; stats_matcher, track_timeout_budgets, track_cluster_stats);
    harmless!(Tuning; per_connection_buffer_limit_bytes, wait_for_warm_on_init);
    // Clean-up of original destinations, and health checks: we have neither.
    harmless!(NoSuchMechanism; cleanup_interval, ignore_health_on_host_removal);
    let name = wire::required(at.field("name"), name);
    let discovery = discovery(at, &name, cluster_discovery_type, eds_cluster_config, load_assignment, policy);
    if has_names(&discovery) {
        refuse!(at; dns_refresh_rate, dns_jitter, dns_failure_refresh_rate, respect_dns_ttl, dns_lookup_family,
            dns_resolvers, use_tcp_for_dns_lookups, dns_resolution_config, typed_dns_resolver_config);
    } else {
        harmless!(NoNames; dns_refresh_rate, dns_jitter, dns_failure_refresh_rate, respect_dns_ttl,
            dns_lookup_family, dns_resolvers, use_tcp_for_dns_lookups, dns_resolution_config,
            typed_dns_resolver_config);
    }
    if let Some(it) = common_lb {
        balance::common_lb_config(at.field("common_lb_config"), it);
    }
    if let Some(it) = balance {
        balance::lb_config(at, it);
    }
    let legacy = Legacy {
        common: common_http_protocol_options,
        upstream: upstream_http_protocol_options,
        http1: http_protocol_options,
        http2: http2_protocol_options,
        max_requests_per_connection,
        protocol_selection,
    };
    let options = upstream::protocol_options(at, typed_extension_protocol_options, legacy);
    let bind = upstream_bind_config
        .map(|it| upstream::bind_config(at.field("upstream_bind_config"), it))
        .unwrap_or_default();
    let keys = metadata::keys(all);
    Cluster {
        alt_stat_name: wire::optional_text(alt_stat_name),
        discovery,
        connect_timeout: wire::optional_duration(at.field("connect_timeout"), connect_timeout),
        lb_policy: balance::lb_policy(at.field("lb_policy"), policy),
        protocol: options.protocol,
        tls: transport_socket.and_then(|it| tls::upstream(at.field("transport_socket"), it)),
        transport_matches: transport_matches(at, transport_socket_matches),
        thresholds: breakers
            .map(|it| balance::thresholds(at.field("circuit_breakers"), it))
            .unwrap_or_default(),
        bind_source: bind.source,
        socket_mark: bind.mark,
        tcp_keepalive: upstream_connection_options
            .and_then(|it| keepalive(at.field("upstream_connection_options"), it)),
        max_requests_per_connection: options.max_requests_per_connection,
        max_headers_count: options.max_headers_count,
        max_response_headers_kb: options.max_response_headers_kb,
        max_connection_duration: options.max_connection_duration,
        idle_timeout: options.idle_timeout,
        http2: options.http2,
        services: keys.services(),
        origin: keys.origin(),
        name,
    }
}

fn discovery(
    at: At<'_>,
    name: &str,
    it: Option<ClusterDiscoveryType>,
    eds: Option<EdsClusterConfig>,
    assignment: Option<crate::pb::endpoint::ClusterLoadAssignment>,
    policy: i32,
) -> ClusterDiscovery {
    let ty = match it {
        None => DiscoveryType::Static,
        Some(ClusterDiscoveryType::Type(ty)) => wire::enumeration(at.field("type"), ty),
        Some(ClusterDiscoveryType::ClusterType(_)) => {
            at.unsupported("cluster_type");
            DiscoveryType::Static
        }
    };
    if eds.is_some() && ty != DiscoveryType::Eds {
        at.field("eds_cluster_config").refuse("has no effect: the type is not EDS");
    }
    if assignment.is_some() && !matches!(ty, DiscoveryType::Static | DiscoveryType::StrictDns) {
        at.field("load_assignment").refuse("has no effect: the type is neither STATIC nor STRICT_DNS");
    }
    let provided = policy == pb::cluster::LbPolicy::ClusterProvided as i32;
    if provided != (ty == DiscoveryType::OriginalDst) {
        at.field("lb_policy").refuse("CLUSTER_PROVIDED goes with the type ORIGINAL_DST, and only with it");
    }
    match ty {
        DiscoveryType::Static | DiscoveryType::StrictDns => {
            let mut assignment = match assignment {
                Some(it) => endpoint::load_assignment(at.field("load_assignment"), it),
                None => LoadAssignment::default(),
            };
            if assignment.cluster_name.is_empty() {
                assignment.cluster_name = name.into();
            }
            let discovery = ClusterDiscovery::Static(assignment);
            if ty == DiscoveryType::Static && has_names(&discovery) {
                at.field("load_assignment").refuse("host names need the type STRICT_DNS");
            }
            discovery
        }
        DiscoveryType::Eds => {
            let at = at.field("eds_cluster_config");
            let EdsClusterConfig { eds_config, service_name } = eds.unwrap_or_default();
            wire::ads(at.field("eds_config"), eds_config);
            ClusterDiscovery::Eds { service_name: wire::optional_text(service_name) }
        }
        DiscoveryType::OriginalDst => ClusterDiscovery::OriginalDst,
        DiscoveryType::LogicalDns => {
            at.field("type").refuse("LOGICAL_DNS is not supported");
            ClusterDiscovery::OriginalDst
        }
    }
}

fn has_names(it: &ClusterDiscovery) -> bool {
    let ClusterDiscovery::Static(assignment) = it else { return false };
    let mut endpoints = assignment.localities.iter().flat_map(|locality| &locality.endpoints);
    endpoints.any(|endpoint| matches!(endpoint.address, Address::Name { .. }))
}

fn transport_matches(at: At<'_>, all: Vec<TransportSocketMatch>) -> Vec<TransportMatch> {
    let mut matches = Vec::with_capacity(all.len());
    for (index, it) in all.into_iter().enumerate() {
        let at = at.index("transport_socket_matches", index);
        let TransportSocketMatch { name, r#match, transport_socket } = it;
        if transport_socket.is_none() {
            at.field("transport_socket").refuse("is required");
        }
        matches.push(TransportMatch {
            name: wire::required(at.field("name"), name),
            criteria: metadata::texts(at.field("match"), r#match.unwrap_or_default()),
            tls: transport_socket.and_then(|it| tls::upstream(at.field("transport_socket"), it)),
        });
    }
    matches
}

fn keepalive(at: At<'_>, it: pb::UpstreamConnectionOptions) -> Option<TcpKeepalive> {
    let pb::UpstreamConnectionOptions {
        tcp_keepalive,
        set_local_interface_name_on_upstream_connections,
        happy_eyeballs_config,
    } = it;
    refuse!(at; set_local_interface_name_on_upstream_connections, happy_eyeballs_config);
    let core::TcpKeepalive { keepalive_probes, keepalive_time, keepalive_interval } = tcp_keepalive?;
    Some(TcpKeepalive {
        probes: wire::optional_number(keepalive_probes),
        time: wire::optional_number(keepalive_time),
        interval: wire::optional_number(keepalive_interval),
    })
}
