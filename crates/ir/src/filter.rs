//! Filters before the terminal one.

use std::collections::BTreeMap;
use std::time::Duration;

use stdx::Str;

use crate::dns_cache::SniForwardProxy;
use crate::{
    Compressor, DnsCache, ExtAuthz, Fault, Fraction, HeaderMatcher, HeaderMutation, JwtAuthn, LocalRateLimit,
    Rbac,
};

/// HTTP filters, run per request in their order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HttpFilter {
    /// `envoy.filters.http.rbac`.
    Rbac(RbacFilter),
    /// `envoy.filters.http.fault`: applies what the route says, else this.
    Fault(Box<Fault>),
    /// `envoy.filters.http.set_filter_state` on `envoy.network.application_protocols`: the ALPN
    /// that the upstream connection offers if it is TLS. Stock Envoy's way to what Istio's
    /// `istio.alpn` does.
    UpstreamAlpn { protocols: Vec<Str> },
    /// Istio's `istio.alpn`, by the protocol spoken upstream. Lateen only.
    IstioAlpn { http10: Vec<Str>, http11: Vec<Str>, http2: Vec<Str> },
    /// `istio.stats` and peer metadata: record Istio's standard metrics. Lateen only.
    IstioStats { reporter: Reporter },
    /// `envoy.filters.http.peer_metadata`: send who we are to the peer, read who it is, both only
    /// inside mutual TLS of one trust domain. Lateen only.
    PeerMetadata,
    /// `envoy.filters.http.grpc_stats`.
    GrpcStats,
    /// `envoy.filters.http.cors`: applies the route's policy.
    Cors,
    /// `envoy.filters.http.jwt_authn`.
    JwtAuthn(Box<JwtAuthn>),
    /// `envoy.filters.http.local_ratelimit`.
    LocalRateLimit(Box<LocalRateLimit>),
    /// `envoy.filters.http.ext_authz`.
    ExtAuthz(Box<ExtAuthz>),
    /// `envoy.filters.http.header_mutation`.
    HeaderMutation(Box<HeaderMutation>),
    /// `envoy.filters.http.compressor`.
    Compressor(Box<Compressor>),
    /// `envoy.filters.http.buffer`: a request goes on once it is wholly here; longer ones get 413.
    Buffer { max_request_bytes: u32 },
    /// `envoy.filters.http.health_check`.
    HealthCheck(Box<HealthCheckFilter>),
    /// `envoy.filters.http.dynamic_forward_proxy`: resolves the host of requests for clusters that do not know
    /// theirs.
    DynamicForwardProxy(Box<DnsCache>),
}

impl HttpFilter {
    /// The name of its extension, by which routes configure it.
    pub fn own_name(&self) -> &'static str {
        match self {
            HttpFilter::Rbac(_) => "envoy.filters.http.rbac",
            HttpFilter::Fault(_) => "envoy.filters.http.fault",
            HttpFilter::UpstreamAlpn { .. } => "envoy.filters.http.set_filter_state",
            HttpFilter::IstioAlpn { .. } => "istio.alpn",
            HttpFilter::IstioStats { .. } => "istio.stats",
            HttpFilter::PeerMetadata => "envoy.filters.http.peer_metadata",
            HttpFilter::GrpcStats => "envoy.filters.http.grpc_stats",
            HttpFilter::Cors => "envoy.filters.http.cors",
            HttpFilter::JwtAuthn(_) => "envoy.filters.http.jwt_authn",
            HttpFilter::LocalRateLimit(_) => "envoy.filters.http.local_ratelimit",
            HttpFilter::ExtAuthz(_) => "envoy.filters.http.ext_authz",
            HttpFilter::HeaderMutation(_) => "envoy.filters.http.header_mutation",
            HttpFilter::Compressor(_) => "envoy.filters.http.compressor",
            HttpFilter::Buffer { .. } => "envoy.filters.http.buffer",
            HttpFilter::HealthCheck(_) => "envoy.filters.http.health_check",
            HttpFilter::DynamicForwardProxy(_) => "envoy.filters.http.dynamic_forward_proxy",
        }
    }
}

/// Rules that are enforced, and rules that are only counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RbacFilter {
    pub stat_prefix: Str,
    /// `None`: nothing is enforced.
    pub rules: Option<Rbac>,
    pub shadow_rules: Option<Rbac>,
    pub shadow_stat_prefix: Str,
}

impl RbacFilter {
    /// Rules to be enforced.
    pub fn enforce(stat_prefix: impl Into<Str>, rules: Rbac) -> Self {
        RbacFilter { stat_prefix: stat_prefix.into(), rules: Some(rules), ..RbacFilter::default() }
    }
}

/// `envoy.extensions.filters.http.health_check.v3.HealthCheck`: answers questions about our health.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HealthCheckFilter {
    /// The upstream is asked; else we answer.
    pub pass_through: bool,
    /// For how long the upstream's answer is ours. `None`: ask every time.
    pub cache_time: Option<Duration>,
    /// Of clusters, the millionths of their endpoints that have to be healthy.
    pub cluster_min_healthy: BTreeMap<Str, Fraction>,
    /// What a question looks like.
    pub headers: Vec<HeaderMatcher>,
}

/// Who reports a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reporter {
    /// The client's side.
    Source,
    /// The server's side.
    Destination,
    /// A gateway, which is the client's side of what it forwards.
    Gateway,
}

/// Network filters, run per connection before the terminal one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum NetworkFilter {
    /// `envoy.filters.network.rbac`.
    Rbac(RbacFilter),
    /// `envoy.filters.network.connection_limit`.
    ConnectionLimit(ConnectionLimit),
    /// `istio.stats` on TCP. Lateen only.
    IstioStats { reporter: Reporter },
    /// `envoy.filters.network.sni_dynamic_forward_proxy`.
    SniDynamicForwardProxy(Box<SniForwardProxy>),
}

/// `envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionLimit {
    pub stat_prefix: Str,
    /// How many connections may be open at once. Those that are refused count while they are open.
    pub max_connections: u64,
    /// How long a connection that is refused stays open.
    pub delay: Option<Duration>,
    /// `runtime_enabled`.
    pub enabled: bool,
}
