//! Which of the workload's ports which services expose.

use std::collections::BTreeMap;
use std::sync::Arc;

use istio_api::PortRef;
use model::{Level, Origin, Protocol};
use registry::{Service, ServicePort, View};

use crate::findings::{Findings, INBOUND_CONFLICT};
use crate::unit::ScopeKey;

/// A port of the workload.
pub struct Target<'a> {
    pub port: u16,
    /// The oldest service that exposes it decides how it is served.
    pub service: &'a Arc<Service>,
    pub service_port: &'a ServicePort,
    /// All of them, the oldest first.
    pub services: Vec<&'a Arc<Service>>,
}

impl Target<'_> {
    pub fn origin(&self) -> Origin {
        Origin { object: self.service.object.clone(), field: "".into() }
    }
}

/// The ports by number. A port is the workload's if a service selects its labels, or lists one of
/// its addresses.
pub fn of<'a>(view: &View<'a>, scope: &ScopeKey, findings: &Findings) -> Vec<Target<'a>> {
    let mut services = view.services_in(&scope.namespace);
    services.sort_by(|a, b| (a.created, &a.name, &a.host).cmp(&(b.created, &b.name, &b.host)));
    let mut targets: BTreeMap<u16, Target<'a>> = BTreeMap::new();
    for service in services {
        for port in service.ports.iter().filter(|port| port.protocol != Protocol::Udp) {
            for number in target_ports(view, scope, service, port) {
                match targets.get_mut(&number) {
                    Some(target) => add(target, service, port, findings),
                    None => {
                        let services = vec![service];
                        targets
                            .insert(number, Target { port: number, service, service_port: port, services });
                    }
                }
            }
        }
    }
    targets.into_values().collect()
}

fn target_ports(view: &View<'_>, scope: &ScopeKey, service: &Arc<Service>, port: &ServicePort) -> Vec<u16> {
    if service.selects(&scope.labels) {
        return match &port.target_port {
            PortRef::Number(number) => vec![*number],
            PortRef::Name(name) => named_port(view, scope, name).into_iter().collect(),
        };
    }
    let endpoints = view.endpoints(service, port.number);
    let own = endpoints.iter().filter(|endpoint| scope.addresses.contains(&endpoint.address));
    let mut ports: Vec<u16> = own.map(|endpoint| endpoint.port).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// The container's port of this name.
pub fn named_port(view: &View<'_>, scope: &ScopeKey, name: &str) -> Option<u16> {
    let workload = scope.addresses.iter().find_map(|address| view.workload_at(*address))?;
    workload.ports.iter().find(|(own, _)| *own == *name).map(|(_, number)| *number)
}

fn add<'a>(target: &mut Target<'a>, service: &'a Arc<Service>, port: &ServicePort, findings: &Findings) {
    if !target.services.iter().any(|known| known.host == service.host) {
        target.services.push(service);
    }
    if target.service.host != service.host && target.service_port.protocol != port.protocol {
        let message = format!(
            "port {} of the workload is served as {:?}, as the older {} says, not as {:?}",
            target.port, target.service_port.protocol, target.service.object, port.protocol
        );
        findings.report(Level::Warning, INBOUND_CONFLICT, &service.object, "spec.ports", message);
    }
}
