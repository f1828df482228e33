//! The bootstrap of the proxy beside us: who it is, where the control plane is, where its
//! certificate comes from. Names and numbers are those of Istio's bootstrap template.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use identity::{TRUST_BUNDLE, WORKLOAD_CERTIFICATE};
use ir::bootstrap::{AdsConfig, BootstrapNode};
use ir::cluster::{TcpKeepalive, Thresholds};
use ir::http::RouteSource;
use ir::route::{Forward, RouteMatch};
use ir::tls::{CertificateSource, CommonTls, RootsSource, SanKind, SanMatcher, SdsRef, SdsVia, Validation};
use ir::{
    Address, Bootstrap, Cluster, ClusterDiscovery, Endpoint, FilterChain, FilterChainMatch,
    HttpConnectionManager, HttpProtocol, Listener, LoadAssignment, Overload, Route, RouteAction, RouteConfig,
    StringMatcher, Terminal, UpstreamTls, VirtualHost,
};
use stdx::Str;

use crate::AgentConfig;

/// The cluster of the control plane.
pub const XDS_CLUSTER: &str = "xds-grpc";
/// The cluster of the agent's own SDS.
pub const SDS_CLUSTER: &str = "sds-grpc";
const STATS_CLUSTER: &str = "prometheus_stats";
const AGENT_CLUSTER: &str = "agent";

/// Where SDS is served, inside the runtime folder.
pub fn sds_socket(runtime_dir: &Path) -> PathBuf {
    runtime_dir.join("sds.sock")
}

/// TLS towards the control plane: our certificate, the mesh's roots, the control plane's name.
pub fn control_tls(config: &AgentConfig) -> UpstreamTls {
    let sds = |name: &str| SdsRef { name: name.into(), via: SdsVia::Cluster(SDS_CLUSTER.into()) };
    UpstreamTls {
        common: CommonTls {
            certificate: Some(CertificateSource::Sds(sds(WORKLOAD_CERTIFICATE))),
            validation: Some(Validation::new(
                RootsSource::Sds(sds(TRUST_BUNDLE)),
                vec![SanMatcher {
                    kind: SanKind::Dns,
                    matcher: StringMatcher::exact(config.control_san.clone()),
                }],
            )),
            alpn: vec!["h2".into()],
            ..CommonTls::default()
        },
        sni: Some(config.control_san.clone()),
    }
}

/// The bootstrap. `static_listeners`: readiness and statistics as listeners of the proxy, as
/// Istio has them for Envoy; for a proxy in our own process we serve both ourselves.
pub fn bootstrap(config: &AgentConfig, static_listeners: bool) -> Bootstrap {
    let ports = config.ports;
    let loopback = |port: u16| Address::Socket(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let mut clusters = vec![
        plain_cluster(STATS_CLUSTER, loopback(ports.admin), Duration::from_millis(250)),
        plain_cluster(AGENT_CLUSTER, loopback(ports.status), Duration::from_millis(250)),
        sds_cluster(config),
        xds_cluster(config),
    ];
    let mut listeners = Vec::new();
    if static_listeners {
        listeners.push(static_listener(
            "prometheus",
            "stats",
            ports.prometheus,
            "/stats/prometheus",
            STATS_CLUSTER,
        ));
        listeners.push(static_listener("health", "agent", ports.health, "/healthz/ready", AGENT_CLUSTER));
    } else {
        clusters.retain(|cluster| ![STATS_CLUSTER, AGENT_CLUSTER].contains(&cluster.name.as_str()));
    }
    let workload = &config.workload;
    Bootstrap {
        node: BootstrapNode {
            id: workload.node_id().into(),
            cluster: format!("{}.{}", workload.canonical_name(), workload.namespace).into(),
            locality: workload.locality.clone(),
            metadata: workload.node_metadata(),
        },
        admin: Some(loopback(ports.admin)),
        listeners,
        clusters,
        secrets: Vec::new(),
        ads: Some(AdsConfig { cluster: XDS_CLUSTER.into(), delta: true, metadata: Vec::new() }),
        lds: Some(ir::ConfigSource::Ads),
        cds: Some(ir::ConfigSource::Ads),
        overload: config
            .max_connections
            .map(|count| Overload { max_connections: Some(count.into()), ..Overload::default() }),
    }
}

fn plain_cluster(name: &str, address: Address, connect_timeout: Duration) -> Cluster {
    let resolved = matches!(address, Address::Name { .. });
    let endpoints = ir::endpoint::LocalityEndpoints {
        locality: model::Locality::default(),
        weight: None,
        priority: 0,
        endpoints: vec![Endpoint::new(address)],
    };
    let assignment =
        LoadAssignment { cluster_name: name.into(), localities: vec![endpoints], ..Default::default() };
    let discovery =
        if resolved { ClusterDiscovery::StrictDns(assignment) } else { ClusterDiscovery::Static(assignment) };
    let mut cluster = Cluster::new(name, discovery);
    cluster.connect_timeout = Some(connect_timeout);
    cluster
}

fn sds_cluster(config: &AgentConfig) -> Cluster {
    let socket = sds_socket(&config.runtime_dir).to_string_lossy().into_owned();
    let mut cluster = plain_cluster(SDS_CLUSTER, Address::Pipe(socket.into()), Duration::from_secs(1));
    cluster.protocol = HttpProtocol::Http2;
    cluster
}

fn xds_cluster(config: &AgentConfig) -> Cluster {
    let mut cluster = plain_cluster(XDS_CLUSTER, address(&config.control_address), Duration::from_secs(1));
    cluster.protocol = HttpProtocol::Http2;
    cluster.tls = Some(control_tls(config));
    cluster.thresholds = Thresholds::UNLIMITED;
    cluster.tcp_keepalive = Some(TcpKeepalive { time: Some(300), ..TcpKeepalive::default() });
    cluster
}

/// `HOST:PORT`; without a port it is Istio's 15012.
fn address(text: &str) -> Address {
    if let Ok(socket) = text.parse() {
        return Address::Socket(socket);
    }
    let (host, port) = text
        .rsplit_once(':')
        .and_then(|(host, port)| Some((host, port.parse().ok()?)))
        .unwrap_or((text, 15012));
    match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(ip) => Address::Socket(SocketAddr::new(ip, port)),
        Err(_) => Address::Name { host: host.into(), port },
    }
}

/// One path of the proxy's, sent on to one cluster.
fn static_listener(name: &str, stat_prefix: &str, port: u16, path: &str, cluster: &str) -> Listener {
    let route = Route::new(RouteMatch::prefix(path), RouteAction::Forward(Forward::to(cluster)));
    let host = VirtualHost {
        name: "backend".into(),
        domains: vec!["*".into()],
        routes: vec![route],
        ..VirtualHost::default()
    };
    let routes =
        RouteConfig { name: name.into(), virtual_hosts: vec![Arc::new(host)], ..RouteConfig::default() };
    let manager = HttpConnectionManager {
        stat_prefix: stat_prefix.into(),
        routes: RouteSource::Inline(Arc::new(routes)),
        ..HttpConnectionManager::default()
    };
    Listener {
        name: name.into(),
        address: Address::Socket(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))),
        additional_addresses: Vec::new(),
        bind_to_port: true,
        use_original_dst: false,
        direction: ir::Direction::Unspecified,
        listener_filters: Vec::new(),
        listener_filters_timeout: None,
        continue_on_listener_filters_timeout: false,
        filter_chains: vec![FilterChain {
            name: Str::default(),
            matches: FilterChainMatch::default(),
            tls: None,
            transport_socket_connect_timeout: None,
            filters: Vec::new(),
            terminal: Terminal::Http(Box::new(manager)),
            origin: None,
        }],
        default_filter_chain: None,
        access_log: Vec::new(),
        origin: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::example;

    #[test]
    fn addresses_are_read() {
        let name = |host: &str, port| Address::Name { host: host.into(), port };
        assert_eq!(address("10.0.0.1:15012"), Address::Socket("10.0.0.1:15012".parse().unwrap()));
        assert_eq!(address("10.0.0.1"), Address::Socket("10.0.0.1:15012".parse().unwrap()));
        assert_eq!(address("[::1]:1"), Address::Socket("[::1]:1".parse().unwrap()));
        assert_eq!(address("istiod.istio-system.svc:15012"), name("istiod.istio-system.svc", 15012));
        assert_eq!(address("istiod"), name("istiod", 15012));
    }

    #[test]
    fn envoy_gets_istios_static_resources_and_our_proxy_only_what_it_needs() {
        let config = example();
        let for_envoy = bootstrap(&config, true);
        let names = |bootstrap: &Bootstrap| -> Vec<String> {
            bootstrap.clusters.iter().map(|cluster| cluster.name.to_string()).collect()
        };
        assert_eq!(names(&for_envoy), ["prometheus_stats", "agent", "sds-grpc", "xds-grpc"]);
        assert_eq!(for_envoy.listeners.len(), 2);
        assert_eq!(for_envoy.node.cluster.as_str(), "reviews.shop");
        let ours = bootstrap(&config, false);
        assert_eq!(names(&ours), ["sds-grpc", "xds-grpc"]);
        assert!(ours.listeners.is_empty() && ours.lds.is_some() && ours.cds.is_some());
        assert!(ours.overload.is_none());
        let limited = bootstrap(&AgentConfig { max_connections: Some(7), ..example() }, true);
        assert_eq!(limited.overload.and_then(|overload| overload.max_connections), Some(7));
        let tls = ours.clusters[1].tls.as_ref().unwrap();
        assert_eq!(tls.sni.as_deref(), Some("istiod.istio-system.svc"));
    }
}
