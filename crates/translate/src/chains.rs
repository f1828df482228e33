//! Filter chains and network filters that several listeners share.

use ir::filter::Reporter;
use ir::{FilterChain, FilterChainMatch, NetworkFilter, TcpProxy, Terminal};
use model::DataPlane;
use stdx::Str;

use crate::names;
use crate::settings::Settings;

/// Bytes to a cluster.
pub fn tcp_proxy(settings: &Settings, stat_prefix: Str, cluster: Str) -> TcpProxy {
    TcpProxy { access_log: settings.access_log(), ..TcpProxy::to(stat_prefix, cluster) }
}

/// A chain without TLS of its own.
pub fn tcp_chain(name: &str, filters: Vec<NetworkFilter>, proxy: TcpProxy) -> FilterChain {
    FilterChain {
        name: name.into(),
        matches: FilterChainMatch::default(),
        tls: None,
        transport_socket_connect_timeout: None,
        filters,
        terminal: Terminal::Tcp(proxy),
        origin: None,
    }
}

/// Connections to the port that captured traffic is redirected to, by somebody who calls it
/// directly: passing them on would send them to ourselves for ever.
pub fn blackhole(name: &str, port: u16, settings: &Settings, stats: Vec<NetworkFilter>) -> FilterChain {
    let cluster = Str::from(names::BLACK_HOLE_CLUSTER);
    let mut chain = tcp_chain(
        name,
        stats,
        TcpProxy { access_log: Vec::new(), ..tcp_proxy(settings, cluster.clone(), cluster) },
    );
    chain.matches.destination_port = Some(port);
    chain
}

/// Where connections go that no service claims.
pub fn unclaimed(name: &str, settings: &Settings, data_plane: DataPlane) -> FilterChain {
    let cluster = settings.outbound.cluster();
    tcp_chain(name, tcp_stats(data_plane, Reporter::Source), tcp_proxy(settings, cluster.clone(), cluster))
}

/// Istio's metrics of connections; stock Envoy has no such filter.
pub fn tcp_stats(data_plane: DataPlane, reporter: Reporter) -> Vec<NetworkFilter> {
    match data_plane {
        DataPlane::Lateen => vec![NetworkFilter::IstioStats { reporter }],
        DataPlane::Envoy => Vec::new(),
    }
}
