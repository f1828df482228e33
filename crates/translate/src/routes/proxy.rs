//! The route configuration of a listener that applications use as an HTTP proxy (`proxyHttpPort`, ports with
//! the protocol `HTTP_PROXY`): requests say themselves which host and port they are for, whatever port they
//! come in on.

use std::collections::BTreeSet;
use std::sync::Arc;

use ir::{RouteConfig, VirtualHost};
use model::Protocol;
use registry::View;
use stdx::Str;

use super::sidecar::{Context, hosts_of_port};
use super::standard;
use crate::egress::Egress;
use crate::names;
use crate::settings::{Outbound, Settings};
use crate::unit::ScopeKey;

/// What a URL without a port means.
const HTTP: u16 = 80;

/// Builds the configuration for the proxy of a Sidecar on `port`, or of the mesh.
pub fn build(view: &View<'_>, scope: &ScopeKey, settings: &Settings, port: Option<u16>) -> RouteConfig {
    let egress = &Egress::of(view, scope).through_proxy(port);
    let mut virtual_hosts: Vec<Arc<VirtualHost>> = Vec::new();
    for port in ports(view, egress) {
        let hosts = hosts_of_port(&Context { view, scope, settings, port, egress });
        virtual_hosts.extend(hosts.into_iter().filter_map(|host| on_port(host, port)));
    }
    virtual_hosts.push(Arc::new(standard::unclaimed(&unclaimed(&settings.outbound))));
    // Names without a port are among the domains. Istio ignores ports here as it does elsewhere, and
    // reaches services on port 80 alone.
    RouteConfig {
        name: names::proxy_routes(port),
        virtual_hosts,
        ignore_port_in_host_matching: false,
        ..RouteConfig::default()
    }
}

/// All that services speak HTTP on; on the first of them VirtualServices route other hosts, too.
fn ports(view: &View<'_>, egress: &Egress) -> BTreeSet<u16> {
    let services = egress.services(view);
    let ports = services.iter().flat_map(|service| &service.ports);
    let http = ports.filter(|port| port.protocol.is_http() || port.protocol == Protocol::Auto);
    http.map(|port| port.number).chain([HTTP]).collect()
}

/// `None`: it is for whatever is not named.
fn on_port(mut host: Arc<VirtualHost>, port: u16) -> Option<Arc<VirtualHost>> {
    let named = |domain: &Str| Str::from(format!("{domain}:{port}"));
    let bare: Vec<Str> = host.domains.iter().filter(|it| it.as_str() != "*").cloned().collect();
    let mut domains: Vec<Str> = bare.iter().map(named).collect();
    if port == HTTP {
        domains.extend(bare);
    }
    if domains.is_empty() {
        return None;
    }
    Arc::make_mut(&mut host).domains = domains;
    Some(host)
}

/// Connections came to the proxy itself, so there is no address to send on to what nobody has declared:
/// it goes nowhere, as in Envoy.
fn unclaimed(outbound: &Outbound) -> Outbound {
    match outbound {
        Outbound::AllowAny => Outbound::Through(names::BLACK_HOLE_CLUSTER.into()),
        other => other.clone(),
    }
}
