//! The units of a gateway.

use istio_api::networking::ServerTlsMode;
use registry::View;

use super::servers::{self, Bound, Key};
use super::{chains, credentials};
use crate::findings::Findings;
use crate::unit::{ScopeKey, Unit};

/// The listeners of all ports, and what they ask for: route configurations, clusters and, for a node
/// that is `verified`, secrets.
pub fn units(view: &View<'_>, scope: &ScopeKey, findings: &Findings, verified: bool) -> Vec<Unit> {
    let mut units = Vec::new();
    for (key, bound) in servers::of(view, scope, findings) {
        let (bind, port) = key;
        units.push(Unit::GatewayListener { bind, port });
        if bound.iter().any(Bound::is_plain_http) {
            units.push(Unit::GatewayRoutes { bind, port });
        }
        units.extend(bound.iter().filter(|bound| bound.is_https()).filter_map(|bound| of_server(key, bound)));
        if verified {
            units.extend(
                bound
                    .iter()
                    .flat_map(|bound| credentials::named_by(bound, &scope.namespace))
                    .map(Unit::Credential),
            );
        }
        let automatic = |bound: &&Bound| bound.tls_mode() == Some(ServerTlsMode::AutoPassthrough);
        for bound in bound.iter().filter(automatic) {
            let services = chains::passed_to(bound, view, scope);
            units.extend(services.into_iter().map(|service| Unit::PassthroughClusters(service.host.clone())));
        }
    }
    units.sort();
    units.dedup();
    units
}

fn of_server((bind, port): Key, bound: &Bound) -> Option<Unit> {
    let server = bound.server()?.port.name.clone();
    Some(Unit::GatewayServerRoutes { bind, port, gateway: bound.gateway.object.clone(), server })
}
