//! Filters before the terminal one.

use stdx::Str;

use crate::Rbac;

/// HTTP filters, run per request in their order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HttpFilter {
    /// `envoy.filters.http.rbac`.
    Rbac { stat_prefix: Str, rules: Rbac },
    /// `envoy.filters.http.fault`: applies what the route says ([`crate::Fault`]).
    Fault,
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
    /// `envoy.filters.http.cors` without a policy does nothing; kept so that Istio's chains decode.
    Cors,
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
    Rbac { stat_prefix: Str, rules: Rbac },
    /// `istio.stats` on TCP. Lateen only.
    IstioStats { reporter: Reporter },
}
