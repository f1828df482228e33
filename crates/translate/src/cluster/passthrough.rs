//! Clusters by which a gateway passes mutual TLS on to a service (AUTO_PASSTHROUGH): named like the
//! server name that asks for them, with the endpoints of the service's own clusters and no TLS.

use ir::cluster::Thresholds;
use ir::{Cluster, ClusterDiscovery, LbPolicy};
use model::{Origin, Protocol};
use registry::{Resolution, Service, View};

use super::outbound::service_ref;
use crate::names;
use crate::settings::Settings;
use crate::unit::ScopeKey;

/// One for each port, and for each subset of it.
pub fn clusters(view: &View<'_>, scope: &ScopeKey, settings: &Settings, service: &Service) -> Vec<Cluster> {
    if service.resolution != Resolution::ClientSideLb {
        return Vec::new();
    }
    let rule = view.destination_rule(&scope.namespace, service);
    let subsets = rule.iter().flat_map(|rule| &rule.subsets).map(|merged| merged.subset.name.as_str());
    let subsets: Vec<&str> = std::iter::once("").chain(subsets).collect();
    let host = service.host.as_str();
    let ports = service.ports.iter().filter(|port| port.protocol != Protocol::Udp);
    let each = ports.flat_map(|port| subsets.iter().map(move |subset| (port.number, *subset)));
    let cluster = |(port, subset)| {
        let service_name = Some(names::outbound(port, subset, host));
        Cluster {
            connect_timeout: Some(settings.connect_timeout),
            lb_policy: LbPolicy::LeastRequest,
            thresholds: Thresholds::UNLIMITED,
            services: vec![service_ref(service)],
            origin: Some(Origin { object: service.object.clone(), field: Default::default() }),
            ..Cluster::new(
                names::outbound_sni(port, subset, host),
                ClusterDiscovery::Eds { service_name, source: Default::default() },
            )
        }
    };
    each.map(cluster).collect()
}
