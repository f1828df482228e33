//! Which units a proxy needs.

use std::net::IpAddr;

use model::{Host, Level, Node, NodeType, Protocol};
use registry::{Resolution, Service, ServicePort, View};

use crate::findings::{Findings, LISTENER_CONFLICT};
use crate::gateway::servers;
use crate::outbound::conflict::{self, Conflict, Entry, Wish};
use crate::unit::{Plan, Unit, asks_for_names, is_ipv6, scope, wildcard};

/// The list of units that this proxy needs, each once. What it depends on is recorded in `view`.
pub fn plan(view: &View<'_>, node: &Node) -> Plan {
    let mut services: Vec<&Service> = view.services(&node.namespace).into_iter().map(|s| &**s).collect();
    // Where services exclude each other the oldest wins.
    services.sort_by(|a, b| {
        (a.created, &a.name, &a.namespace, &a.host).cmp(&(b.created, &b.name, &b.namespace, &b.host))
    });
    // The scopes of units depend on it, and are found anew whenever the plan is.
    view.client_labels(&node.labels);
    let findings = Findings::default();
    let mut units = vec![Unit::FixedClusters];
    clusters_and_endpoints(&services, &mut units);
    match node.node_type {
        NodeType::Sidecar => sidecar(view, node, &services, &findings, &mut units),
        NodeType::Router => router(view, node, &mut units),
    }
    units.push(Unit::NameTable);
    units.sort_by(|a, b| (a.ty(), a).cmp(&(b.ty(), b)));
    Plan { units, findings: findings.into_vec() }
}

fn clusters_and_endpoints(services: &[&Service], units: &mut Vec<Unit>) {
    for service in services {
        units.push(Unit::Clusters(service.host.clone()));
        if service.resolution == Resolution::ClientSideLb {
            let ports = service.ports.iter().filter(|port| port.protocol != Protocol::Udp);
            units.extend(ports.map(|port| Unit::Endpoints { host: service.host.clone(), port: port.number }));
        }
    }
}

fn sidecar(view: &View<'_>, node: &Node, services: &[&Service], findings: &Findings, units: &mut Vec<Unit>) {
    units.extend([Unit::InboundClusters, Unit::VirtualOutbound, Unit::VirtualInbound]);
    let mut wishes = Vec::new();
    for service in services {
        for port in service.ports.iter().filter(|port| port.protocol != Protocol::Udp) {
            wish(view, node, service, port, &mut wishes);
        }
    }
    let (entries, conflicts) = conflict::settle(wishes);
    report(services, &conflicts, findings);
    for ((address, port), entry) in entries {
        units.extend(routes_of(address, port, &entry));
        units.push(Unit::OutboundListener { address, port, entry });
    }
}

/// Where a port of a service wants to be served.
fn wish(view: &View<'_>, node: &Node, service: &Service, port: &ServicePort, wishes: &mut Vec<Wish>) {
    let any = wildcard(is_ipv6(node));
    let mut at = |address: IpAddr| {
        let wildcard = address.is_unspecified();
        wishes.push(Wish {
            key: (address, port.number),
            host: service.host.clone(),
            protocol: port.protocol,
            wildcard,
        });
    };
    if port.protocol.is_http() {
        return at(any);
    }
    if service.resolution == Resolution::Headless {
        // One listener for each pod but the node itself, whose own traffic does not come this way.
        let endpoints = view.endpoints(service, port.number);
        let mut addresses: Vec<IpAddr> = endpoints.iter().map(|endpoint| endpoint.address).collect();
        addresses.dedup();
        return addresses.into_iter().filter(|address| !node.addresses.contains(address)).for_each(at);
    }
    match service.addresses_for(asks_for_names(view, node)).as_slice() {
        [] => at(any),
        addresses => addresses.iter().copied().for_each(at),
    }
}

/// The route configuration that a listener asks for.
fn routes_of(address: IpAddr, port: u16, entry: &Entry) -> Option<Unit> {
    match (entry.http, entry.detected.first()) {
        (false, _) => None,
        (true, Some(host)) if !address.is_unspecified() => {
            Some(Unit::ServiceRoutes { host: host.clone(), port })
        }
        (true, _) => Some(Unit::Routes { port }),
    }
}

fn report(services: &[&Service], conflicts: &[Conflict], findings: &Findings) {
    let object =
        |host: &Host| services.iter().find(|service| service.host == *host).map(|service| &service.object);
    for Conflict { key: (address, port), host, winner } in conflicts {
        if let (Some(loser), Some(winner)) = (object(host), object(winner)) {
            let message = format!(
                "{address}:{port} is the older {winner}'s: sidecars do not serve port {port} of {host} as bytes"
            );
            findings.report(Level::Warning, LISTENER_CONFLICT, loser, "spec.ports", message);
        }
    }
}

fn router(view: &View<'_>, node: &Node, units: &mut Vec<Unit>) {
    let scope = scope(view, node, &Unit::GatewayListener { bind: None, port: 0 });
    for (bind, port) in servers::of(view, &scope, &Findings::default()).into_keys() {
        units.extend([Unit::GatewayListener { bind, port }, Unit::GatewayRoutes { bind, port }]);
    }
}
