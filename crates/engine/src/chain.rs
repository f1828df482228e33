//! Which filter chain serves a connection: Envoy's sieve. At each step the chains whose
//! criterion fits best remain; only if none has a fitting one, those without that criterion do.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use ir::listener::{SourceType, TransportProtocol};
use ir::{FilterChain, FilterChainMatch, Listener};

/// What is known of a connection before a chain is chosen.
#[derive(Clone, Debug)]
pub struct Connection<'a> {
    /// The original destination.
    pub destination: SocketAddr,
    pub source: SocketAddr,
    /// The TCP peer, where it speaks for another.
    pub direct_source: SocketAddr,
    pub transport: TransportProtocol,
    /// From the ClientHello, in lower case; empty if there was none.
    pub server_name: &'a str,
    /// ALPN of the ClientHello, or what the HTTP inspector found.
    pub application_protocols: &'a [&'a str],
}

/// The chain that serves a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// Index into `filter_chains`.
    Chain(usize),
    Default,
    /// Nothing matches: the connection is closed.
    None,
    /// More than one chain is left. Envoy refuses such a listener, and so does [`check`].
    Ambiguous,
}

/// Chooses the chain of a connection.
pub fn select(listener: &Listener, connection: &Connection<'_>) -> Chosen {
    let mut left: Vec<usize> = (0..listener.filter_chains.len()).collect();
    let chain = |i: usize| &listener.filter_chains[i].matches;
    let port = connection.destination.port();

    keep_best(&mut left, |i| chain(i).destination_port.map(|p| u32::from(p == port)));
    keep_best(&mut left, |i| range(&chain(i).prefix_ranges, connection.destination));
    keep_best(&mut left, |i| server_name(chain(i), connection.server_name));
    keep_best(&mut left, |i| chain(i).transport_protocol.map(|t| u32::from(t == connection.transport)));
    keep_best(&mut left, |i| application_protocol(chain(i), connection.application_protocols));
    keep_best(&mut left, |i| range(&chain(i).direct_source_prefix_ranges, connection.direct_source));
    keep_best(&mut left, |i| source_type(chain(i).source_type, connection));
    keep_best(&mut left, |i| range(&chain(i).source_prefix_ranges, connection.source));
    keep_best(&mut left, |i| port_of(&chain(i).source_ports, connection.source));
    match left.as_slice() {
        [one] => Chosen::Chain(*one),
        [] if listener.default_filter_chain.is_some() => Chosen::Default,
        [] => Chosen::None,
        _ => Chosen::Ambiguous,
    }
}

/// The chain itself.
pub fn chain(listener: &Listener, chosen: Chosen) -> Option<&FilterChain> {
    match chosen {
        Chosen::Chain(index) => listener.filter_chains.get(index),
        Chosen::Default => listener.default_filter_chain.as_ref(),
        Chosen::None | Chosen::Ambiguous => None,
    }
}

/// Two chains with the same criteria can never be told apart.
///
/// # Errors
/// Names the second of them.
pub fn check(listener: &Listener) -> Result<(), crate::Problem> {
    for (i, a) in listener.filter_chains.iter().enumerate() {
        if let Some(j) = listener.filter_chains[..i].iter().position(|b| a.matches == b.matches) {
            let message = format!("matches the same connections as filter_chains[{j}]");
            return Err(crate::Problem::new(format!("filter_chains[{i}].filter_chain_match"), message));
        }
    }
    Ok(())
}

/// Keeps the chains with the highest score above 0; if there are none, those without the
/// criterion (`None`).
fn keep_best(left: &mut Vec<usize>, score: impl Fn(usize) -> Option<u32>) {
    let best = left.iter().filter_map(|i| score(*i)).max().filter(|best| *best > 0);
    left.retain(|i| score(*i) == best);
}

fn source_type(wanted: SourceType, connection: &Connection<'_>) -> Option<u32> {
    let source = connection.source.ip();
    let local = source == connection.destination.ip()
        || source == Ipv4Addr::LOCALHOST
        || source == Ipv6Addr::LOCALHOST;
    match wanted {
        SourceType::Any => None,
        SourceType::SameIpOrLoopback => Some(u32::from(local)),
        SourceType::External => Some(u32::from(!local)),
    }
}

fn port_of(ports: &[u16], address: SocketAddr) -> Option<u32> {
    (!ports.is_empty()).then(|| u32::from(ports.contains(&address.port())))
}

/// The length of the longest range that contains the address, plus 1.
fn range(ranges: &[ir::Cidr], address: SocketAddr) -> Option<u32> {
    if ranges.is_empty() {
        return None;
    }
    let fitting = ranges.iter().filter(|range| range.contains(address.ip()));
    Some(fitting.map(|range| u32::from(range.prefix_len) + 1).max().unwrap_or(0))
}

/// Exact names first, then the longest wildcard.
fn server_name(matches: &FilterChainMatch, name: &str) -> Option<u32> {
    if matches.server_names.is_empty() {
        return None;
    }
    let score = |pattern: &str| match pattern.strip_prefix('*') {
        None if !name.is_empty() && pattern == name => u32::MAX,
        Some(suffix) if suffix.starts_with('.') && name.len() > suffix.len() && name.ends_with(suffix) => {
            suffix.len() as u32 + 1
        }
        _ => 0,
    };
    matches.server_names.iter().map(|pattern| score(pattern)).max()
}

/// The client's first protocol that any chain knows decides in Envoy; here a chain's score is
/// higher the earlier the client offered one of its protocols.
fn application_protocol(matches: &FilterChainMatch, offered: &[&str]) -> Option<u32> {
    if matches.application_protocols.is_empty() {
        return None;
    }
    let known = |offer: &&str| matches.application_protocols.iter().any(|p| p == *offer);
    Some(offered.iter().position(known).map_or(0, |at| u32::MAX - at as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(chains: Vec<FilterChainMatch>) -> Listener {
        let chain = |matches| FilterChain {
            name: "".into(),
            matches,
            tls: None,
            transport_socket_connect_timeout: None,
            filters: Vec::new(),
            terminal: ir::Terminal::Tcp(ir::TcpProxy::to("", "c")),
            origin: None,
        };
        Listener {
            name: "l".into(),
            address: ir::Address::Socket("0.0.0.0:15006".parse().unwrap()),
            additional_addresses: Vec::new(),
            bind_to_port: true,
            use_original_dst: false,
            direction: ir::Direction::Inbound,
            listener_filters: Vec::new(),
            listener_filters_timeout: None,
            continue_on_listener_filters_timeout: false,
            filter_chains: chains.into_iter().map(chain).collect(),
            default_filter_chain: None,
            access_log: Vec::new(),
            origin: None,
        }
    }

    #[test]
    fn permissive_port_tells_mutual_tls_from_plaintext() {
        let listener = listener(vec![
            FilterChainMatch {
                destination_port: Some(80),
                transport_protocol: Some(TransportProtocol::Tls),
                application_protocols: vec!["istio".into(), "istio-http/1.1".into()],
                ..Default::default()
            },
            FilterChainMatch {
                destination_port: Some(80),
                transport_protocol: Some(TransportProtocol::RawBuffer),
                ..Default::default()
            },
            FilterChainMatch::default(),
        ]);
        let check = |port, transport, alpn: &[&str], expected| {
            let connection = Connection {
                destination: SocketAddr::from(([10, 0, 0, 1], port)),
                source: SocketAddr::from(([10, 0, 0, 2], 1)),
                direct_source: SocketAddr::from(([10, 0, 0, 2], 1)),
                transport,
                server_name: "",
                application_protocols: alpn,
            };
            assert_eq!(select(&listener, &connection), expected, "{connection:?}");
        };
        check(80, TransportProtocol::Tls, &["istio-http/1.1", "istio", "http/1.1"], Chosen::Chain(0));
        check(80, TransportProtocol::RawBuffer, &[], Chosen::Chain(1));
        // The sieve never goes back to a less specific port.
        check(80, TransportProtocol::Tls, &["h2"], Chosen::None);
        check(81, TransportProtocol::RawBuffer, &[], Chosen::Chain(2));
    }

    #[test]
    fn names_and_ranges_by_specificity() {
        let name = |n: &str| FilterChainMatch { server_names: vec![n.into()], ..Default::default() };
        let by_name = listener(vec![name("a.b.c"), name("*.b.c"), name("*.c"), FilterChainMatch::default()]);
        let net = |n: &str| FilterChainMatch {
            prefix_ranges: vec![ir::Cidr::parse(n).unwrap()],
            ..Default::default()
        };
        let by_net = listener(vec![net("10.0.0.0/8"), net("10.1.0.0/16")]);
        let go = |listener: &Listener, ip: [u8; 4], server_name: &str| {
            let connection = Connection {
                destination: SocketAddr::from((ip, 1)),
                source: SocketAddr::from(([1, 1, 1, 1], 1)),
                direct_source: SocketAddr::from(([1, 1, 1, 1], 1)),
                transport: TransportProtocol::Tls,
                server_name,
                application_protocols: &[],
            };
            select(listener, &connection)
        };
        assert_eq!(go(&by_name, [1; 4], "a.b.c"), Chosen::Chain(0));
        assert_eq!(go(&by_name, [1; 4], "x.b.c"), Chosen::Chain(1));
        assert_eq!(go(&by_name, [1; 4], "b.c"), Chosen::Chain(2));
        assert_eq!(go(&by_name, [1; 4], "z"), Chosen::Chain(3));
        assert_eq!(go(&by_net, [10, 1, 0, 1], ""), Chosen::Chain(1));
        assert_eq!(go(&by_net, [10, 2, 0, 1], ""), Chosen::Chain(0));
        assert_eq!(go(&by_net, [11, 2, 0, 1], ""), Chosen::None);
        assert!(check(&by_net).is_ok());
        assert!(check(&listener(vec![net("10.0.0.0/8"), net("10.0.0.0/8")])).is_err());
    }

    #[test]
    fn sources_by_who_connects_where_it_is_and_its_port() {
        let relay = || vec![ir::Cidr::parse("10.9.0.0/16").unwrap()];
        let by_source = listener(vec![
            FilterChainMatch { direct_source_prefix_ranges: relay(), ..Default::default() },
            FilterChainMatch { source_type: SourceType::SameIpOrLoopback, ..Default::default() },
            FilterChainMatch { source_type: SourceType::External, ..Default::default() },
            FilterChainMatch {
                source_type: SourceType::External,
                source_ports: vec![7, 8],
                ..Default::default()
            },
        ]);
        let check = |source: &str, direct: &str, expected| {
            let connection = Connection {
                destination: "10.0.0.1:80".parse().unwrap(),
                source: source.parse().unwrap(),
                direct_source: direct.parse().unwrap(),
                transport: TransportProtocol::RawBuffer,
                server_name: "",
                application_protocols: &[],
            };
            assert_eq!(select(&by_source, &connection), expected, "{connection:?}");
        };
        check("1.1.1.1:1", "10.9.1.1:1", Chosen::Chain(0));
        check("127.0.0.1:1", "127.0.0.1:1", Chosen::Chain(1));
        check("[::1]:1", "127.0.0.1:1", Chosen::Chain(1));
        check("10.0.0.1:7", "10.0.0.1:7", Chosen::Chain(1));
        check("10.0.0.2:9", "10.0.0.2:9", Chosen::Chain(2));
        check("10.0.0.2:8", "10.0.0.2:8", Chosen::Chain(3));
    }
}
