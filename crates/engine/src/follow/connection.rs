//! From a connection to its filter chain.

use std::net::SocketAddr;

use ir::listener::{ListenerFilter, TransportProtocol};
use ir::tcp::TcpClusters;
use ir::{Address, FilterChain, Listener};
use stdx::Str;

use super::{Call, ClientTls, Configuration, Mode, Refusal, Spoken};
use crate::chain::{self, Chosen, Connection};
use crate::dice::{self, Dice};

/// The two listeners that captured connections arrive at, by Istio's names for them.
const CAPTURES_INBOUND: &str = "virtualInbound";
const CAPTURES_OUTBOUND: &str = "virtualOutbound";

/// Where calls come from. Nothing that Istio generates asks for it.
const SOURCE: ([u8; 4], u16) = ([192, 0, 2, 1], 40000);

/// The listener that a connection is handed to: bound to exactly its destination, else to that port
/// of all addresses, else the one that keeps what nobody else has.
pub fn listener<'c>(configuration: &'c Configuration, call: &Call) -> Option<&'c Listener> {
    let named = |name: &str| configuration.listeners().find(|listener| listener.name == name);
    if call.mode == Mode::Inbound {
        return named(CAPTURES_INBOUND);
    }
    let bound = |fits: &dyn Fn(SocketAddr) -> bool| {
        let mut listeners = configuration.listeners();
        let is_there = |it: &Address| matches!(it, Address::Socket(address) if fits(*address));
        listeners.find(|listener| listener.addresses().any(is_there))
    };
    let destination = call.destination;
    bound(&|address| address == destination)
        .or_else(|| bound(&|address| address.ip().is_unspecified() && address.port() == destination.port()))
        .or_else(|| named(CAPTURES_OUTBOUND))
}

pub fn filter_chain<'l>(listener: &'l Listener, call: &Call) -> Result<&'l FilterChain, Refusal> {
    let seen = inspect(listener, call);
    let protocols: Vec<&str> = seen.protocols.iter().map(String::as_str).collect();
    let connection = Connection {
        destination: call.destination,
        source: SocketAddr::from(SOURCE),
        direct_source: SocketAddr::from(SOURCE),
        transport: if seen.tls { TransportProtocol::Tls } else { TransportProtocol::RawBuffer },
        server_name: if seen.tls { &call.server_name } else { "" },
        application_protocols: &protocols,
    };
    match chain::select(listener, &connection) {
        Chosen::Ambiguous => Err(Refusal::MultipleFilterChains),
        chosen => chain::chain(listener, chosen).ok_or(Refusal::NoFilterChain),
    }
}

/// What the inspectors of a listener see of a connection.
struct Seen {
    tls: bool,
    protocols: Vec<String>,
}

fn inspect(listener: &Listener, call: &Call) -> Seen {
    let port = call.destination.port();
    let (mut looks_for_tls, mut looks_for_http) = (false, false);
    for filter in &listener.listener_filters {
        match filter {
            ListenerFilter::TlsInspector { disabled_ports } => {
                looks_for_tls = !disabled_ports.contains(&port)
            }
            ListenerFilter::HttpInspector { disabled_ports } => {
                looks_for_http = !disabled_ports.contains(&port);
            }
            _ => {}
        }
    }
    let plaintext = call.tls == ClientTls::Plaintext;
    let protocols = match (plaintext, call.spoken) {
        (false, _) if looks_for_tls => call.alpn.clone(),
        (true, Spoken::Http1) if looks_for_http => vec!["http/1.1".to_owned()],
        (true, Spoken::Http2) if looks_for_http => vec!["h2c".to_owned()],
        _ => Vec::new(),
    };
    Seen { tls: !plaintext && looks_for_tls, protocols }
}

/// The cluster of a TCP proxy.
pub fn cluster(clusters: &TcpClusters, dice: &mut dyn Dice) -> Option<Str> {
    match clusters {
        TcpClusters::Single(name) => Some(name.clone()),
        TcpClusters::Weighted(clusters) => {
            let index = dice::weighted(dice, clusters.iter().map(|(_, weight)| *weight))?;
            clusters.get(index).map(|(name, _)| name.clone())
        }
    }
}
