//! What workers run: compiled resources, immutable, one `Arc` each, in persistent maps, so that
//! a change of one cluster costs one cluster.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bytes::Bytes;
use engine::balance::EndpointSet;
use engine::overrides::{Overrides, RbacRules};
use engine::rate_limit::RateLimit;
use identity::{ClientTls, ServerTls};
use ir::cluster::ProxyProtocol;
use ir::filter::Reporter;
use ir::{Address, Direction, FilterChain, HttpConnectionManager, TcpProxy};
use stdx::Str;
use upstream::{ClusterState, Destination, Named};

use super::lazy::LazyCluster;
use super::routes::Routes;
use crate::access_log::AccessLog;
use crate::balance::Balance;
use crate::connection::ConnectionLimit;
use crate::format::{Asks, Values};
use crate::forward_proxy::Cache;
use crate::http::filters::compressor::Compression;
use crate::http::filters::ext_authz::ExtAuthz;
use crate::http::filters::health_check::HealthCheck;
use crate::http::filters::jwt_authn::JwtAuthn;
use crate::http::local_reply::LocalReplies;

/// A persistent map: cloning shares it, a change copies a few nodes.
pub type Map<K, V> =
    imbl::GenericHashMap<K, V, foldhash::fast::RandomState, imbl::shared_ptr::DefaultSharedPtr>;

/// One state of the configuration. Old ones are freed on the admin thread.
#[derive(Clone, Default)]
pub struct Snapshot {
    pub version: u64,
    pub listeners: Map<Str, Arc<Listener>>,
    /// Names of listeners by address, bound or not; a wildcard address is a key like any other.
    pub by_address: Map<SocketAddr, Arc<Listener>>,
    pub routes: Map<Str, Arc<Routes>>,
    pub clusters: Map<Str, Arc<LazyCluster>>,
}

impl Snapshot {
    /// A cluster, for a request.
    pub fn cluster(&self, name: &str) -> Option<&Arc<Cluster>> {
        self.clusters.get(name).map(|cluster| cluster.get())
    }

    /// The listener that takes a connection handed over for `destination`: the exact address,
    /// else the wildcard address of its family.
    pub fn listener_for(&self, destination: SocketAddr) -> Option<&Arc<Listener>> {
        let wildcard = match destination {
            SocketAddr::V4(_) => SocketAddr::from(([0, 0, 0, 0], destination.port())),
            SocketAddr::V6(_) => SocketAddr::from(([0u16; 8], destination.port())),
        };
        let found = self.by_address.get(&destination).or_else(|| self.by_address.get(&wildcard));
        // Istio writes wildcard listeners for IPv4 alone; they serve IPv6 pods, too.
        found.or_else(|| {
            let v4 = SocketAddr::from(([0, 0, 0, 0], destination.port()));
            destination.is_ipv6().then(|| self.by_address.get(&v4)).flatten()
        })
    }
}

/// A compiled [`ir::Listener`].
pub struct Listener {
    pub config: Arc<ir::Listener>,
    /// As `filter_chains`; the default chain is last, if there is one.
    pub chains: Vec<Arc<Chain>>,
    pub inspect: Inspect,
    pub access_log: Arc<[AccessLog]>,
    /// `listener.<this>.…` in statistics: the address with `_` for `:`.
    pub stat_prefix: Str,
}

/// What listener filters do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspect {
    pub original_dst: bool,
    pub proxy_protocol: Option<ProxyProtocolFilter>,
    /// `None`: no such filter; else the ports it is switched off for.
    pub tls: Option<Vec<u16>>,
    pub http: Option<Vec<u16>>,
    /// `None`: no limit.
    pub timeout: Option<Duration>,
    pub continue_on_timeout: bool,
}

/// [`ir::listener::ListenerFilter::ProxyProtocol`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyProtocolFilter {
    pub optional: bool,
    pub disallowed: Vec<ProxyProtocol>,
}

impl Listener {
    /// The chain for a choice of [`engine::chain::select`].
    pub fn chain(&self, chosen: engine::chain::Chosen) -> Option<&Arc<Chain>> {
        match chosen {
            engine::chain::Chosen::Chain(index) => self.chains.get(index),
            engine::chain::Chosen::Default => self.chains.get(self.config.filter_chains.len()),
            engine::chain::Chosen::None | engine::chain::Chosen::Ambiguous => None,
        }
    }

    /// The chain of this name, as it is now.
    pub fn chain_named(&self, name: &str) -> Option<&Arc<Chain>> {
        self.chains.iter().find(|chain| chain.name == name)
    }

    /// Its addresses, as far as they are of IP.
    pub fn sockets(&self) -> impl Iterator<Item = SocketAddr> {
        self.config.addresses().filter_map(|address| match address {
            Address::Socket(address) => Some(*address),
            Address::Pipe(_) | Address::Name { .. } => None,
        })
    }

    pub fn direction(&self) -> Direction {
        self.config.direction
    }
}

/// A compiled [`FilterChain`].
pub struct Chain {
    pub name: Str,
    pub tls: Option<Arc<ServerTls>>,
    pub handshake_timeout: Option<Duration>,
    pub filters: Vec<NetworkFilter>,
    pub terminal: Terminal,
}

pub enum NetworkFilter {
    Rbac(RbacFilter),
    ConnectionLimit(Arc<ConnectionLimit>),
    IstioStats(Reporter),
}

pub enum Terminal {
    Http(Arc<Hcm>),
    Tcp(Arc<Tcp>),
    /// These bytes, then the end.
    Direct(Bytes),
}

/// A compiled [`HttpConnectionManager`].
pub struct Hcm {
    pub config: HttpConnectionManager,
    pub filters: Vec<HttpFilter>,
    /// As the filters.
    pub switches: Vec<Switch>,
    /// Some filter is off, where no route says anything.
    pub some_off: bool,
    pub access_log: Arc<[AccessLog]>,
    /// Where the routes are part of the listener.
    pub inline_routes: Option<Arc<Routes>>,
    /// What those that are discovered are kept under.
    pub routes: Str,
    /// Formats in its filters.
    pub values: Values,
    /// What becomes of answers of our own; most have none of it.
    pub local_reply: Option<Box<LocalReplies>>,
    pub max_headers_kb: u32,
    pub max_headers_count: u32,
    pub server_name: Str,
    pub direction: Direction,
    /// `istio.stats`, if it is among the filters.
    pub istio_stats: Option<Reporter>,
    pub peer_metadata: bool,
    /// Some filter sees responses.
    pub encodes: bool,
    /// What its logs and formats tell of.
    pub asks: Asks,
}

impl Hcm {
    /// Whether a filter is off for a request; `levels` are its route's, the most specific first.
    pub fn is_off<'a>(&self, filter: usize, mut levels: impl Iterator<Item = &'a Overrides>) -> bool {
        let (Some(switch), Some(filter)) = (self.switches.get(filter), self.filters.get(filter)) else {
            return false;
        };
        let said = levels.find_map(|level| {
            let off = level.config.off.contains(&switch.name).then_some(true);
            off.or_else(|| filter.is_configured(&level.config).then_some(false))
        });
        said.unwrap_or(switch.off)
    }
}

pub enum HttpFilter {
    Rbac(RbacFilter),
    Fault(Arc<FaultFilter>),
    Cors,
    LocalRateLimit(Arc<RateLimit>),
    HeaderMutation(Box<ir::HeaderMutation>),
    /// Bytes.
    Buffer(u32),
    Alpn(AlpnOverride),
    ExtAuthz(Arc<ExtAuthz>),
    JwtAuthn(Arc<JwtAuthn>),
    Compressor(Box<Compression>),
    HealthCheck(Arc<HealthCheck>),
    DynamicForwardProxy(Box<ir::DnsCache>),
}

impl HttpFilter {
    /// Whether a level of the routes configures it.
    fn is_configured(&self, it: &ir::FilterOverrides) -> bool {
        match self {
            HttpFilter::Rbac(filter) => filter.overridable && it.rbac.is_some(),
            HttpFilter::Fault(_) => it.fault.is_some(),
            HttpFilter::Cors => it.cors.is_some(),
            HttpFilter::LocalRateLimit(_) => it.local_rate_limit.is_some(),
            HttpFilter::HeaderMutation(_) => it.header_mutation.is_some(),
            HttpFilter::Buffer(_) => it.buffer.is_some(),
            HttpFilter::ExtAuthz(_) => it.ext_authz.is_some(),
            HttpFilter::JwtAuthn(_) => it.jwt.is_some(),
            HttpFilter::Compressor(filter) => it.compressors.contains_key(&filter.name),
            HttpFilter::DynamicForwardProxy(_) => it.forward_proxy.is_some(),
            HttpFilter::Alpn(_) | HttpFilter::HealthCheck(_) => false,
        }
    }

    /// Whether responses pass it, too.
    pub fn sees_responses(&self) -> bool {
        match self {
            HttpFilter::Cors
            | HttpFilter::LocalRateLimit(_)
            | HttpFilter::HeaderMutation(_)
            | HttpFilter::Compressor(_)
            | HttpFilter::HealthCheck(_)
            | HttpFilter::ExtAuthz(_) => true,
            HttpFilter::Rbac(_)
            | HttpFilter::Fault(_)
            | HttpFilter::Buffer(_)
            | HttpFilter::Alpn(_)
            | HttpFilter::DynamicForwardProxy(_)
            | HttpFilter::JwtAuthn(_) => false,
        }
    }
}

/// Compiled [`ir::RbacFilter`].
pub struct RbacFilter {
    pub stat_prefix: Str,
    pub rules: RbacRules,
    /// It has the name by which routes may replace its rules.
    pub overridable: bool,
}

/// How routes switch a filter on and off.
#[derive(Debug)]
pub struct Switch {
    pub name: Str,
    /// Off, where no route says anything.
    pub off: bool,
}

/// The fault for routes that say nothing, and how many are under way. Only injected faults touch the
/// number that workers share.
pub struct FaultFilter {
    pub default: engine::fault::Fault,
    pub active: AtomicU64,
}

/// What ALPN the upstream connection offers if it is TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlpnOverride {
    Fixed(Arc<[Str]>),
    ByProtocol { http10: Arc<[Str]>, http11: Arc<[Str]>, http2: Arc<[Str]> },
}

/// A compiled [`TcpProxy`].
pub struct Tcp {
    pub config: TcpProxy,
    pub access_log: Arc<[AccessLog]>,
    pub istio_stats: Option<Reporter>,
    pub direction: Direction,
    /// `sni_dynamic_forward_proxy`: the name to go to is the TLS client's.
    pub forward_proxy: Option<Box<ir::dns_cache::SniForwardProxy>>,
}

/// A compiled cluster with its endpoints of the moment.
#[derive(Clone)]
pub struct Cluster {
    pub config: Arc<ir::Cluster>,
    pub endpoints: Arc<EndpointSet>,
    pub balance: Balance,
    /// As `transport_matches`, and last the default.
    pub transports: Vec<Transport>,
    /// The index of the transport of an address without metadata.
    pub default_transport: usize,
    /// Some transport is the mesh's own TLS, the only one that knows Istio's names of protocols: a server
    /// outside may refuse what it does not know (RFC 7301, section 3.2).
    pub mesh_alpn: bool,
    /// Counters shared by all workers; they outlive snapshots.
    pub state: Arc<ClusterState>,
    /// As the endpoints of the set.
    pub destinations: Vec<Destination>,
    /// In place of endpoints: where names lead that requests bring along.
    pub forward_proxy: Option<Arc<Cache>>,
}

/// How bytes get to an endpoint.
#[derive(Clone)]
pub struct Transport {
    pub tls: Option<Arc<ClientTls>>,
    /// Stands for the settings: connections of different ones are not shared.
    pub key: u64,
    /// We present a certificate, and check the server's.
    pub mutual: bool,
    pub proxy_protocol: Option<ProxyProtocol>,
}

impl Cluster {
    /// Where an address leads that is no endpoint (original destination).
    pub fn destination_of(&self, to: SocketAddr) -> Destination {
        self.destination(&ir::Address::Socket(to), self.default_transport)
    }

    /// Where a name leads that somebody has brought along.
    pub fn destination_named(&self, host: &str, port: u16, named: Arc<Named>) -> Destination {
        let address = ir::Address::Name { host: host.into(), port };
        Destination { named: Some(named), ..self.destination(&address, self.default_transport) }
    }

    pub(super) fn destination(&self, address: &ir::Address, transport: usize) -> Destination {
        // `compile` puts the default last, so that there is always one.
        let transport = &self.transports[transport.min(self.transports.len() - 1)];
        Destination {
            config: self.config.clone(),
            cluster: self.state.clone(),
            endpoint: self.state.endpoint(address),
            tls: transport.tls.clone(),
            transport_key: transport.key,
            proxy_protocol: transport.proxy_protocol,
            named: None,
        }
    }

    /// Whether we show a certificate on the way there.
    pub fn is_mutual(&self, to: &Destination) -> bool {
        self.transports.iter().any(|transport| transport.mutual && transport.key == to.transport_key)
    }

    pub fn connect_timeout(&self) -> Duration {
        self.config.connect_timeout.unwrap_or(Duration::from_secs(5))
    }
}

/// The first match whose criteria the metadata has; else the index after the last.
pub fn transport_index(cluster: &ir::Cluster, metadata: &std::collections::BTreeMap<Str, Str>) -> usize {
    let fits = |m: &ir::cluster::TransportMatch| m.criteria.iter().all(|(k, v)| metadata.get(k) == Some(v));
    cluster.transport_matches.iter().position(fits).unwrap_or(cluster.transport_matches.len())
}

/// The name of a filter chain to configurations that give none.
pub fn chain_name(chain: &FilterChain, index: usize) -> Str {
    if chain.name.is_empty() { Str::from(format!("#{index}")) } else { chain.name.clone() }
}
