//! The listener that captured connections arrive at first. It hands them to the listener of their
//! original destination and keeps what nobody serves.

use std::net::SocketAddr;
use std::sync::Arc;

use ir::filter::Reporter;
use ir::http::RouteSource;
use ir::listener::ListenerFilter;
use ir::{Address, Direction, FilterChain, FilterChainMatch, Listener, RouteConfig, Terminal};

use super::listener::plaintext_http;
use crate::routes::standard;
use crate::settings::{Outbound, Settings};
use crate::unit::ScopeKey;
use crate::{chains, dynamic_dns, hcm, names};

pub fn build(scope: &ScopeKey, settings: &Settings) -> Listener {
    let (data_plane, port) = (scope.data_plane, settings.outbound_port);
    let stats = chains::tcp_stats(data_plane, Reporter::Source);
    let mut filter_chains = vec![chains::blackhole(names::VIRTUAL_OUTBOUND_BLACKHOLE, port, settings, stats)];
    let mut listener_filters = Vec::new();
    if settings.outbound == Outbound::DynamicDns {
        filter_chains.push(requests(settings, scope));
        listener_filters.push(ListenerFilter::HttpInspector { disabled_ports: Vec::new() });
    }
    filter_chains.push(chains::unclaimed(names::VIRTUAL_OUTBOUND_CATCH_ALL, settings, data_plane));
    let looks = !listener_filters.is_empty();
    Listener {
        name: names::VIRTUAL_OUTBOUND.into(),
        address: Address::Socket(SocketAddr::new(scope.wildcard(), port)),
        additional_addresses: Vec::new(),
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
fn requests(settings: &Settings, scope: &ScopeKey) -> FilterChain {
    let name = names::ALLOW_ANY_DYNAMIC_DNS;
    let mut manager =
        hcm::outbound(settings, scope.data_plane, names::DYNAMIC_DNS_STAT_PREFIX.into(), name.into(), false);
    manager.http_filters.extend(dynamic_dns::http_filters(None, settings, scope));
    manager.routes = RouteSource::Inline(Arc::new(RouteConfig {
        name: name.into(),
        virtual_hosts: vec![Arc::new(standard::unclaimed(&settings.outbound))],
        ..RouteConfig::default()
    }));
    FilterChain {
        name: names::VIRTUAL_OUTBOUND_CATCH_ALL_HTTP.into(),
        // Without a condition on the transport: beside it, other bytes would match nothing.
        matches: FilterChainMatch { transport_protocol: None, ..plaintext_http() },
        tls: None,
        transport_socket_connect_timeout: None,
        filters: Vec::new(),
        terminal: Terminal::Http(Box::new(manager)),
        origin: None,
    }
}
