//! Listeners and their filter chains.

use ir::listener::{ListenerFilter, SourceType};
use ir::{Address, Direction, FilterChain, FilterChainMatch, Listener, Terminal};

use super::metadata::Builder;
use super::{access_log, address, filter, http, respond, tcp, tls, wire};
use crate::pb::listener::filter_chain_match::ConnectionSourceType;
use crate::pb::listener::{self as pb, listener_filter_chain_match_predicate as predicate};
use crate::pb::{
    core, envoy_type, http_inspector, listener_proxy_protocol, network_direct_response, original_dst,
    tls_inspector,
};
use crate::{Any, names};

/// Encodes a listener.
pub fn listener(it: &Listener) -> pb::Listener {
    pb::Listener {
        name: it.name.to_string(),
        address: Some(address::address(&it.address)),
        additional_addresses: it.additional_addresses.iter().map(additional_address).collect(),
        filter_chains: it.filter_chains.iter().map(filter_chain).collect(),
        use_original_dst: wire::truth(it.use_original_dst),
        default_filter_chain: it.default_filter_chain.as_ref().map(filter_chain),
        metadata: Builder::default().origin(&it.origin).build(),
        listener_filters: it.listener_filters.iter().map(listener_filter).collect(),
        listener_filters_timeout: wire::optional_duration(it.listener_filters_timeout),
        continue_on_listener_filters_timeout: it.continue_on_listener_filters_timeout,
        traffic_direction: direction(it.direction).into(),
        access_log: access_log::access_logs(&it.access_log),
        bind_to_port: (!it.bind_to_port).then(|| wire::boolean(false)).flatten(),
        ..Default::default()
    }
}

fn additional_address(it: &Address) -> pb::AdditionalAddress {
    pb::AdditionalAddress { address: Some(address::address(it)), ..Default::default() }
}

fn direction(it: Direction) -> core::TrafficDirection {
    match it {
        Direction::Unspecified => core::TrafficDirection::Unspecified,
        Direction::Inbound => core::TrafficDirection::Inbound,
        Direction::Outbound => core::TrafficDirection::Outbound,
    }
}

fn listener_filter(it: &ListenerFilter) -> pb::ListenerFilter {
    let (name, config, disabled): (_, _, &[u16]) = match it {
        ListenerFilter::OriginalDst => (names::ORIGINAL_DST, wire::pack(&original_dst::OriginalDst {}), &[]),
        ListenerFilter::TlsInspector { disabled_ports } => {
            (names::TLS_INSPECTOR, wire::pack(&tls_inspector::TlsInspector::default()), disabled_ports)
        }
        ListenerFilter::HttpInspector { disabled_ports } => {
            (names::HTTP_INSPECTOR, wire::pack(&http_inspector::HttpInspector {}), disabled_ports)
        }
        ListenerFilter::ProxyProtocol { optional, disallowed } => {
            let version = |it: &_| tls::proxy_protocol_version(*it).into();
            let config = listener_proxy_protocol::ProxyProtocol {
                allow_requests_without_proxy_protocol: *optional,
                disallowed_versions: disallowed.iter().map(version).collect(),
                ..Default::default()
            };
            (names::LISTENER_PROXY_PROTOCOL, wire::pack(&config), &[])
        }
    };
    pb::ListenerFilter {
        name: name.into(),
        filter_disabled: disabled_ports(disabled),
        config_type: Some(pb::listener_filter::ConfigType::TypedConfig(config)),
    }
}

fn disabled_ports(ports: &[u16]) -> Option<pb::ListenerFilterChainMatchPredicate> {
    let mut rules: Vec<_> = ports.iter().map(|port| one_port(*port)).collect();
    if rules.len() <= 1 {
        return rules.pop();
    }
    let rule = predicate::Rule::OrMatch(predicate::MatchSet { rules });
    Some(pb::ListenerFilterChainMatchPredicate { rule: Some(rule) })
}

fn one_port(port: u16) -> pb::ListenerFilterChainMatchPredicate {
    let range = envoy_type::Int32Range { start: port.into(), end: i32::from(port) + 1 };
    pb::ListenerFilterChainMatchPredicate { rule: Some(predicate::Rule::DestinationPortRange(range)) }
}

fn filter_chain(it: &FilterChain) -> pb::FilterChain {
    let mut filters: Vec<_> = it.filters.iter().map(filter::network_filter).collect();
    filters.push(terminal(&it.terminal));
    pb::FilterChain {
        filter_chain_match: chain_match(&it.matches),
        filters,
        metadata: Builder::default().origin(&it.origin).build(),
        transport_socket: it.tls.as_ref().map(tls::downstream_socket),
        transport_socket_connect_timeout: wire::optional_duration(it.transport_socket_connect_timeout),
        name: it.name.to_string(),
        ..Default::default()
    }
}

fn chain_match(it: &FilterChainMatch) -> Option<pb::FilterChainMatch> {
    if *it == FilterChainMatch::default() {
        return None;
    }
    Some(pb::FilterChainMatch {
        destination_port: wire::optional_number(it.destination_port.map(u32::from)),
        prefix_ranges: it.prefix_ranges.iter().map(address::cidr).collect(),
        server_names: wire::texts(&it.server_names),
        transport_protocol: it.transport_protocol.map(|it| it.as_str().to_owned()).unwrap_or_default(),
        application_protocols: wire::texts(&it.application_protocols),
        direct_source_prefix_ranges: it.direct_source_prefix_ranges.iter().map(address::cidr).collect(),
        source_type: match it.source_type {
            SourceType::Any => ConnectionSourceType::Any,
            SourceType::SameIpOrLoopback => ConnectionSourceType::SameIpOrLoopback,
            SourceType::External => ConnectionSourceType::External,
        }
        .into(),
        source_prefix_ranges: it.source_prefix_ranges.iter().map(address::cidr).collect(),
        source_ports: it.source_ports.iter().map(|port| u32::from(*port)).collect(),
        ..Default::default()
    })
}

fn terminal(it: &Terminal) -> pb::Filter {
    match it {
        Terminal::Http(manager) => {
            filter(names::HTTP_CONNECTION_MANAGER, wire::pack(&http::connection_manager(manager)))
        }
        Terminal::Tcp(proxy) => filter(names::TCP_PROXY, wire::pack(&tcp::tcp_proxy(proxy))),
        Terminal::Direct(response) => {
            let config = network_direct_response::Config { response: Some(respond::body(response)) };
            filter(names::NETWORK_DIRECT_RESPONSE, wire::pack(&config))
        }
    }
}

pub(super) fn filter(name: &str, config: Any) -> pb::Filter {
    pb::Filter { name: name.into(), config_type: Some(pb::filter::ConfigType::TypedConfig(config)) }
}
