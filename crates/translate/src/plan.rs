//! Which units a proxy needs.

use model::{Node, NodeType, Protocol};
use registry::{Resolution, Service, View};

use crate::egress::Egress;
use crate::findings::Findings;
use crate::gateway;
use crate::inbound::ingress;
use crate::outbound::entry::Entry;
use crate::outbound::wishes;
use crate::unit::{Plan, Unit, scope};

/// The list of units that this proxy needs, each once. What it depends on is recorded in `view`.
pub fn plan(view: &View<'_>, node: &Node) -> Plan {
    // The scopes of units depend on it, and are found anew whenever the plan is.
    view.client_labels(&node.labels);
    let findings = Findings::default();
    let mut units = vec![Unit::FixedClusters, Unit::NameTable];
    match node.node_type {
        NodeType::Sidecar => sidecar(view, node, &mut units),
        NodeType::Router => router(view, node, &findings, &mut units),
    }
    units.sort_by(|a, b| (a.ty(), a).cmp(&(b.ty(), b)));
    Plan { units, findings: findings.into_vec() }
}

fn clusters_and_endpoints<'s>(services: impl Iterator<Item = &'s Service>, units: &mut Vec<Unit>) {
    for service in services {
        units.push(Unit::Clusters(service.host.clone()));
        if service.resolution == Resolution::ClientSideLb {
            let ports = service.ports.iter().filter(|port| port.protocol != Protocol::Udp);
            units.extend(ports.map(|port| Unit::Endpoints { host: service.host.clone(), port: port.number }));
        }
    }
}

fn sidecar(view: &View<'_>, node: &Node, units: &mut Vec<Unit>) {
    let inbound = scope(view, node, &Unit::VirtualInbound);
    let egress = Egress::of(view, &inbound);
    clusters_and_endpoints(egress.services(view).into_iter().map(|service| &**service), units);
    units.push(Unit::InboundClusters);
    if !node.uncaptured {
        units.extend([Unit::VirtualOutbound, Unit::VirtualInbound]);
    }
    units.extend(ingress::listeners(view, &inbound).into_iter().map(|port| Unit::IngressListener { port }));
    for ((address, port), entry) in wishes::entries(view, node, &egress) {
        units.extend(routes_of(port, &entry));
        units.push(Unit::OutboundListener { address, port, entry });
    }
    units.sort();
    units.dedup();
}

/// The route configuration that a listener asks for.
fn routes_of(port: u16, entry: &Entry) -> Option<Unit> {
    let http = entry.http.as_ref()?;
    Some(match (http.proxy, &http.service) {
        (Some(proxy), _) => Unit::ProxyRoutes { port: proxy.own_port(port) },
        (None, Some(host)) => Unit::ServiceRoutes { host: host.clone(), port },
        (None, None) => Unit::Routes { port },
    })
}

fn router(view: &View<'_>, node: &Node, findings: &Findings, units: &mut Vec<Unit>) {
    let services = view.services(&node.namespace);
    clusters_and_endpoints(services.into_iter().map(|service| &**service), units);
    let scope = scope(view, node, &Unit::GatewayListener { bind: None, port: 0 });
    units.extend(gateway::plan::units(view, &scope, findings, node.verified));
    if node.verified {
        units.extend(gateway::credentials::of_clients(view, &scope).into_iter().map(Unit::Credential));
    }
    units.sort();
    units.dedup();
}
