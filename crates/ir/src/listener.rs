//! Listeners: where connections arrive, and which filter chain serves one.

use std::time::Duration;

use model::Origin;
use stdx::Str;

use crate::body::BodySource;
use crate::{AccessLog, Address, Cidr, DownstreamTls, HttpConnectionManager, NetworkFilter, TcpProxy};

/// `envoy.config.core.v3.TrafficDirection`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    #[default]
    Unspecified,
    Inbound,
    Outbound,
}

/// `envoy.config.listener.v3.Listener`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Listener {
    pub name: Str,
    pub address: Address,
    /// Where it is as well.
    pub additional_addresses: Vec<Address>,
    /// `false`: never bound; connections are handed over by a listener with `use_original_dst`.
    pub bind_to_port: bool,
    /// Hand a connection to the listener that is bound (or would be) to its original
    /// destination: exact address and port first, then the wildcard address, else keep it.
    pub use_original_dst: bool,
    pub direction: Direction,
    pub listener_filters: Vec<ListenerFilter>,
    /// How long listener filters may wait for bytes. `None` is Envoy's default of 15 s, zero
    /// switches it off.
    pub listener_filters_timeout: Option<Duration>,
    /// On that timeout go on with what is known instead of closing.
    pub continue_on_listener_filters_timeout: bool,
    pub filter_chains: Vec<FilterChain>,
    /// Serves what no chain matches; without it such a connection is closed.
    pub default_filter_chain: Option<FilterChain>,
    /// Logs of connections that no chain served (`NR`).
    pub access_log: Vec<AccessLog>,
    pub origin: Option<Origin>,
}

impl Listener {
    /// All of its addresses, the one that statistics call it by first.
    pub fn addresses(&self) -> impl Iterator<Item = &Address> {
        std::iter::once(&self.address).chain(&self.additional_addresses)
    }
}

/// Filters that look at a connection before a chain is chosen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ListenerFilter {
    /// `envoy.filters.listener.original_dst`: learn where the connection was going.
    OriginalDst,
    /// `envoy.filters.listener.tls_inspector`: TLS or not, server name, ALPN. Switched off for
    /// these destination ports.
    TlsInspector { disabled_ports: Vec<u16> },
    /// `envoy.filters.listener.http_inspector`: HTTP/1, HTTP/2 with prior knowledge, or not HTTP.
    HttpInspector { disabled_ports: Vec<u16> },
    /// `envoy.filters.listener.proxy_protocol`: the connection begins with a header that says who
    /// the client is.
    ProxyProtocol {
        /// A connection without the header is taken as it is.
        optional: bool,
        /// Connections with these are refused (or, if it is optional, taken as they are).
        disallowed: Vec<crate::cluster::ProxyProtocol>,
    },
}

/// One way to serve a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FilterChain {
    pub name: Str,
    pub matches: FilterChainMatch,
    /// `None`: plaintext (or bytes that nobody decrypts).
    pub tls: Option<DownstreamTls>,
    /// How long the TLS handshake may take. `None`: no limit, as Envoy.
    pub transport_socket_connect_timeout: Option<Duration>,
    /// Run in this order, once per connection.
    pub filters: Vec<NetworkFilter>,
    pub terminal: Terminal,
    pub origin: Option<Origin>,
}

/// The last network filter, which owns the connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Terminal {
    Http(Box<HttpConnectionManager>),
    Tcp(TcpProxy),
    /// `envoy.filters.network.direct_response`: these bytes, then the end.
    Direct(BodySource),
}

/// Which connections a chain serves, as Envoy's sieve: criteria are tried in the order of the
/// fields, and at each the most specific chains remain.
/// See <https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/config/listener/v3/listener_components.proto#config-listener-v3-filterchainmatch>.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilterChainMatch {
    pub destination_port: Option<u16>,
    /// Of the (original) destination.
    pub prefix_ranges: Vec<Cidr>,
    /// Exact, or `*.suffix`. Lower case.
    pub server_names: Vec<Str>,
    pub transport_protocol: Option<TransportProtocol>,
    /// By ALPN, or by the HTTP inspector (`http/1.0`, `http/1.1`, `h2c`).
    pub application_protocols: Vec<Str>,
    /// Of who has connected, whoever it speaks for.
    pub direct_source_prefix_ranges: Vec<Cidr>,
    pub source_type: SourceType,
    pub source_prefix_ranges: Vec<Cidr>,
    pub source_ports: Vec<u16>,
}

/// Where a client is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SourceType {
    #[default]
    Any,
    /// At the address that it connects to, or at 127.0.0.1 or ::1.
    SameIpOrLoopback,
    External,
}

/// What the TLS inspector found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TransportProtocol {
    Tls,
    RawBuffer,
}

impl TransportProtocol {
    pub fn as_str(self) -> &'static str {
        match self {
            TransportProtocol::Tls => "tls",
            TransportProtocol::RawBuffer => "raw_buffer",
        }
    }
}
