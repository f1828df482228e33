//! Filter chains of a listener.

use ir::listener::{SourceType, TransportProtocol};
use ir::{Direction, FilterChain, FilterChainMatch, NetworkFilter, Terminal};
use stdx::Str;

use super::at::At;
use super::strict::{harmless, refuse, refuse_true};
use super::{address, filter, http, metadata, respond, tcp, tls, wire};
use crate::Any;
use crate::pb::listener::filter_chain_match::ConnectionSourceType;
use crate::pb::listener::{self as pb, filter::ConfigType};
use crate::pb::{hcm, network_direct_response, tcp_proxy};

pub(super) fn filter_chain(at: At<'_>, direction: Direction, it: pb::FilterChain) -> FilterChain {
    let pb::FilterChain {
        filter_chain_match,
        filters: all,
        use_proxy_proto,
        metadata: keys,
        transport_socket,
        transport_socket_connect_timeout,
        name,
    } = it;
    refuse_true!(at; use_proxy_proto);
    let (filters, terminal) = filters(at, direction, all);
    FilterChain {
        name: name.into(),
        matches: filter_chain_match
            .map(|it| chain_match(at.field("filter_chain_match"), it))
            .unwrap_or_default(),
        tls: transport_socket.and_then(|it| tls::downstream(at.field("transport_socket"), it)),
        transport_socket_connect_timeout: wire::optional_duration(
            at.field("transport_socket_connect_timeout"),
            transport_socket_connect_timeout,
        ),
        filters,
        terminal,
        origin: metadata::keys(keys).origin(),
    }
}

fn chain_match(at: At<'_>, it: pb::FilterChainMatch) -> FilterChainMatch {
    let pb::FilterChainMatch {
        destination_port,
        prefix_ranges,
        address_suffix,
        suffix_len,
        direct_source_prefix_ranges,
        source_type,
        source_prefix_ranges,
        source_ports,
        server_names: names,
        transport_protocol,
        application_protocols,
    } = it;
    refuse!(at; address_suffix, suffix_len);
    FilterChainMatch {
        destination_port: destination_port.map(|it| destination(at.field("destination_port"), it.value)),
        prefix_ranges: address::cidrs(&at, "prefix_ranges", prefix_ranges),
        server_names: server_names(at, names),
        transport_protocol: transport(at.field("transport_protocol"), &transport_protocol),
        application_protocols: wire::texts(application_protocols),
        direct_source_prefix_ranges: address::cidrs(
            &at,
            "direct_source_prefix_ranges",
            direct_source_prefix_ranges,
        ),
        source_type: match wire::enumeration(at.field("source_type"), source_type) {
            ConnectionSourceType::Any => SourceType::Any,
            ConnectionSourceType::SameIpOrLoopback => SourceType::SameIpOrLoopback,
            ConnectionSourceType::External => SourceType::External,
        },
        source_prefix_ranges: address::cidrs(&at, "source_prefix_ranges", source_prefix_ranges),
        source_ports: source_ports
            .into_iter()
            .enumerate()
            .map(|(index, port)| destination(at.index("source_ports", index), port))
            .collect(),
    }
}

fn destination(at: At<'_>, port: u32) -> u16 {
    if port == 0 {
        at.refuse("0 is not a port");
    }
    wire::port(at, port)
}

fn server_names(at: At<'_>, names: Vec<String>) -> Vec<Str> {
    for (index, name) in names.iter().enumerate() {
        let rest = name.strip_prefix("*.").unwrap_or(name);
        if rest.contains('*') && name != "*" {
            at.index("server_names", index)
                .refuse(format!("{name:?} has a wildcard that is not a whole label"));
        }
    }
    names.into_iter().map(wire::lower).collect()
}

fn transport(at: At<'_>, name: &str) -> Option<TransportProtocol> {
    match name {
        "" => None,
        "tls" => Some(TransportProtocol::Tls),
        "raw_buffer" => Some(TransportProtocol::RawBuffer),
        other => {
            at.refuse(format!("{other:?} is not supported"));
            None
        }
    }
}

/// All but the last, and the last, which owns the connection.
fn filters(at: At<'_>, direction: Direction, mut all: Vec<pb::Filter>) -> (Vec<NetworkFilter>, Terminal) {
    let last = all.pop();
    let last_index = all.len();
    let mut filters = Vec::with_capacity(all.len());
    for (index, it) in all.into_iter().enumerate() {
        let at = at.index("filters", index);
        if let Some(any) = typed_config(at, it) {
            filters.extend(filter::network_filter(at.field("typed_config"), direction, &any));
        }
    }
    let Some(last) = last else {
        at.field("filters")
            .refuse("a terminal filter is needed: HTTP connection manager, TCP proxy or direct response");
        return (filters, placeholder());
    };
    let at = at.index("filters", last_index);
    let terminal = typed_config(at, last).and_then(|any| terminal(at.field("typed_config"), direction, &any));
    (filters, terminal.unwrap_or_else(placeholder))
}

fn typed_config(at: At<'_>, it: pb::Filter) -> Option<Any> {
    let pb::Filter { name, config_type } = it;
    harmless!(Label; name);
    match config_type {
        Some(ConfigType::TypedConfig(any)) => return Some(any),
        Some(ConfigType::ConfigDiscovery(_)) => at.unsupported("config_discovery"),
        None => at.field("typed_config").refuse("is required"),
    }
    None
}

fn terminal(at: At<'_>, direction: Direction, any: &Any) -> Option<Terminal> {
    if wire::is::<hcm::HttpConnectionManager>(any) {
        let manager = http::connection_manager(at, direction, wire::unpack(at, any));
        Some(Terminal::Http(Box::new(manager)))
    } else if wire::is::<tcp_proxy::TcpProxy>(any) {
        Some(Terminal::Tcp(tcp::tcp_proxy(at, wire::unpack(at, any))))
    } else if wire::is::<network_direct_response::Config>(any) {
        let network_direct_response::Config { response } = wire::unpack(at, any);
        let response = response.map(|it| respond::body(at.field("response"), it));
        Some(Terminal::Direct(response.unwrap_or_default()))
    } else {
        at.refuse(format!("{} is not supported as the last filter", wire::type_name(any)));
        None
    }
}

fn placeholder() -> Terminal {
    Terminal::Http(Box::default())
}
