//! From the port that a server names to the one that its workload opens.

use std::sync::Arc;

use istio_api::PortRef;
use registry::{Service, View};

use crate::inbound::targets::named_port;
use crate::unit::ScopeKey;

/// The services in front of a gateway, the oldest first.
pub struct InFront<'v> {
    services: Vec<&'v Arc<Service>>,
}

impl<'v> InFront<'v> {
    pub fn of(view: &View<'v>, scope: &ScopeKey) -> Self {
        let mut services = view.services_in(&scope.namespace);
        services.retain(|service| !service.gateway_ports_as_they_are && is_in_front(view, scope, service));
        crate::outbound::wishes::by_age(&mut services);
        InFront { services }
    }

    /// A server names a port of a Service in front of the workload; without one, the workload's own.
    pub fn workload_port(&self, view: &View<'_>, scope: &ScopeKey, number: u16) -> u16 {
        let found = self.services.iter().find_map(|service| {
            let port = service.port(number)?;
            let own = endpoint_port(view, scope, service, number);
            own.or_else(|| match &port.target_port {
                PortRef::Number(number) => Some(*number),
                PortRef::Name(name) => named_port(view, scope, name),
            })
        });
        found.unwrap_or(number)
    }
}

fn is_in_front(view: &View<'_>, scope: &ScopeKey, service: &Service) -> bool {
    service.selects(&scope.labels)
        || service.ports.iter().any(|port| endpoint_port(view, scope, service, port.number).is_some())
}

fn endpoint_port(view: &View<'_>, scope: &ScopeKey, service: &Service, number: u16) -> Option<u16> {
    let endpoints = view.endpoints(service, number);
    let own = endpoints.iter().find(|endpoint| scope.addresses.contains(&endpoint.address));
    own.map(|endpoint| endpoint.port)
}
