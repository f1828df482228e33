//! One outbound listener.

use std::net::SocketAddr;
use std::time::Duration;

use ir::filter::Reporter;
use ir::listener::{ListenerFilter, TransportProtocol};
use ir::{Address, Direction, FilterChain, FilterChainMatch, Listener, Terminal};
use model::{DataPlane, Host, Origin};
use stdx::Str;

use super::conflict::{Entry, Key};
use crate::names::{self, PLAINTEXT_HTTP_ALPN};
use crate::settings::Settings;
use crate::{chains, hcm};

/// Builds the listener of `key`. `port_of` gives the service port that bytes to a host go to (a
/// headless service's own port may differ from the pod's), `origin` the object behind a host.
pub fn build(
    key: Key,
    entry: &Entry,
    settings: &Settings,
    data_plane: DataPlane,
    origin: &dyn Fn(&Host) -> Option<Origin>,
) -> Listener {
    let (address, port) = key;
    let mut chains = Vec::new();
    for host in &entry.tls {
        let mut chain = bytes_to(host, port, settings, data_plane, origin);
        chain.matches.server_names = vec![host.to_str()];
        chains.push(chain);
    }
    if entry.http {
        chains.push(http(key, entry, settings, data_plane, origin));
    }
    let everything_else = entry.tcp.as_ref().map(|host| bytes_to(host, port, settings, data_plane, origin));
    let default = match everything_else {
        Some(chain) if chains.is_empty() => {
            chains.push(chain);
            None
        }
        Some(chain) => Some(chain),
        None => Some(chains::unclaimed(names::PASSTHROUGH_CHAIN, settings, data_plane)),
    };
    let (listener_filters, listener_filters_timeout) = inspectors(entry, settings);
    Listener {
        name: names::listener(address, port),
        address: Address::Socket(SocketAddr::new(address, port)),
        bind_to_port: false,
        use_original_dst: false,
        direction: Direction::Outbound,
        listener_filters,
        listener_filters_timeout: Some(listener_filters_timeout),
        continue_on_listener_filters_timeout: true,
        filter_chains: chains,
        default_filter_chain: default,
        access_log: settings.listener_access_log(),
        origin: entry.tcp.as_ref().filter(|_| !address.is_unspecified()).and_then(origin),
    }
}

/// Without an inspector nothing waits for the client's bytes, so there is nothing to limit.
fn inspectors(entry: &Entry, settings: &Settings) -> (Vec<ListenerFilter>, Duration) {
    let mut filters = Vec::new();
    if !entry.tls.is_empty() {
        filters.push(ListenerFilter::TlsInspector { disabled_ports: Vec::new() });
    }
    if !entry.http {
        return (filters, Duration::ZERO);
    }
    filters.push(ListenerFilter::HttpInspector { disabled_ports: Vec::new() });
    (filters, settings.protocol_detection_timeout)
}

fn bytes_to(
    host: &Host,
    port: u16,
    settings: &Settings,
    data_plane: DataPlane,
    origin: &dyn Fn(&Host) -> Option<Origin>,
) -> FilterChain {
    let cluster = names::outbound(port, "", host.as_str());
    let stats = chains::tcp_stats(data_plane, Reporter::Source);
    let mut chain = chains::tcp_chain("", stats, chains::tcp_proxy(settings, cluster.clone(), cluster));
    chain.origin = origin(host);
    chain
}

fn http(
    key: Key,
    entry: &Entry,
    settings: &Settings,
    data_plane: DataPlane,
    origin: &dyn Fn(&Host) -> Option<Origin>,
) -> FilterChain {
    let (address, port) = key;
    // The listener of one service has routes of its own; all others share those of the port.
    let own = entry.detected.first().filter(|_| !address.is_unspecified());
    let routes: Str =
        own.map_or_else(|| port.to_string().into(), |host| names::host_port(host.as_str(), port));
    let stat_prefix = format!("outbound_{}", names::listener(address, port)).into();
    let detects = !entry.detected.is_empty();
    let manager = hcm::outbound(settings, data_plane, stat_prefix, routes, detects);
    FilterChain {
        name: Str::default(),
        matches: FilterChainMatch {
            transport_protocol: Some(TransportProtocol::RawBuffer),
            application_protocols: names::strs(&PLAINTEXT_HTTP_ALPN),
            ..FilterChainMatch::default()
        },
        tls: None,
        transport_socket_connect_timeout: None,
        filters: Vec::new(),
        terminal: Terminal::Http(Box::new(manager)),
        origin: own.and_then(origin),
    }
}
