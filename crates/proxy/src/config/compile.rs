//! From `ir` to what runs: expressions, chains, TLS settings, access log formats.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bytes::Bytes;
use engine::Problem;
use engine::balance::EndpointSet;
use engine::names::Answers;
use engine::overrides::RbacRules;
use engine::rate_limit::RateLimit;
use identity::{ClientTls, SecretStore, ServerTls};
use ir::cluster::ProxyProtocol;
use ir::ext_authz::AuthzService;
use ir::filter::Reporter;
use ir::http::RouteSource;
use ir::jwt::Jwks;
use ir::listener::ListenerFilter;
use ir::tls::DataSource;
use ir::{Address, Direction, FilterChain, HttpConnectionManager, LoadAssignment, UpstreamTls};
use stdx::Str;
use upstream::{Destination, Named};

use super::refuse;
use super::routes::{self, Routes};
use super::snapshot::{
    AlpnOverride, Chain, Cluster, FaultFilter, Hcm, HttpFilter, Inspect, Listener, NetworkFilter,
    ProxyProtocolFilter, RbacFilter, Switch, Tcp, Terminal, Transport, chain_name, transport_index,
};
use crate::access_log;
use crate::balance::Balance;
use crate::connection::ConnectionLimit;
use crate::format::Values;
use crate::http::filters::ext_authz::ExtAuthz;
use crate::http::filters::health_check::HealthCheck;
use crate::http::filters::jwt_authn::JwtAuthn;

/// Compiles a listener.
///
/// # Errors
/// What cannot be compiled, by field.
pub fn listener(config: &Arc<ir::Listener>, secrets: &SecretStore) -> Result<Listener, Problem> {
    engine::chain::check(config)?;
    let numbered = config.filter_chains.iter().enumerate();
    let mut chains: Vec<Arc<Chain>> = numbered
        .map(|(i, chain)| {
            self::chain(chain, i, config.direction, secrets)
                .map_err(|p| p.inside(format!("filter_chains[{i}]")))
        })
        .collect::<Result<_, _>>()?;
    if let Some(default) = &config.default_filter_chain {
        let index = config.filter_chains.len();
        let chain = self::chain(default, index, config.direction, secrets);
        chains.push(chain.map_err(|p| p.inside("default_filter_chain"))?);
    }
    let stat_prefix = match &config.address {
        Address::Socket(address) => address.to_string().replace(':', "_"),
        other => other.to_string().replace([':', '/'], "_"),
    };
    Ok(Listener {
        inspect: inspect(config),
        access_log: access_log::compile(&config.access_log)?,
        stat_prefix: stat_prefix.into(),
        chains,
        config: config.clone(),
    })
}

fn inspect(config: &ir::Listener) -> Inspect {
    let mut inspect = Inspect {
        timeout: match config.listener_filters_timeout {
            None => Some(Duration::from_secs(15)),
            Some(Duration::ZERO) => None,
            some => some,
        },
        continue_on_timeout: config.continue_on_listener_filters_timeout,
        original_dst: config.use_original_dst,
        ..Inspect::default()
    };
    for filter in &config.listener_filters {
        match filter {
            ListenerFilter::OriginalDst => inspect.original_dst = true,
            ListenerFilter::TlsInspector { disabled_ports } => inspect.tls = Some(disabled_ports.clone()),
            ListenerFilter::HttpInspector { disabled_ports } => inspect.http = Some(disabled_ports.clone()),
            ListenerFilter::ProxyProtocol { optional, disallowed } => {
                let disallowed = disallowed.clone();
                inspect.proxy_protocol = Some(ProxyProtocolFilter { optional: *optional, disallowed });
            }
        }
    }
    inspect
}

fn chain(
    config: &FilterChain,
    index: usize,
    direction: Direction,
    secrets: &SecretStore,
) -> Result<Arc<Chain>, Problem> {
    let tls = match &config.tls {
        Some(tls) => Some(Arc::new(
            ServerTls::new(tls, secrets).map_err(|e| Problem::new("transport_socket", e.to_string()))?,
        )),
        None => None,
    };
    let mut filters = Vec::new();
    let mut istio_stats = None;
    for (i, filter) in config.filters.iter().enumerate() {
        filters.push(match filter {
            ir::NetworkFilter::Rbac(it) => {
                NetworkFilter::Rbac(rbac(it).map_err(|p| p.inside(format!("filters[{i}]")))?)
            }
            ir::NetworkFilter::ConnectionLimit(it) => {
                NetworkFilter::ConnectionLimit(Arc::new(ConnectionLimit::new(it.clone())))
            }
            ir::NetworkFilter::IstioStats { reporter } => {
                istio_stats = Some(*reporter);
                NetworkFilter::IstioStats(*reporter)
            }
        });
    }
    let terminal = match &config.terminal {
        ir::Terminal::Http(http) => Terminal::Http(Arc::new(hcm(http, direction)?)),
        ir::Terminal::Tcp(tcp) => Terminal::Tcp(Arc::new(Tcp {
            access_log: access_log::compile(&tcp.access_log)?,
            config: tcp.clone(),
            istio_stats,
            direction,
        })),
        ir::Terminal::Direct(source) => {
            let field = || format!("filters[{}].response", config.filters.len());
            Terminal::Direct(bytes_of(source).map_err(|problem| problem.inside(field()))?)
        }
    };
    Ok(Arc::new(Chain {
        name: chain_name(config, index),
        tls,
        handshake_timeout: config.transport_socket_connect_timeout,
        filters,
        terminal,
    }))
}

/// A file is read once, as Envoy does.
fn bytes_of(source: &DataSource) -> Result<Bytes, Problem> {
    match source {
        DataSource::Inline(bytes) => Ok(bytes.clone().into()),
        DataSource::File(path) => match std::fs::read(path.as_str()) {
            Ok(bytes) => Ok(bytes.into()),
            Err(error) => Err(Problem::new("filename", format!("{path}: {error}"))),
        },
    }
}

fn rbac(it: &ir::RbacFilter) -> Result<RbacFilter, Problem> {
    let rules = RbacRules::compile(it)?;
    Ok(RbacFilter { stat_prefix: it.stat_prefix.clone(), rules, overridable: true })
}

fn hcm(config: &HttpConnectionManager, direction: Direction) -> Result<Hcm, Problem> {
    let mut filters = Vec::new();
    let mut values = Values::default();
    let (mut istio_stats, mut peer_metadata) = (None::<Reporter>, false);
    let mut switches: Vec<Switch> = Vec::new();
    for (i, filter) in config.http_filters.iter().enumerate() {
        let mark = config.filter_marks.get(&i);
        match filter {
            ir::HttpFilter::Rbac(it) => {
                let compiled = rbac(it).map_err(|p| p.inside(format!("http_filters[{i}]")))?;
                let overridable = mark.is_none_or(|mark| mark.name.is_none());
                filters.push(HttpFilter::Rbac(RbacFilter { overridable, ..compiled }));
            }
            ir::HttpFilter::Fault(it) => {
                let default = engine::fault::Fault::compile(it);
                let default = default.map_err(|p| p.inside(format!("http_filters[{i}]")))?;
                filters.push(HttpFilter::Fault(Arc::new(FaultFilter { default, active: AtomicU64::new(0) })));
            }
            ir::HttpFilter::Cors => filters.push(HttpFilter::Cors),
            ir::HttpFilter::LocalRateLimit(it) => {
                routes::rate_limit(&mut values, it).map_err(|p| p.inside(format!("http_filters[{i}]")))?;
                let compiled = RateLimit::compile(it);
                let compiled = compiled.map_err(|p| p.inside(format!("http_filters[{i}]")))?;
                filters.push(HttpFilter::LocalRateLimit(Arc::new(compiled)));
            }
            ir::HttpFilter::HeaderMutation(it) => {
                values.add_mutations(it).map_err(|p| p.inside(format!("http_filters[{i}]")))?;
                filters.push(HttpFilter::HeaderMutation(it.clone()));
            }
            ir::HttpFilter::Buffer { max_request_bytes } => {
                filters.push(HttpFilter::Buffer(*max_request_bytes));
            }
            ir::HttpFilter::JwtAuthn(it) => {
                let compiled = JwtAuthn::compile(it, &config.stat_prefix);
                let compiled = compiled.map_err(|p| p.inside(format!("http_filters[{i}]")))?;
                filters.push(HttpFilter::JwtAuthn(Arc::new(compiled)));
            }
            ir::HttpFilter::ExtAuthz(it) => {
                let compiled = ExtAuthz::compile(it, &config.stat_prefix);
                let compiled = compiled.map_err(|p| p.inside(format!("http_filters[{i}]")))?;
                filters.push(HttpFilter::ExtAuthz(Arc::new(compiled)));
            }
            ir::HttpFilter::Compressor(it) => {
                let compiled = engine::compressor::Rules::compile(it);
                let compiled = compiled.map_err(|p| p.inside(format!("http_filters[{i}]")))?;
                filters.push(HttpFilter::Compressor(Box::new(compiled)));
            }
            ir::HttpFilter::HealthCheck(it) => {
                let compiled = HealthCheck::compile(it);
                let compiled = compiled.map_err(|p| p.inside(format!("http_filters[{i}]")))?;
                filters.push(HttpFilter::HealthCheck(Arc::new(compiled)));
            }
            ir::HttpFilter::UpstreamAlpn { protocols } => {
                filters.push(HttpFilter::Alpn(AlpnOverride::Fixed(alpn(protocols))));
            }
            ir::HttpFilter::IstioAlpn { http10, http11, http2 } => {
                filters.push(HttpFilter::Alpn(AlpnOverride::ByProtocol {
                    http10: alpn(http10),
                    http11: alpn(http11),
                    http2: alpn(http2),
                }));
            }
            ir::HttpFilter::IstioStats { reporter } => istio_stats = Some(*reporter),
            ir::HttpFilter::PeerMetadata => peer_metadata = true,
            // It changes nothing of what happens to a request.
            ir::HttpFilter::GrpcStats => {}
        }
        if filters.len() > switches.len() {
            let name = mark.and_then(|mark| mark.name.clone()).unwrap_or_else(|| filter.own_name().into());
            switches.push(Switch { name, off: mark.is_some_and(|mark| mark.disabled) });
        }
    }
    let access_log = access_log::compile(&config.access_log)?;
    let inline_routes = match &config.routes {
        RouteSource::Inline(routes) => Some(Arc::new(Routes::compile(routes)?)),
        RouteSource::Rds(_) | RouteSource::RdsFrom(..) => None,
    };
    Ok(Hcm {
        encodes: filters.iter().any(HttpFilter::sees_responses),
        filters,
        some_off: switches.iter().any(|switch| switch.off),
        switches,
        access_log,
        values,
        inline_routes,
        routes: config.routes.key().unwrap_or_default(),
        max_headers_kb: config.max_request_headers_kb.unwrap_or(60),
        max_headers_count: config.max_headers_count.unwrap_or(100),
        server_name: config.server_name.clone().unwrap_or_else(|| Str::from("envoy")),
        direction,
        istio_stats,
        peer_metadata,
        config: config.clone(),
    })
}

fn alpn(protocols: &[Str]) -> Arc<[Str]> {
    protocols.into()
}

/// Compiles a cluster's settings; endpoints come with [`with_endpoints`].
///
/// # Errors
/// What cannot be compiled, by field.
pub fn cluster(
    config: &Arc<ir::Cluster>,
    secrets: &SecretStore,
    registry: &upstream::Registry,
) -> Result<Cluster, Problem> {
    refuse::cluster(config)?;
    let (transports, endpoints) = (transports(config, secrets)?, own_endpoints(config));
    Ok(with_destinations(Cluster {
        config: config.clone(),
        balance: Balance::new(config, &endpoints, &[]),
        endpoints: Arc::new(endpoints),
        transports,
        default_transport: transport_index(config, &BTreeMap::new()),
        mesh_alpn: offers_istio(config),
        state: registry.cluster(&config.name),
        destinations: Vec::new(),
    }))
}

/// Whether [`cluster`] would succeed, without its state.
///
/// # Errors
/// As [`cluster`].
pub fn check_cluster(config: &ir::Cluster, secrets: &SecretStore) -> Result<(), Problem> {
    refuse::cluster(config)?;
    transports(config, secrets).map(drop)
}

/// A cluster that no request can be sent to.
pub fn without_endpoints(config: &Arc<ir::Cluster>, registry: &upstream::Registry) -> Cluster {
    Cluster {
        config: config.clone(),
        balance: Balance::new(config, &EndpointSet::default(), &[]),
        endpoints: Arc::default(),
        transports: vec![Transport { tls: None, key: 0, mutual: false, proxy_protocol: None }],
        default_transport: 0,
        mesh_alpn: false,
        state: registry.cluster(&config.name),
        destinations: Vec::new(),
    }
}

/// Whether a transport of the cluster offers `istio`, as the mesh's mutual TLS does.
fn offers_istio(config: &ir::Cluster) -> bool {
    let matches = config.transport_matches.iter().filter_map(|found| found.tls.as_ref());
    matches.chain(&config.tls).any(|tls| tls.common.alpn.iter().any(|name| name.as_str() == "istio"))
}

/// As `transport_matches`, and last the default.
fn transports(config: &ir::Cluster, secrets: &SecretStore) -> Result<Vec<Transport>, Problem> {
    let matches = config.transport_matches.iter().enumerate();
    let mut transports: Vec<Transport> = matches
        .map(|(i, m)| {
            transport(m.tls.as_ref(), m.proxy_protocol, secrets, &format!("transport_socket_matches[{i}]"))
        })
        .collect::<Result<_, _>>()?;
    transports.push(transport(config.tls.as_ref(), config.proxy_protocol, secrets, "transport_socket")?);
    Ok(transports)
}

fn own_endpoints(config: &ir::Cluster) -> EndpointSet {
    config.discovery.assignment().map(EndpointSet::compile).unwrap_or_default()
}

fn transport(
    tls: Option<&UpstreamTls>,
    proxy_protocol: Option<ProxyProtocol>,
    secrets: &SecretStore,
    field: &str,
) -> Result<Transport, Problem> {
    // Connections of different settings are not shared.
    let key = match (tls, proxy_protocol) {
        (None, None) => 0,
        (Some(tls), None) => stdx::digest(tls).0 as u64 | 1,
        both => stdx::digest(&both).0 as u64 | 1,
    };
    let Some(tls) = tls else { return Ok(Transport { tls: None, key, mutual: false, proxy_protocol }) };
    let mutual = tls.common.certificate.is_some() && tls.common.validation.is_some();
    let client = ClientTls::new(tls, secrets).map_err(|e| Problem::new(field, e.to_string()))?;
    Ok(Transport { tls: Some(Arc::new(client)), key, mutual, proxy_protocol })
}

/// The same cluster with other endpoints. TLS settings and their sessions are shared.
/// `answers` is what names have resolved to, where they stay names.
pub fn with_endpoints(cluster: &Cluster, assignment: &LoadAssignment, answers: Option<&Answers>) -> Cluster {
    let endpoints = Arc::new(EndpointSet::compile(assignment));
    place(Cluster { endpoints, destinations: Vec::new(), ..cluster.clone() }, answers)
}

/// The new settings with the TLS contexts (and so the sessions) of the old ones, where TLS did
/// not change.
pub fn carry_over(new: Cluster, old: &Cluster) -> Cluster {
    let held = |transport: &Transport| old.transports.iter().find(|t| t.key == transport.key).cloned();
    let transports = new.transports.iter().map(|t| held(t).unwrap_or_else(|| t.clone())).collect();
    with_destinations(Cluster { transports, ..new })
}

fn with_destinations(cluster: Cluster) -> Cluster {
    place(cluster, None)
}

fn place(mut cluster: Cluster, answers: Option<&Answers>) -> Cluster {
    let of = |endpoint: &ir::Endpoint| {
        let transport = transport_index(&cluster.config, &endpoint.transport_metadata);
        let named = named(endpoint, answers).map(Arc::new);
        Destination { named, ..cluster.destination(&endpoint.address, transport) }
    };
    cluster.destinations = cluster.endpoints.endpoints().iter().map(of).collect();
    cluster.balance = Balance::new(&cluster.config, &cluster.endpoints, &cluster.destinations);
    cluster
}

/// What an endpoint is called, and where its name leads.
fn named(endpoint: &ir::Endpoint, answers: Option<&Answers>) -> Option<Named> {
    let (name, addresses) = match &endpoint.address {
        Address::Name { host, port } => {
            let found = answers.and_then(|answers| answers.get(host)).map_or(&[][..], |found| found);
            (host, found.iter().map(|ip| SocketAddr::new(*ip, *port)).collect())
        }
        Address::Socket(_) | Address::Pipe(_) => (&endpoint.hostname, Vec::new()),
    };
    let hostname = if endpoint.hostname.is_empty() { name } else { &endpoint.hostname };
    (!hostname.is_empty()).then(|| Named { hostname: hostname.clone(), addresses })
}

/// Names of clusters that a listener's TCP proxies and inline routes send to, and what the route
/// configurations that it asks for are kept under.
pub fn names_of(config: &ir::Listener) -> (Vec<Str>, Vec<Str>) {
    let (mut clusters, mut routes) = (Vec::new(), Vec::new());
    for chain in config.filter_chains.iter().chain(&config.default_filter_chain) {
        match &chain.terminal {
            ir::Terminal::Tcp(tcp) => match &tcp.clusters {
                ir::tcp::TcpClusters::Single(name) => clusters.push(name.clone()),
                ir::tcp::TcpClusters::Weighted(all) => {
                    clusters.extend(all.iter().map(|(name, _)| name.clone()))
                }
            },
            ir::Terminal::Http(http) => {
                clusters.extend(http.http_filters.iter().flat_map(asked));
                match &http.routes {
                    RouteSource::Rds(_) | RouteSource::RdsFrom(..) => routes.extend(http.routes.key()),
                    RouteSource::Inline(config) => {
                        clusters.extend(config.virtual_hosts.iter().flat_map(|host| clusters_of(host)))
                    }
                }
            }
            ir::Terminal::Direct(_) => {}
        }
    }
    (clusters, routes)
}

/// Where the routes of a listener's connection managers come from.
pub fn route_sources(config: &ir::Listener) -> impl Iterator<Item = &RouteSource> {
    let chains = config.filter_chains.iter().chain(&config.default_filter_chain);
    chains.filter_map(|chain| match &chain.terminal {
        ir::Terminal::Http(http) => Some(&http.routes),
        ir::Terminal::Tcp(_) | ir::Terminal::Direct(_) => None,
    })
}

/// Whether some come from elsewhere than the aggregated stream.
pub fn has_routes_elsewhere(config: &ir::Listener) -> bool {
    route_sources(config).any(|source| matches!(source, RouteSource::RdsFrom(..)))
}

/// Names of clusters that a filter asks.
fn asked(filter: &ir::HttpFilter) -> Vec<Str> {
    match filter {
        ir::HttpFilter::ExtAuthz(it) => match &it.service {
            AuthzService::Grpc(it) => vec![it.cluster.clone()],
            AuthzService::Http(it) => vec![it.cluster.clone()],
        },
        ir::HttpFilter::JwtAuthn(it) => {
            let remote = it.providers.values().filter_map(|provider| match &provider.jwks {
                Jwks::Remote(remote) => Some(remote.cluster.clone()),
                Jwks::Inline(_) => None,
            });
            remote.collect()
        }
        _ => Vec::new(),
    }
}

/// Names of clusters that a virtual host's routes send to.
pub fn clusters_of(vhost: &ir::VirtualHost) -> Vec<Str> {
    vhost.clusters().cloned().collect()
}
