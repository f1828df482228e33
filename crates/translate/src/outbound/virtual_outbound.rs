//! The listener that captured connections arrive at first. It hands them to the listener of their
//! original destination and keeps what nobody serves.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ir::filter::Reporter;
use ir::http::RouteSource;
use ir::listener::ListenerFilter;
use ir::{Address, Direction, FilterChain, FilterChainMatch, Listener, RouteConfig, Terminal};
use model::DataPlane;

use super::listener::plaintext_http;
use crate::routes::standard;
use crate::settings::{Outbound, Settings};
use crate::{chains, hcm, names};

pub fn build(wildcard: IpAddr, settings: &Settings, data_plane: DataPlane) -> Listener {
    let port = settings.outbound_port;
    let stats = chains::tcp_stats(data_plane, Reporter::Source);
    let mut filter_chains = vec![chains::blackhole(names::VIRTUAL_OUTBOUND_BLACKHOLE, port, settings, stats)];
    let mut listener_filters = Vec::new();
    if settings.outbound == Outbound::DynamicDns {
        filter_chains.push(requests(settings, data_plane));
        listener_filters.push(ListenerFilter::HttpInspector { disabled_ports: Vec::new() });
    }
    filter_chains.push(chains::unclaimed(names::VIRTUAL_OUTBOUND_CATCH_ALL, settings, data_plane));
    let looks = !listener_filters.is_empty();
    Listener {
        name: names::VIRTUAL_OUTBOUND.into(),
        address: Address::Socket(SocketAddr::new(wildcard, port)),
        bind_to_port: true,
        use_original_dst: true,
        direction: Direction::Outbound,
        listener_filters,
        listener_filters_timeout: looks.then_some(settings.protocol_detection_timeout),
        continue_on_listener_filters_timeout: looks,
        filter_chains,
        default_filter_chain: None,
        access_log: settings.listener_access_log(),
        origin: None,
    }
}

/// Plaintext HTTP to nobody whom we know.
fn requests(settings: &Settings, data_plane: DataPlane) -> FilterChain {
    let name = names::ALLOW_ANY_DYNAMIC_DNS;
    let mut manager = hcm::outbound(settings, data_plane, name.into(), name.into(), false);
    manager.routes = RouteSource::Inline(Arc::new(RouteConfig {
        name: name.into(),
        virtual_hosts: vec![Arc::new(standard::unclaimed(settings))],
        ..RouteConfig::default()
    }));
    FilterChain {
        name: name.into(),
        // Without a condition on the transport: beside it, other bytes would match nothing.
        matches: FilterChainMatch { transport_protocol: None, ..plaintext_http() },
        tls: None,
        transport_socket_connect_timeout: None,
        filters: Vec::new(),
        terminal: Terminal::Http(Box::new(manager)),
        origin: None,
    }
}
