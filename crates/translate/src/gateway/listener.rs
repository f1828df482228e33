//! A gateway's listener.

use std::net::SocketAddr;

use ir::{Address, Direction, FilterChain, FilterChainMatch, Listener, Terminal};
use model::Origin;
use registry::View;
use stdx::Str;

use super::servers::{self, Key};
use crate::findings::Findings;
use crate::settings::Settings;
use crate::unit::ScopeKey;
use crate::{authz, hcm, names};

/// The listener of a port that some server opens.
pub fn build(
    view: &View<'_>,
    scope: &ScopeKey,
    settings: &Settings,
    findings: &Findings,
    key: Key,
) -> Option<Listener> {
    let servers = servers::of(view, scope, findings);
    let first = servers.get(&key)?.first()?;
    let field = first.server().map(|server| server.path.clone()).unwrap_or_default();
    let origin = Origin { object: first.gateway.object.clone(), field };
    let policies = view.authorization(&scope.namespace, &scope.labels);
    let policies: Vec<_> = policies.iter().map(|config| (&config.object, &*config.spec)).collect();

    let (bind, port) = key;
    let address = bind.unwrap_or_else(|| scope.wildcard());
    let name = names::listener(address, port);
    let stat_prefix = format!("outbound_{name}").into();
    let manager =
        hcm::gateway(settings, scope.data_plane, stat_prefix, route_name(key), authz::http(&policies));
    let chain = FilterChain {
        name: Str::default(),
        matches: FilterChainMatch::default(),
        tls: None,
        transport_socket_connect_timeout: None,
        filters: Vec::new(),
        terminal: Terminal::Http(Box::new(manager)),
        origin: Some(origin.clone()),
    };
    Some(Listener {
        name,
        address: Address::Socket(SocketAddr::new(address, port)),
        bind_to_port: true,
        use_original_dst: false,
        direction: Direction::Outbound,
        listener_filters: Vec::new(),
        listener_filters_timeout: None,
        continue_on_listener_filters_timeout: false,
        filter_chains: vec![chain],
        default_filter_chain: None,
        access_log: settings.listener_access_log(),
        origin: Some(origin),
    })
}

/// `http.PORT`, and the address if the listener has one of its own.
pub fn route_name((bind, port): Key) -> Str {
    match bind {
        None => format!("http.{port}").into(),
        Some(address) => format!("http.{port}.{address}").into(),
    }
}
