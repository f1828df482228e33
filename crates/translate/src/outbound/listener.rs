//! One outbound listener.

use std::net::SocketAddr;
use std::time::Duration;

use ir::listener::{ListenerFilter, TransportProtocol};
use ir::{Address, Direction, FilterChain, FilterChainMatch, Listener, Terminal};
use model::{Host, Origin};
use registry::View;
use stdx::Str;

use super::entry::{Entry, Http, Key};
use super::members;
use crate::egress::Egress;
use crate::findings::Findings;
use crate::names::{self, PLAINTEXT_HTTP_ALPN};
use crate::settings::Settings;
use crate::unit::ScopeKey;
use crate::{chains, dynamic_dns, hcm};

/// What a listener is built from besides its entry.
pub struct Context<'a, 'v> {
    pub view: &'a View<'v>,
    pub scope: &'a ScopeKey,
    pub settings: &'a Settings,
    pub findings: &'a Findings,
    pub egress: &'a Egress,
    pub key: Key,
}

/// Builds the listener of the context's key.
pub fn build(entry: &Entry, cx: &Context<'_, '_>) -> Listener {
    let (address, port) = cx.key;
    let members = members::chains(&entry.bytes, cx);
    let owner = members.first().map(|member| &member.chain).and_then(|chain| chain.origin.clone());
    let mut all: Vec<FilterChain> = entry.http.iter().map(|it| http(it, cx)).collect();
    // HTTP without a condition leaves nothing to others that have none either.
    all.extend(members.into_iter().map(|member| member.chain).filter(|chain| {
        entry.http.as_ref().is_none_or(|http| http.detected || chain.matches != FilterChainMatch::default())
    }));
    let (mut default, mut chains): (Vec<FilterChain>, Vec<FilterChain>) =
        all.into_iter().partition(|chain| chain.matches == FilterChainMatch::default());
    // What matches everything is the fallback, so that nothing is lost halfway through the sieve.
    let default = match default.pop() {
        Some(only) if chains.is_empty() => {
            chains.push(only);
            None
        }
        Some(chain) => Some(chain),
        None => Some(chains::unclaimed(names::PASSTHROUGH_CHAIN, cx.settings, cx.scope.data_plane)),
    };
    let (listener_filters, listener_filters_timeout) = inspectors(&chains, cx.settings);
    Listener {
        name: names::listener(address, port),
        address: Address::Socket(SocketAddr::new(address, port)),
        additional_addresses: Vec::new(),
        bind_to_port: entry.bound,
        use_original_dst: false,
        direction: Direction::Outbound,
        listener_filters,
        listener_filters_timeout: Some(listener_filters_timeout),
        continue_on_listener_filters_timeout: true,
        filter_chains: chains,
        default_filter_chain: default,
        access_log: cx.settings.listener_access_log(),
        origin: owner.filter(|_| !address.is_unspecified()),
    }
}

/// Without an inspector nothing waits for the client's bytes, so there is nothing to limit.
fn inspectors(chains: &[FilterChain], settings: &Settings) -> (Vec<ListenerFilter>, Duration) {
    let mut filters = Vec::new();
    if chains.iter().any(|chain| !chain.matches.server_names.is_empty()) {
        filters.push(ListenerFilter::TlsInspector { disabled_ports: Vec::new() });
    }
    if !chains.iter().any(|chain| !chain.matches.application_protocols.is_empty()) {
        return (filters, Duration::ZERO);
    }
    filters.push(ListenerFilter::HttpInspector { disabled_ports: Vec::new() });
    (filters, settings.protocol_detection_timeout)
}

fn http(http: &Http, cx: &Context<'_, '_>) -> FilterChain {
    let (address, port) = cx.key;
    // The listener of one service has routes of its own; all others share those of the port.
    let own = http.service.as_ref();
    let routes: Str = match (http.proxy, own) {
        (Some(proxy), _) => names::proxy_routes(proxy.own_port(port)),
        (None, Some(host)) => names::host_port(host.as_str(), port),
        (None, None) => port.to_string().into(),
    };
    let stat_prefix = format!("outbound_{}", names::listener(address, port)).into();
    let mut manager = hcm::outbound(cx.settings, cx.scope.data_plane, stat_prefix, routes, http.undeclared);
    manager.http_filters.extend(dynamic_dns::http_filters(http.dynamic.as_ref(), cx.settings, cx.scope));
    FilterChain {
        name: Str::default(),
        matches: if http.detected { plaintext_http() } else { FilterChainMatch::default() },
        tls: None,
        transport_socket_connect_timeout: None,
        filters: Vec::new(),
        terminal: Terminal::Http(Box::new(manager)),
        origin: own.and_then(|host| origin(host, cx)),
    }
}

/// What the HTTP inspector finds to be HTTP.
pub fn plaintext_http() -> FilterChainMatch {
    FilterChainMatch {
        transport_protocol: Some(TransportProtocol::RawBuffer),
        application_protocols: names::strs(&PLAINTEXT_HTTP_ALPN),
        ..FilterChainMatch::default()
    }
}

fn origin(host: &Host, cx: &Context<'_, '_>) -> Option<Origin> {
    let service = cx.egress.service(cx.view, host, cx.key.1)?;
    Some(Origin { object: service.object.clone(), field: Str::default() })
}
