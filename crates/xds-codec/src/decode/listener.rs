//! Listeners.

use ir::listener::ListenerFilter;
use ir::{Address, Direction, Listener};

use super::at::At;
use super::strict::{harmless, refuse, refuse_true};
use super::{access_log, address, chain, metadata, tls, wire};
use crate::pb::core::TrafficDirection;
use crate::pb::http_inspector::HttpInspector;
use crate::pb::listener::listener_filter::ConfigType;
use crate::pb::listener::listener_filter_chain_match_predicate::{MatchSet, Rule};
use crate::pb::listener::{self as pb};
use crate::pb::listener_proxy_protocol;
use crate::pb::original_dst::OriginalDst;
use crate::pb::tls_inspector::TlsInspector;

pub(super) fn listener(at: At<'_>, it: pb::Listener) -> Listener {
    let pb::Listener {
        name,
        address: bind,
        additional_addresses,
        stat_prefix,
        stats_matcher,
        filter_chains,
        fcds_config,
        filter_chain_matcher,
        use_original_dst,
        default_filter_chain,
        per_connection_buffer_limit_bytes,
        per_connection_buffer_high_watermark_timeout,
        metadata: all,
        deprecated_v1,
        drain_type,
        listener_filters,
        listener_filters_timeout,
        continue_on_listener_filters_timeout,
        transparent,
        freebind,
        socket_options,
        tcp_fast_open_queue_length,
        traffic_direction,
        udp_listener_config,
        api_listener,
        connection_balance_config,
        reuse_port,
        enable_reuse_port,
        access_log: logs,
        tcp_backlog_size,
        max_connections_to_accept_per_socket_event,
        bind_to_port,
        enable_mptcp,
        ignore_global_conn_limit,
        bypass_overload_manager,
        tcp_keepalive,
        listener_specifier,
    } = it;
    refuse!(at; fcds_config, filter_chain_matcher,
        per_connection_buffer_high_watermark_timeout, deprecated_v1, socket_options, tcp_fast_open_queue_length,
        udp_listener_config, api_listener, enable_mptcp, tcp_keepalive, listener_specifier);
    refuse_true!(at; transparent, freebind);
    harmless!(Statistics; stat_prefix, stats_matcher);
    harmless!(Tuning; per_connection_buffer_limit_bytes, connection_balance_config, reuse_port, enable_reuse_port,
        tcp_backlog_size, max_connections_to_accept_per_socket_event);
    harmless!(NoSuchMechanism; drain_type);
    // Such a listener is limited like the others.
    for (field, set) in [
        ("ignore_global_conn_limit", ignore_global_conn_limit),
        ("bypass_overload_manager", bypass_overload_manager),
    ] {
        if set {
            at.field(field).ignored("has no effect here");
        }
    }
    let direction = direction(at.field("traffic_direction"), traffic_direction);
    let chain_at = |(index, it)| chain::filter_chain(at.index("filter_chains", index), direction, it);
    let filter_at = |(index, it)| listener_filter(at.index("listener_filters", index), it);
    let address_at = |(index, it)| additional_address(at.index("additional_addresses", index), it);
    Listener {
        name: wire::required(at.field("name"), name),
        address: address::address(at.field("address"), bind),
        additional_addresses: additional_addresses.into_iter().enumerate().map(address_at).collect(),
        bind_to_port: wire::flag(bind_to_port, true),
        use_original_dst: wire::flag(use_original_dst, false),
        direction,
        listener_filters: listener_filters.into_iter().enumerate().filter_map(filter_at).collect(),
        listener_filters_timeout: wire::optional_duration(
            at.field("listener_filters_timeout"),
            listener_filters_timeout,
        ),
        continue_on_listener_filters_timeout,
        filter_chains: wire::exact(filter_chains.into_iter().enumerate().map(chain_at)),
        default_filter_chain: default_filter_chain
            .map(|it| chain::filter_chain(at.field("default_filter_chain"), direction, it)),
        access_log: access_log::access_logs(&at, logs),
        origin: metadata::keys(all).origin(),
    }
}

/// An address beside the first.
fn additional_address(at: At<'_>, it: pb::AdditionalAddress) -> Address {
    let pb::AdditionalAddress { address: bind, socket_options, tcp_keepalive } = it;
    refuse!(at; socket_options, tcp_keepalive);
    address::address(at.field("address"), bind)
}

fn direction(at: At<'_>, it: i32) -> Direction {
    match wire::enumeration(at, it) {
        TrafficDirection::Unspecified => Direction::Unspecified,
        TrafficDirection::Inbound => Direction::Inbound,
        TrafficDirection::Outbound => Direction::Outbound,
    }
}

fn listener_filter(at: At<'_>, it: pb::ListenerFilter) -> Option<ListenerFilter> {
    let pb::ListenerFilter { name, filter_disabled, config_type } = it;
    harmless!(Label; name);
    let disabled_ports = match filter_disabled {
        Some(it) => disabled_ports(at.field("filter_disabled"), it),
        None => Vec::new(),
    };
    let any = match config_type {
        Some(ConfigType::TypedConfig(any)) => any,
        Some(ConfigType::ConfigDiscovery(_)) => {
            at.unsupported("config_discovery");
            return None;
        }
        None => {
            at.field("typed_config").refuse("is required");
            return None;
        }
    };
    let config_at = at.field("typed_config");
    if wire::is::<OriginalDst>(&any) {
        let OriginalDst {} = wire::unpack(config_at, &any);
        if !disabled_ports.is_empty() {
            at.unsupported("filter_disabled");
        }
        Some(ListenerFilter::OriginalDst)
    } else if wire::is::<TlsInspector>(&any) {
        tls_inspector(config_at, wire::unpack(config_at, &any));
        Some(ListenerFilter::TlsInspector { disabled_ports })
    } else if wire::is::<HttpInspector>(&any) {
        let HttpInspector {} = wire::unpack(config_at, &any);
        Some(ListenerFilter::HttpInspector { disabled_ports })
    } else if wire::is::<listener_proxy_protocol::ProxyProtocol>(&any) {
        if !disabled_ports.is_empty() {
            at.unsupported("filter_disabled");
        }
        Some(proxy_protocol(config_at, wire::unpack(config_at, &any)))
    } else {
        wire::unknown_type(config_at, &any);
        None
    }
}

fn proxy_protocol(at: At<'_>, it: listener_proxy_protocol::ProxyProtocol) -> ListenerFilter {
    let listener_proxy_protocol::ProxyProtocol {
        rules,
        allow_requests_without_proxy_protocol,
        pass_through_tlvs,
        disallowed_versions,
        stat_prefix,
        tlv_location,
    } = it;
    refuse!(at; rules, pass_through_tlvs);
    harmless!(Statistics; stat_prefix);
    // Of the rules.
    harmless!(NoSuchMechanism; tlv_location);
    let version = |(index, it)| tls::proxy_protocol_version(at.index("disallowed_versions", index), it);
    ListenerFilter::ProxyProtocol {
        optional: allow_requests_without_proxy_protocol,
        disallowed: disallowed_versions.into_iter().enumerate().map(version).collect(),
    }
}

fn tls_inspector(at: At<'_>, it: TlsInspector) {
    let TlsInspector {
        enable_ja3_fingerprinting,
        enable_ja4_fingerprinting,
        initial_read_buffer_size,
        close_connection_on_client_hello_parsing_errors,
        max_client_hello_size,
    } = it;
    refuse_true!(at; enable_ja3_fingerprinting, enable_ja4_fingerprinting);
    refuse!(at; close_connection_on_client_hello_parsing_errors);
    harmless!(Tuning; initial_read_buffer_size, max_client_hello_size);
}

/// Destination ports, alone or in an "or".
fn disabled_ports(at: At<'_>, it: pb::ListenerFilterChainMatchPredicate) -> Vec<u16> {
    let mut ports = Vec::new();
    match it.rule {
        Some(Rule::OrMatch(MatchSet { rules })) => {
            let at = at.field("or_match");
            for (index, it) in rules.into_iter().enumerate() {
                one_range(at.index("rules", index), it.rule, &mut ports);
            }
        }
        rule => one_range(at, rule, &mut ports),
    }
    ports
}

fn one_range(at: At<'_>, rule: Option<Rule>, ports: &mut Vec<u16>) {
    let Some(Rule::DestinationPortRange(range)) = rule else {
        return at.refuse("only destination_port_range is supported, and or_match of it");
    };
    let last = range.end.checked_sub(1).and_then(|last| u16::try_from(last).ok());
    match (u16::try_from(range.start).ok(), last) {
        // All ranges together name each port about once, or the message is hostile.
        (Some(first), Some(last)) if first <= last && ports.len() <= usize::from(u16::MAX) => {
            ports.extend(first..=last);
        }
        _ => at.field("destination_port_range").refuse("is not a range of ports"),
    }
}
