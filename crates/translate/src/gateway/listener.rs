//! A gateway's listener.

use std::net::SocketAddr;

use ir::listener::ListenerFilter;
use ir::{Address, Direction, FilterChain, FilterChainMatch, Listener, Terminal};
use model::ObjectRef;
use registry::View;
use stdx::Str;

use super::chains::{self, Context};
use super::servers::{self, Bound, Key};
use crate::findings::Findings;
use crate::settings::Settings;
use crate::unit::ScopeKey;
use crate::{authz, hcm, names, proxy_headers};

/// The listener of a port that some server opens; `None` if nothing is served there.
pub fn build(
    view: &View<'_>,
    scope: &ScopeKey,
    settings: &Settings,
    findings: &Findings,
    key: Key,
) -> Option<Listener> {
    // What is to be said of servers together, the plan says.
    let servers = servers::of(view, scope, &Findings::default());
    let servers = servers.get(&key)?;
    let policies = view.authorization(&scope.namespace, &scope.labels);
    let policies: Vec<_> = policies.iter().map(|config| (&config.object, &*config.spec)).collect();
    let cx = Context { view, scope, settings, findings, policies: &policies, key };
    let filter_chains = match servers.first()?.is_plain_http() {
        true => vec![plain_http(servers.first()?, &cx)],
        false => {
            let all = servers.iter().flat_map(|bound| chains::of_server(bound, &cx)).collect();
            chains::distinct(all, &cx)
        }
    };
    if filter_chains.is_empty() {
        return None;
    }
    let (bind, port) = key;
    let address = bind.unwrap_or_else(|| scope.wildcard());
    let looks = servers.iter().any(|bound| bound.tls_mode().is_some());
    let inspector = looks.then(|| ListenerFilter::TlsInspector { disabled_ports: Vec::new() });
    Some(Listener {
        name: names::listener(address, port),
        address: Address::Socket(SocketAddr::new(address, port)),
        additional_addresses: Vec::new(),
        bind_to_port: true,
        use_original_dst: false,
        direction: Direction::Outbound,
        listener_filters: proxy_headers::listener_filter(settings).into_iter().chain(inspector).collect(),
        // Envoy's default: whoever connects and says nothing is not waited for longer.
        listener_filters_timeout: None,
        continue_on_listener_filters_timeout: false,
        filter_chains,
        default_filter_chain: None,
        access_log: settings.listener_access_log(),
        origin: servers.first().map(chains::origin),
    })
}

/// All plain HTTP of a port is one chain; hosts are told apart by the routes.
fn plain_http(first: &Bound, cx: &Context<'_, '_>) -> FilterChain {
    let (bind, port) = cx.key;
    let stat_prefix =
        format!("outbound_{}", names::listener(bind.unwrap_or(cx.scope.wildcard()), port)).into();
    let rbac = authz::http(cx.policies);
    let manager = hcm::gateway(cx.settings, cx.scope.data_plane, stat_prefix, route_name(cx.key), rbac);
    FilterChain {
        name: Str::default(),
        matches: FilterChainMatch::default(),
        tls: None,
        transport_socket_connect_timeout: None,
        filters: Vec::new(),
        terminal: Terminal::Http(Box::new(manager)),
        origin: Some(chains::origin(first)),
    }
}

/// `http.PORT`, and the address if the listener has one of its own.
pub fn route_name((bind, port): Key) -> Str {
    match bind {
        None => format!("http.{port}").into(),
        Some(address) => format!("http.{port}.{address}").into(),
    }
}

/// `https.PORT.NAME.GATEWAY.NAMESPACE`, and the address likewise, of a server by its port's name.
pub fn server_route_name((bind, port): Key, gateway: &ObjectRef, server: &str) -> Str {
    let (name, namespace) = (&gateway.name, &gateway.namespace);
    match bind {
        None => format!("https.{port}.{server}.{name}.{namespace}").into(),
        Some(address) => format!("https.{port}.{server}.{name}.{namespace}.{address}").into(),
    }
}
