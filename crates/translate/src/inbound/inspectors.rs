//! Which listener filters look at the connections of a listener, and on which ports they may not:
//! a look costs a wait for the client's first bytes, which a client of a server-first protocol
//! never sends.

use std::collections::BTreeMap;

use ir::FilterChain;
use ir::listener::{ListenerFilter, TransportProtocol};

#[derive(Clone, Copy, Default)]
struct Needs {
    tls: bool,
    http: bool,
}

/// The filters that these chains need. A chain without a port stands for all ports that no other
/// chain names.
pub fn of(chains: &[FilterChain]) -> Vec<ListenerFilter> {
    let mut ports: BTreeMap<Option<u16>, Needs> = BTreeMap::new();
    for chain in chains {
        let needs = ports.entry(chain.matches.destination_port).or_default();
        needs.tls |= chain.matches.transport_protocol == Some(TransportProtocol::Tls);
        needs.http |=
            chain.matches.application_protocols.iter().any(|alpn| *alpn == "http/1.1" || *alpn == "h2c");
    }
    let disabled = |need: fn(&Needs) -> bool| {
        let without = |(port, needs): (&Option<u16>, &Needs)| port.filter(|_| !need(needs));
        ports.iter().filter_map(without).collect::<Vec<u16>>()
    };
    let mut filters = Vec::new();
    if ports.values().any(|needs| needs.tls) {
        filters.push(ListenerFilter::TlsInspector { disabled_ports: disabled(|needs| needs.tls) });
    }
    // After the TLS inspector: what is TLS is not looked into.
    if ports.values().any(|needs| needs.http) {
        filters.push(ListenerFilter::HttpInspector { disabled_ports: disabled(|needs| needs.http) });
    }
    filters
}
