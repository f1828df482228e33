//! Clusters.

use ir::cluster::{TcpKeepalive, TransportMatch};
use ir::{Address, Cluster, ClusterDiscovery, Dns, LbPolicy, LoadAssignment};

use super::at::At;
use super::strict::{harmless, refuse};
use super::upstream::{self, Legacy};
use super::{
    balance, breakers, dns, dns_cache, endpoint, health_check, metadata, policies, subsets, tls, wire,
};
use crate::pb::cluster as pb;
use crate::pb::cluster::cluster::{
    ClusterDiscoveryType, CustomClusterType, DiscoveryType, EdsClusterConfig, TransportSocketMatch,
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
    refuse!(at; transport_socket_matcher, per_connection_buffer_high_watermark_timeout, filters,
        lrs_server, lrs_report_endpoint_metrics, upstream_config, preconnect_policy,
        connection_pool_per_downstream_connection, queuing_policies);
    harmless!(Statistics; stats_matcher, track_timeout_budgets, track_cluster_stats);
    harmless!(Tuning; per_connection_buffer_limit_bytes, wait_for_warm_on_init);
    // How long an original destination is remembered: ours cost nothing while they are idle.
    harmless!(NoSuchMechanism; cleanup_interval);
    let name = wire::required(at.field("name"), name);
    let mut common_lb =
        common_lb.map(|it| balance::common_lb_config(at.field("common_lb_config"), it)).unwrap_or_default();
    let chosen = match load_balancing_policy {
        None => balance::balance(at, policy, balance),
        Some(it) => {
            refuse!(at; lb_subset_config);
            if balance.is_some() {
                at.field("lb_config").refuse("has no effect beside load_balancing_policy");
            }
            policies::chosen(at.field("load_balancing_policy"), it, &mut common_lb)
        }
    };
    let provided = chosen.policy == LbPolicy::ClusterProvided;
    let discovery =
        discovery(at, &name, cluster_discovery_type, eds_cluster_config, load_assignment, provided);
    let resolves = matches!(discovery, ClusterDiscovery::StrictDns(_) | ClusterDiscovery::LogicalDns(_));
    let names = dns::Fields {
        dns_refresh_rate,
        dns_jitter,
        dns_failure_refresh_rate,
        respect_dns_ttl,
        dns_lookup_family,
        dns_resolvers,
        use_tcp_for_dns_lookups,
        dns_resolution_config,
        typed_dns_resolver_config,
    };
    let dns = if resolves {
        dns::dns(at, names)
    } else {
        harmless!(NoNames; names);
        Dns::default()
    };
    let (thresholds, high_thresholds) =
        breakers.map(|it| breakers::thresholds(at.field("circuit_breakers"), it)).unwrap_or_default();
    let transport = tls::wrapped(at, transport_socket);
    let has_options =
        upstream_http_protocol_options.is_some() || !typed_extension_protocol_options.is_empty();
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
    let mut cluster = Cluster {
        alt_stat_name: wire::optional_text(alt_stat_name),
        discovery,
        connect_timeout: wire::optional_duration(at.field("connect_timeout"), connect_timeout),
        lb_policy: chosen.policy,
        least_request: chosen.least_request,
        slow_start: chosen.slow_start,
        common_lb,
        subsets: lb_subset_config.map(|it| Box::new(subsets::subsets(at.field("lb_subset_config"), it))),
        outlier: outlier_detection.map(|it| Box::new(breakers::outlier(at.field("outlier_detection"), it))),
        health_checks: health_check::health_checks(at, health_checks),
        ignore_health_on_host_removal,
        close_connections_on_health_failure: close_connections_on_host_health_failure,
        dns,
        original_dst: chosen.original_dst,
        protocol: options.protocol,
        tls: transport.tls,
        proxy_protocol: transport.proxy_protocol,
        transport_matches: transport_matches(at, transport_socket_matches),
        tls_from_request: options.tls_from_request.map(Box::new),
        thresholds,
        high_thresholds,
        bind_source: bind.source,
        socket_mark: bind.mark,
        tcp_keepalive: upstream_connection_options
            .and_then(|it| keepalive(at.field("upstream_connection_options"), it)),
        max_requests_per_connection: options.max_requests_per_connection,
        max_headers_count: options.max_headers_count,
        max_response_headers_kb: options.max_response_headers_kb,
        max_connection_duration: options.max_connection_duration,
        idle_timeout: options.idle_timeout,
        preserve_header_case: options.preserve_header_case,
        http2: options.http2,
        services: keys.services(),
        origin: keys.origin(),
        name,
    };
    dns_cache::expect_names(at, &mut cluster, has_options);
    let expected = cluster.tls_from_request.as_ref().is_some_and(|it| it.san_validation);
    if expected && !cluster.judges_certificates() {
        at.refuse("auto_san_validation: has no effect where the transport socket has no trusted_ca");
    }
    cluster
}

fn discovery(
    at: At<'_>,
    name: &str,
    it: Option<ClusterDiscoveryType>,
    eds: Option<EdsClusterConfig>,
    assignment: Option<crate::pb::endpoint::ClusterLoadAssignment>,
    provided: bool,
) -> ClusterDiscovery {
    let ty = match it {
        None => DiscoveryType::Static,
        Some(ClusterDiscoveryType::Type(ty)) => wire::enumeration(at.field("type"), ty),
        Some(ClusterDiscoveryType::ClusterType(it)) => return extension(at, it, eds, assignment, provided),
    };
    if eds.is_some() && ty != DiscoveryType::Eds {
        at.field("eds_cluster_config").refuse("has no effect: the type is not EDS");
    }
    if assignment.is_some() && matches!(ty, DiscoveryType::Eds | DiscoveryType::OriginalDst) {
        at.field("load_assignment").refuse("has no effect: the type is EDS or ORIGINAL_DST");
    }
    if provided != (ty == DiscoveryType::OriginalDst) {
        at.field("lb_policy")
            .refuse("CLUSTER_PROVIDED goes with the type ORIGINAL_DST or a cluster_type, and only with them");
    }
    match ty {
        DiscoveryType::Static | DiscoveryType::StrictDns | DiscoveryType::LogicalDns => {
            let at = at.field("load_assignment");
            let mut assignment = assignment.map(|it| endpoint::load_assignment(at, it)).unwrap_or_default();
            if assignment.cluster_name.is_empty() {
                assignment.cluster_name = name.into();
            }
            given(at, ty, assignment)
        }
        DiscoveryType::Eds => {
            let at = at.field("eds_cluster_config");
            let EdsClusterConfig { eds_config, service_name } = eds.unwrap_or_default();
            let source = wire::config_source(at.field("eds_config"), eds_config).unwrap_or_default();
            ClusterDiscovery::Eds { service_name: wire::optional_text(service_name), source }
        }
        DiscoveryType::OriginalDst => ClusterDiscovery::OriginalDst,
    }
}

/// `cluster_type`: there is one that we know.
fn extension(
    at: At<'_>,
    it: CustomClusterType,
    eds: Option<EdsClusterConfig>,
    assignment: Option<crate::pb::endpoint::ClusterLoadAssignment>,
    provided: bool,
) -> ClusterDiscovery {
    refuse!(at; eds, assignment);
    if !provided {
        at.field("lb_policy").refuse("must be CLUSTER_PROVIDED with a cluster_type");
    }
    match dns_cache::cluster_type(at.field("cluster_type"), it) {
        Some(it) => ClusterDiscovery::DynamicForwardProxy(Box::new(it)),
        None => ClusterDiscovery::OriginalDst,
    }
}

/// Endpoints that the cluster itself names.
fn given(at: At<'_>, ty: DiscoveryType, it: LoadAssignment) -> ClusterDiscovery {
    match ty {
        DiscoveryType::StrictDns => {
            if it.localities.iter().any(|locality| locality.endpoints.iter().any(is_pipe)) {
                at.refuse("STRICT_DNS resolves no paths of sockets");
            }
            ClusterDiscovery::StrictDns(it)
        }
        DiscoveryType::LogicalDns => {
            let endpoints: Vec<_> = it.localities.iter().flat_map(|locality| &locality.endpoints).collect();
            if it.localities.len() != 1 || endpoints.len() != 1 || endpoints.iter().any(|it| is_pipe(it)) {
                at.refuse("LOGICAL_DNS must have one locality with one endpoint, a host and a port");
            }
            ClusterDiscovery::LogicalDns(it)
        }
        _ => {
            if has_names(&it) {
                at.refuse("host names need the type STRICT_DNS or LOGICAL_DNS");
            }
            ClusterDiscovery::Static(it)
        }
    }
}

fn is_pipe(it: &ir::Endpoint) -> bool {
    matches!(it.address, Address::Pipe(_))
}

fn has_names(it: &LoadAssignment) -> bool {
    let mut endpoints = it.localities.iter().flat_map(|locality| &locality.endpoints);
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
        let transport = tls::wrapped(at, transport_socket);
        matches.push(TransportMatch {
            name: wire::required(at.field("name"), name),
            criteria: metadata::texts(at.field("match"), r#match.unwrap_or_default()),
            tls: transport.tls,
            proxy_protocol: transport.proxy_protocol,
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
