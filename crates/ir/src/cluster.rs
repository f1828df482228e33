//! Clusters: a set of endpoints and how to talk to them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use model::Origin;
use stdx::Str;

use crate::dns_cache::ForwardProxy;
use crate::http::Http2Options;
use crate::lb::{CommonLb, LbSubsets, LeastRequest, SlowStart};
use crate::{
    ConfigSource, Dns, Fraction, HealthCheck, LbPolicy, LoadAssignment, OutlierDetection, UpstreamTls,
};

/// `envoy.config.cluster.v3.Cluster`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cluster {
    pub name: Str,
    pub alt_stat_name: Option<Str>,
    pub discovery: ClusterDiscovery,
    /// `None` is Envoy's default of 5 s.
    pub connect_timeout: Option<Duration>,
    pub lb_policy: LbPolicy,
    /// With [`LbPolicy::LeastRequest`].
    pub least_request: LeastRequest,
    /// With [`LbPolicy::RoundRobin`] and [`LbPolicy::LeastRequest`].
    pub slow_start: Option<SlowStart>,
    pub common_lb: CommonLb,
    pub subsets: Option<Box<LbSubsets>>,
    pub outlier: Option<Box<OutlierDetection>>,
    /// An endpoint is healthy if all say so.
    pub health_checks: Vec<HealthCheck>,
    /// An endpoint that leaves goes at once, instead of staying until a check fails.
    pub ignore_health_on_host_removal: bool,
    /// Connections are closed when a health check fails.
    pub close_connections_on_health_failure: bool,
    /// With [`ClusterDiscovery::StrictDns`] and [`ClusterDiscovery::LogicalDns`].
    pub dns: Dns,
    /// With [`ClusterDiscovery::OriginalDst`].
    pub original_dst: OriginalDst,
    pub protocol: HttpProtocol,
    /// TLS for endpoints that no entry of `transport_matches` fits; `None` is plaintext.
    pub tls: Option<UpstreamTls>,
    /// The first whose criteria the endpoint's metadata has wins (auto mTLS).
    pub transport_matches: Vec<TransportMatch>,
    /// In place of the server name and beside the names that these transports expect.
    pub tls_from_request: Option<Box<TlsFromRequest>>,
    /// With `tls`: what connections begin with, before TLS.
    pub proxy_protocol: Option<ProxyProtocol>,
    pub thresholds: Thresholds,
    /// Of routes with the priority HIGH. `None`: Envoy's defaults.
    pub high_thresholds: Option<Thresholds>,
    /// Source address of connections (127.0.0.6 towards the own application).
    pub bind_source: Option<IpAddr>,
    /// `SO_MARK` of connections.
    pub socket_mark: Option<u32>,
    pub tcp_keepalive: Option<TcpKeepalive>,
    /// Upstream connections are closed after this many requests. `None`: no limit.
    pub max_requests_per_connection: Option<u32>,
    /// Header lines of a response. `None` is Envoy's default of 100.
    pub max_headers_count: Option<u32>,
    /// KiB of a response's head. `None` is Envoy's default of 60.
    pub max_response_headers_kb: Option<u32>,
    /// After this time an upstream connection takes no more requests. Zero or `None`: no limit.
    pub max_connection_duration: Option<Duration>,
    /// Of an upstream connection without requests. `None` is Envoy's default of 1 h, zero is off.
    pub idle_timeout: Option<Duration>,
    /// As of a connection manager, and not where [`HttpProtocol::Http2`] is spoken.
    pub preserve_header_case: bool,
    /// Of connections that speak HTTP/2.
    pub http2: Http2Options,
    /// Services behind the cluster, from Istio's metadata, for metrics.
    pub services: Vec<Arc<ServiceRef>>,
    pub origin: Option<Origin>,
}

impl Cluster {
    /// A cluster with Envoy's defaults.
    pub fn new(name: impl Into<Str>, discovery: ClusterDiscovery) -> Self {
        Cluster {
            name: name.into(),
            alt_stat_name: None,
            discovery,
            connect_timeout: None,
            lb_policy: LbPolicy::RoundRobin,
            least_request: LeastRequest::default(),
            slow_start: None,
            common_lb: CommonLb::default(),
            subsets: None,
            outlier: None,
            health_checks: Vec::new(),
            ignore_health_on_host_removal: false,
            close_connections_on_health_failure: false,
            dns: Dns::default(),
            original_dst: OriginalDst::default(),
            protocol: HttpProtocol::Http1,
            tls: None,
            transport_matches: Vec::new(),
            tls_from_request: None,
            proxy_protocol: None,
            thresholds: Thresholds::default(),
            high_thresholds: None,
            bind_source: None,
            socket_mark: None,
            tcp_keepalive: None,
            max_requests_per_connection: None,
            max_headers_count: None,
            max_response_headers_kb: None,
            max_connection_duration: None,
            idle_timeout: None,
            preserve_header_case: false,
            http2: Http2Options::default(),
            services: Vec::new(),
            origin: None,
        }
    }

    /// Whether all transports with TLS judge the endpoint's certificate.
    pub fn judges_certificates(&self) -> bool {
        let of_matches = self.transport_matches.iter().filter_map(|one| one.tls.as_ref());
        let judges =
            |tls: &UpstreamTls| tls.common.validation.as_ref().is_some_and(|it| !it.accept_untrusted);
        self.tls.iter().chain(of_matches).all(judges)
    }
}

/// Server names that are those of the request: `envoy.config.core.v3.UpstreamHttpProtocolOptions`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TlsFromRequest {
    /// Asked for.
    pub sni: bool,
    /// Expected in the certificate. Only with transports that judge it.
    pub san_validation: bool,
    /// With the name, if it is there; else the request's host has it.
    pub header: Option<Str>,
}

/// Where endpoints come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ClusterDiscovery {
    /// Addresses, no host names.
    Static(LoadAssignment),
    /// Every address that a name resolves to is an endpoint.
    StrictDns(LoadAssignment),
    /// One endpoint; each connection goes to the address that its name resolved to last.
    LogicalDns(LoadAssignment),
    /// By discovery, under this name (the cluster's own if `None`).
    Eds { service_name: Option<Str>, source: ConfigSource },
    /// The connection's original destination, whatever it is.
    OriginalDst,
    /// Whatever host a request or a TLS client names, as it resolves.
    DynamicForwardProxy(Box<ForwardProxy>),
}

impl ClusterDiscovery {
    /// The endpoints that are part of the cluster itself.
    pub fn assignment(&self) -> Option<&LoadAssignment> {
        match self {
            ClusterDiscovery::Static(assignment)
            | ClusterDiscovery::StrictDns(assignment)
            | ClusterDiscovery::LogicalDns(assignment) => Some(assignment),
            ClusterDiscovery::Eds { .. }
            | ClusterDiscovery::OriginalDst
            | ClusterDiscovery::DynamicForwardProxy(_) => None,
        }
    }
}

/// With [`ClusterDiscovery::OriginalDst`].
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OriginalDst {
    /// A request says in this header where it goes (`use_http_header`). Lower case.
    pub header: Option<Str>,
    pub port_override: Option<u16>,
}

/// The PROXY protocol's header, as <https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt> has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProxyProtocol {
    V1,
    V2,
}

/// What HTTP is spoken to endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HttpProtocol {
    Http1,
    Http2,
    /// What the client spoke to us.
    UseDownstream,
    /// What ALPN says.
    Auto,
}

/// One of several transports of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TransportMatch {
    pub name: Str,
    /// What the endpoint's `envoy.transport_socket_match` metadata must have; empty fits all.
    pub criteria: BTreeMap<Str, Str>,
    /// `None` is plaintext.
    pub tls: Option<UpstreamTls>,
    /// What connections begin with, before TLS.
    pub proxy_protocol: Option<ProxyProtocol>,
}

/// Circuit breakers of one priority. `None` is Envoy's default (1024, retries 3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Thresholds {
    pub max_connections: Option<u32>,
    pub max_pending_requests: Option<u32>,
    pub max_requests: Option<u32>,
    /// Without effect beside `retry_budget`.
    pub max_retries: Option<u32>,
    pub retry_budget: Option<RetryBudget>,
    /// Gauges say what is left.
    pub track_remaining: bool,
}

/// Retries in flight as a share of the requests in flight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RetryBudget {
    /// `None` is 20 %.
    pub budget: Option<Fraction>,
    /// Not those in flight, but those that began in this time count. `None` or zero: those in flight.
    pub interval: Option<Duration>,
    /// Allowed in any case. `None` is 3.
    pub min_retry_concurrency: Option<u32>,
}

impl Thresholds {
    /// Istio's default: nothing is limited.
    pub const UNLIMITED: Thresholds = Thresholds {
        max_connections: Some(u32::MAX),
        max_pending_requests: Some(u32::MAX),
        max_requests: Some(u32::MAX),
        max_retries: Some(u32::MAX),
        retry_budget: None,
        track_remaining: false,
    };
}

/// `None` leaves the system's setting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TcpKeepalive {
    pub probes: Option<u32>,
    /// Seconds.
    pub time: Option<u32>,
    /// Seconds.
    pub interval: Option<u32>,
}

/// A service as Istio's metrics name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceRef {
    pub host: Str,
    pub name: Str,
    pub namespace: Str,
}
