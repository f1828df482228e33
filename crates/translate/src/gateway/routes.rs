//! The route configurations of a gateway's port: a virtual host for each host that both a server
//! of the port and a VirtualService bound to its Gateway name; the routes of all such
//! VirtualServices in order, those that take everything last.

use std::collections::BTreeMap;
use std::sync::Arc;

use ir::route::RequireTls;
use ir::{Route, RouteConfig, VirtualHost};
use istio_api::networking::VirtualService;
use model::{Host, ObjectRef, Origin};
use registry::{Config, Export, View};
use stdx::Str;

use super::listener::{route_name, server_route_name};
use super::servers::{self, Bound, Key};
use super::{chains, hosts};
use crate::findings::Findings;
use crate::names;
use crate::routes::conditions::takes_everything;
use crate::routes::virtual_service::{self, Routes};
use crate::settings::Settings;
use crate::unit::ScopeKey;

/// The configuration that all plain HTTP servers of a port share.
pub fn build(view: &View<'_>, scope: &ScopeKey, settings: &Settings, key: Key) -> Option<RouteConfig> {
    // The plan reports what is to be said of the servers.
    let servers = servers::of(view, scope, &Findings::default());
    let plain: Vec<&Bound> = servers.get(&key)?.iter().filter(|bound| bound.is_plain_http()).collect();
    of_servers(view, scope, settings, route_name(key), &plain)
}

/// The configuration of one server that terminates TLS, by its port's name.
pub fn build_server(
    view: &View<'_>,
    scope: &ScopeKey,
    settings: &Settings,
    key: Key,
    gateway: &ObjectRef,
    server: &str,
) -> Option<RouteConfig> {
    let servers = servers::of(view, scope, &Findings::default());
    let wanted = |bound: &&Bound| {
        bound.is_https()
            && bound.gateway.object == *gateway
            && bound.server().is_some_and(|own| own.port.name == *server)
    };
    let found: Vec<&Bound> = servers.get(&key)?.iter().find(wanted).into_iter().collect();
    of_servers(view, scope, settings, server_route_name(key, gateway, server), &found)
}

fn of_servers(
    view: &View<'_>,
    scope: &ScopeKey,
    settings: &Settings,
    name: Str,
    servers: &[&Bound],
) -> Option<RouteConfig> {
    let port = servers.first()?.server()?.port.number;
    let mut merged: BTreeMap<Host, Merged> = BTreeMap::new();
    for bound in servers {
        add(&mut merged, bound, view, scope, settings);
        redirect(&mut merged, bound);
    }
    let virtual_hosts = if merged.is_empty() { vec![Arc::new(blackhole(port))] } else { collapse(merged) };
    Some(RouteConfig { name, virtual_hosts, ignore_port_in_host_matching: true, ..RouteConfig::default() })
}

/// What is known of a host so far.
struct Merged {
    /// Of the server.
    port: u16,
    routes: Vec<Route>,
    /// Plaintext is sent to https.
    require_tls: bool,
    origin: Origin,
}

/// `httpsRedirect`: for all hosts of the server, those without routes too.
fn redirect(merged: &mut BTreeMap<Host, Merged>, bound: &Bound) {
    let Some(server) = bound.server() else { return };
    if !server.tls.as_ref().is_some_and(|tls| tls.https_redirect) {
        return;
    }
    let covered: Vec<Host> = server.hosts.iter().map(|host| servers::host_of(host)).collect();
    for host in &covered {
        merged.entry(host.clone()).or_insert_with(|| Merged {
            port: server.port.number,
            routes: Vec::new(),
            require_tls: true,
            origin: chains::origin(bound),
        });
    }
    let hosts = merged.iter_mut().filter(|(host, _)| covered.iter().any(|own| own.covers(host)));
    hosts.for_each(|(_, entry)| entry.require_tls = true);
}

fn add(
    merged: &mut BTreeMap<Host, Merged>,
    bound: &Bound,
    view: &View<'_>,
    scope: &ScopeKey,
    settings: &Settings,
) {
    let Some(server) = bound.server() else { return };
    let gateway = &bound.gateway.object;
    for rule in view.gateway_virtual_services(&gateway.namespace, &gateway.name) {
        if !visible(view, scope, &rule) {
            continue;
        }
        let namespace = &rule.object.namespace;
        let wanted: Vec<Host> = rule.spec.hosts.iter().map(|host| view.resolve(host, namespace)).collect();
        let served = servers::hosts_for(server, &gateway.namespace, namespace);
        let both = hosts::intersection(&served, &wanted);
        if both.is_empty() {
            continue;
        }
        let name = format!("{}/{}", gateway.namespace, gateway.name);
        let tls = server.tls.is_some();
        let found = routes(view, scope, settings, &rule, server.port.number, &name, tls);
        // A host whose rules cannot be honoured has no routes: another's must not take its place.
        if found.routes.is_empty() && !found.dropped {
            continue;
        }
        for host in both {
            let entry = merged.entry(host).or_insert_with(|| Merged {
                port: server.port.number,
                routes: Vec::new(),
                require_tls: false,
                origin: rule.origin(""),
            });
            entry.routes.extend(found.routes.iter().cloned());
        }
    }
}

pub fn visible(view: &View<'_>, scope: &ScopeKey, rule: &Config<VirtualService>) -> bool {
    let default = &view.mesh().default_virtual_service_export_to;
    Export::new(&rule.spec.export_to, default, &rule.object.namespace).sees(&scope.namespace)
}

fn routes(
    view: &View<'_>,
    scope: &ScopeKey,
    settings: &Settings,
    rule: &Config<VirtualService>,
    port: u16,
    gateway: &str,
    tls: bool,
) -> Routes {
    let context = virtual_service::Context { view, scope, settings, port, gateway, tls };
    virtual_service::routes(rule, &context)
}

fn require_tls(all: bool) -> RequireTls {
    if all { RequireTls::All } else { RequireTls::None }
}

/// Hosts with the same routes share a virtual host, named after the most specific.
fn collapse(merged: BTreeMap<Host, Merged>) -> Vec<Arc<VirtualHost>> {
    let mut merged: Vec<(Host, Merged)> = merged.into_iter().collect();
    merged.sort_by(|(a, _), (b, _)| hosts::by_specificity(a, b));
    let mut virtual_hosts: Vec<VirtualHost> = Vec::new();
    for (host, entry) in merged {
        let (last, first): (Vec<Route>, Vec<Route>) =
            entry.routes.into_iter().partition(|route| takes_everything(&route.matches));
        let routes: Vec<Route> = first.into_iter().chain(last).collect();
        match virtual_hosts
            .iter_mut()
            .find(|known| known.routes == routes && known.require_tls == require_tls(entry.require_tls))
        {
            Some(known) => known.domains.push(host.to_str()),
            None => virtual_hosts.push(VirtualHost {
                name: names::host_port(host.as_str(), entry.port),
                domains: vec![host.to_str()],
                routes,
                include_request_attempt_count: true,
                require_tls: require_tls(entry.require_tls),
                origin: Some(entry.origin),
                ..VirtualHost::default()
            }),
        }
    }
    virtual_hosts.sort_by(|a, b| a.name.cmp(&b.name));
    virtual_hosts.into_iter().map(Arc::new).collect()
}

/// Nobody serves anything here: every request is answered 404.
fn blackhole(port: u16) -> VirtualHost {
    VirtualHost {
        name: Str::from(format!("blackhole:{port}")),
        domains: vec!["*".into()],
        ..VirtualHost::default()
    }
}
