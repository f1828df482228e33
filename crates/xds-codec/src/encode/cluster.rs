//! Clusters.

use std::collections::HashMap;

use ir::cluster::{ProxyProtocol, TcpKeepalive, TransportMatch};
use ir::{Cluster, ClusterDiscovery, HttpProtocol, UpstreamTls};

use super::metadata::Builder;
use super::{address, balance, breakers, dns, dns_cache, endpoint, health_check, protocol, tls, wire};
use crate::names;
use crate::pb::cluster::cluster::{
    ClusterDiscoveryType, DiscoveryType, EdsClusterConfig, TransportSocketMatch,
};
use crate::pb::cluster::{self as pb};
use crate::pb::core;
use crate::pb::upstream_http::http_protocol_options::explicit_http_config::ProtocolConfig;
use crate::pb::upstream_http::http_protocol_options::{
    AutoHttpConfig, ExplicitHttpConfig, UpstreamProtocolOptions, UseDownstreamHttpConfig,
};
use crate::pb::upstream_http::{self, HttpProtocolOptions};

/// `SOL_SOCKET` and `SO_MARK` of Linux.
pub(crate) const SOL_SOCKET: i64 = 1;
pub(crate) const SO_MARK: i64 = 36;

/// Encodes a cluster.
pub fn cluster(it: &Cluster) -> pb::Cluster {
    let discovery = discovery(it);
    let mut encoded = pb::Cluster {
        transport_socket_matches: it.transport_matches.iter().map(transport_match).collect(),
        name: it.name.to_string(),
        alt_stat_name: wire::optional_text(&it.alt_stat_name),
        eds_cluster_config: discovery.eds,
        connect_timeout: wire::optional_duration(it.connect_timeout),
        lb_policy: balance::lb_policy(it.lb_policy).into(),
        load_assignment: discovery.load_assignment,
        health_checks: it.health_checks.iter().map(health_check::health_check).collect(),
        circuit_breakers: breakers::circuit_breakers(it),
        outlier_detection: it.outlier.as_ref().map(|it| breakers::outlier(it)),
        typed_extension_protocol_options: HashMap::from_iter(protocol_options(it)),
        upstream_bind_config: bind_config(it),
        lb_subset_config: it.subsets.as_ref().map(|it| balance::subsets(it)),
        common_lb_config: balance::common_lb_config(&it.common_lb),
        transport_socket: transport(&it.tls, it.proxy_protocol),
        metadata: Builder::default().origin(&it.origin).services(&it.services).build(),
        upstream_connection_options: it.tcp_keepalive.map(|it| pb::UpstreamConnectionOptions {
            tcp_keepalive: Some(keepalive(it)),
            ..Default::default()
        }),
        close_connections_on_host_health_failure: it.close_connections_on_health_failure,
        ignore_health_on_host_removal: it.ignore_health_on_host_removal,
        lb_config: balance::lb_config(it),
        cluster_discovery_type: Some(discovery.ty),
        ..Default::default()
    };
    dns::dns(&it.dns, &mut encoded);
    encoded
}

struct Discovery {
    ty: ClusterDiscoveryType,
    eds: Option<EdsClusterConfig>,
    load_assignment: Option<crate::pb::endpoint::ClusterLoadAssignment>,
}

fn discovery(it: &Cluster) -> Discovery {
    let of_type = |ty| Discovery { ty, eds: None, load_assignment: None };
    let nothing = |ty: DiscoveryType| of_type(ClusterDiscoveryType::Type(ty.into()));
    let given = |ty, assignment| {
        let mut load_assignment = endpoint::load_assignment(assignment);
        if load_assignment.cluster_name.is_empty() {
            // Envoy refuses an assignment without a name.
            load_assignment.cluster_name = it.name.to_string();
        }
        Discovery { load_assignment: Some(load_assignment), ..nothing(ty) }
    };
    match &it.discovery {
        ClusterDiscovery::Static(it) => given(DiscoveryType::Static, it),
        ClusterDiscovery::StrictDns(it) => given(DiscoveryType::StrictDns, it),
        ClusterDiscovery::LogicalDns(it) => given(DiscoveryType::LogicalDns, it),
        ClusterDiscovery::Eds { service_name, source } => {
            let eds = EdsClusterConfig {
                eds_config: Some(wire::config_source(source)),
                service_name: wire::optional_text(service_name),
            };
            Discovery { eds: Some(eds), ..nothing(DiscoveryType::Eds) }
        }
        ClusterDiscovery::OriginalDst => nothing(DiscoveryType::OriginalDst),
        ClusterDiscovery::DynamicForwardProxy(it) => {
            of_type(ClusterDiscoveryType::ClusterType(dns_cache::cluster_type(it)))
        }
    }
}

fn protocol_options(it: &Cluster) -> Option<(String, crate::Any)> {
    let common = core::HttpProtocolOptions {
        idle_timeout: wire::optional_duration(it.idle_timeout),
        max_requests_per_connection: wire::optional_number(it.max_requests_per_connection),
        max_headers_count: wire::optional_number(it.max_headers_count),
        max_response_headers_kb: wire::optional_number(it.max_response_headers_kb),
        max_connection_duration: wire::optional_duration(it.max_connection_duration),
        ..Default::default()
    };
    let common = (common != core::HttpProtocolOptions::default()).then_some(common);
    let upstream = it.tls_from_request.as_ref().map(|it| core::UpstreamHttpProtocolOptions {
        auto_sni: it.sni,
        auto_san_validation: it.san_validation,
        override_auto_sni_header: wire::optional_text(&it.header),
    });
    // Where names come with requests, saying nothing means that TLS expects them.
    let says_nothing = matches!(&it.discovery, ClusterDiscovery::DynamicForwardProxy(proxy)
        if proxy.allow_insecure_cluster_options);
    if it.protocol == HttpProtocol::Http1
        && !it.preserve_header_case
        && common.is_none()
        && upstream.is_none()
        && !says_nothing
    {
        return None;
    }
    let options = HttpProtocolOptions {
        common_http_protocol_options: common,
        upstream_http_protocol_options: upstream,
        upstream_protocol_options: Some(upstream_protocol(it)),
        ..Default::default()
    };
    Some((names::HTTP_PROTOCOL_OPTIONS.into(), wire::pack::<upstream_http::HttpProtocolOptions>(&options)))
}

fn upstream_protocol(it: &Cluster) -> UpstreamProtocolOptions {
    let http1 = || protocol::http1(it.preserve_header_case);
    let http2 = || protocol::http2(&it.http2);
    let explicit = |config| {
        UpstreamProtocolOptions::ExplicitHttpConfig(ExplicitHttpConfig { protocol_config: Some(config) })
    };
    match it.protocol {
        HttpProtocol::Http1 => explicit(ProtocolConfig::HttpProtocolOptions(http1())),
        HttpProtocol::Http2 => explicit(ProtocolConfig::Http2ProtocolOptions(http2())),
        HttpProtocol::UseDownstream => {
            UpstreamProtocolOptions::UseDownstreamProtocolConfig(UseDownstreamHttpConfig {
                http_protocol_options: Some(http1()),
                http2_protocol_options: Some(http2()),
                ..Default::default()
            })
        }
        HttpProtocol::Auto => UpstreamProtocolOptions::AutoConfig(AutoHttpConfig {
            http_protocol_options: Some(http1()),
            http2_protocol_options: Some(http2()),
            ..Default::default()
        }),
    }
}

fn bind_config(it: &Cluster) -> Option<core::BindConfig> {
    if it.bind_source.is_none() && it.socket_mark.is_none() {
        return None;
    }
    Some(core::BindConfig {
        source_address: it.bind_source.map(address::source),
        socket_options: it.socket_mark.map(socket_mark).into_iter().collect(),
        ..Default::default()
    })
}

fn socket_mark(mark: u32) -> core::SocketOption {
    core::SocketOption {
        description: "SO_MARK".into(),
        level: SOL_SOCKET,
        name: SO_MARK,
        state: core::socket_option::SocketState::StatePrebind.into(),
        value: Some(core::socket_option::Value::IntValue(mark.into())),
        ..Default::default()
    }
}

fn keepalive(it: TcpKeepalive) -> core::TcpKeepalive {
    core::TcpKeepalive {
        keepalive_probes: wire::optional_number(it.probes),
        keepalive_time: wire::optional_number(it.time),
        keepalive_interval: wire::optional_number(it.interval),
    }
}

/// `None` is plaintext.
fn transport(tls: &Option<UpstreamTls>, version: Option<ProxyProtocol>) -> Option<core::TransportSocket> {
    let inner = tls.as_ref().map(tls::upstream_socket);
    match version {
        None => inner,
        Some(version) => Some(tls::proxy_protocol_socket(version, inner)),
    }
}

fn transport_match(it: &TransportMatch) -> TransportSocketMatch {
    let criteria = it.criteria.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    TransportSocketMatch {
        name: it.name.to_string(),
        r#match: Some(wire::text_struct(criteria)),
        transport_socket: transport(&it.tls, it.proxy_protocol).or_else(|| Some(tls::raw_buffer_socket())),
    }
}
