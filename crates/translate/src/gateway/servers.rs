//! The servers of all Gateways that select a workload, by the port they are bound to.

use std::collections::BTreeMap;
use std::net::IpAddr;

use istio_api::PortRef;
use istio_api::networking::{Gateway, Server};
use model::{Host, Level};
use registry::{Config, Service, View};

use crate::findings::{Findings, GATEWAY_CONFLICT, NO_EFFECT};
use crate::inbound::targets::named_port;
use crate::unit::ScopeKey;

/// The address (`None`: all) and port of a listener.
pub type Key = (Option<IpAddr>, u16);

/// A server, and the Gateway that has it.
pub struct Bound {
    pub gateway: Config<Gateway>,
    pub index: usize,
}

impl Bound {
    pub fn server(&self) -> Option<&Server> {
        self.gateway.spec.servers.get(self.index)
    }
}

/// All servers that open a port, older Gateways first.
pub fn of(view: &View<'_>, scope: &ScopeKey, findings: &Findings) -> BTreeMap<Key, Vec<Bound>> {
    let gateways = view.gateways(&scope.labels);
    let services: Vec<_> = view
        .services_in(&scope.namespace)
        .into_iter()
        .filter(|service| service.selects(&scope.labels))
        .collect();
    let mut servers: BTreeMap<Key, Vec<Bound>> = BTreeMap::new();
    for gateway in gateways {
        for (index, server) in gateway.spec.servers.iter().enumerate() {
            // Reported where it was read.
            if !server.unsupported.is_empty() || !server.port.protocol.is_http() {
                continue;
            }
            let bind = match server.bind.as_deref().map(str::parse::<IpAddr>) {
                None => None,
                Some(Ok(address)) if address.is_unspecified() => None,
                Some(Ok(address)) => Some(address),
                Some(Err(_)) => {
                    let field = format!("{}.bind", server.path);
                    let message = "is no IP address: this server opens no port";
                    findings.report(Level::Error, NO_EFFECT, &gateway.object, &field, message);
                    continue;
                }
            };
            let port = workload_port(view, scope, &services, server.port.number);
            servers.entry((bind, port)).or_default().push(Bound { gateway: gateway.clone(), index });
        }
    }
    report_reserved(&servers, findings);
    servers
}

/// A server names a port of the Service in front of the workload; without one, the workload's own.
fn workload_port(
    view: &View<'_>,
    scope: &ScopeKey,
    services: &[&std::sync::Arc<Service>],
    number: u16,
) -> u16 {
    let declared = services.iter().find_map(|service| service.port(number));
    let target = declared.and_then(|port| match &port.target_port {
        PortRef::Number(number) => Some(*number),
        PortRef::Name(name) => named_port(view, scope, name),
    });
    target.unwrap_or(number)
}

/// The agent and the proxy listen on ports of their own in every pod.
fn report_reserved(servers: &BTreeMap<Key, Vec<Bound>>, findings: &Findings) {
    const RESERVED: [u16; 4] = [15000, 15020, 15021, 15090];
    for ((_, port), bound) in servers.iter().filter(|((_, port), _)| RESERVED.contains(port)) {
        for bound in bound {
            let field =
                bound.server().map(|server| format!("{}.port.number", server.path)).unwrap_or_default();
            let message = format!("port {port} of the gateway is the proxy's own");
            findings.report(Level::Error, GATEWAY_CONFLICT, &bound.gateway.object, &field, message);
        }
    }
}

/// The hosts of a server that a VirtualService of `namespace` may have.
pub fn hosts_for(server: &Server, gateway_namespace: &str, namespace: &str) -> Vec<Host> {
    let allowed = |written: &str| {
        let (owner, host) = written.split_once('/').unwrap_or(("*", written));
        let owner = if owner == "." { gateway_namespace } else { owner };
        (owner == "*" || owner == namespace).then(|| Host::new(host))
    };
    server.hosts.iter().filter_map(|written| allowed(written)).collect()
}
