//! Clusters whose endpoints are found by name.

use std::time::Duration;

use ir::dns::DnsFamily;
use ir::{Address, Cluster, ClusterDiscovery, Dns, Endpoint, LoadAssignment, LocalityEndpoints};
use istio_api::{MeshConfig, PortRef};
use model::Locality;
use registry::{MergedSubset, Resolution, Service, ServicePort, View};

use super::policy::Effective;
use crate::endpoints;
use crate::unit::ScopeKey;

/// Where the endpoints of a service with resolution DNS come from. `None`: it has another one.
pub fn discovery(
    view: &View<'_>,
    scope: &ScopeKey,
    service: &Service,
    port: &ServicePort,
    subset: Option<&MergedSubset>,
    effective: Effective<'_>,
) -> Option<ClusterDiscovery> {
    let Resolution::Dns { logical } = service.resolution else { return None };
    let mut assignment = endpoints::assignment(view, scope, service, port.number, subset, effective);
    if !service.lists_endpoints() {
        assignment.localities = vec![itself(service, port)];
    }
    if logical {
        // Envoy takes one, which is all that Istio's validation lets through.
        assignment.localities.truncate(1);
        assignment.localities.iter_mut().for_each(|locality| locality.endpoints.truncate(1));
    }
    let nobody = assignment.localities.iter().all(|locality| locality.endpoints.is_empty());
    Some(match (nobody, logical) {
        (true, _) => ClusterDiscovery::Static(LoadAssignment { localities: Vec::new(), ..assignment }),
        (false, true) => ClusterDiscovery::LogicalDns(assignment),
        (false, false) => ClusterDiscovery::StrictDns(assignment),
    })
}

/// How names are resolved: as long as they are valid, and with some jitter, so that not all proxies
/// ask at once (Istio's `PILOT_DNS_JITTER_DURATION`).
pub fn settings(cluster: &mut Cluster, mesh: &MeshConfig, scope: &ScopeKey) {
    if !matches!(cluster.discovery, ClusterDiscovery::StrictDns(_) | ClusterDiscovery::LogicalDns(_)) {
        return;
    }
    cluster.dns = Dns {
        refresh_rate: Some(mesh.dns_refresh_rate),
        jitter: Some(Duration::from_millis(100)),
        respect_ttl: true,
        family: if scope.ipv6 { DnsFamily::V6Only } else { DnsFamily::V4Only },
        ..Dns::default()
    };
}

/// The service's own name stands for its endpoints.
fn itself(service: &Service, port: &ServicePort) -> LocalityEndpoints {
    let number = match &port.target_port {
        PortRef::Number(number) => *number,
        PortRef::Name(_) => port.number,
    };
    let host = service.host.to_str();
    let address = match host.parse() {
        Ok(ip) => Address::Socket(std::net::SocketAddr::new(ip, number)),
        Err(_) => Address::Name { host, port: number },
    };
    LocalityEndpoints {
        locality: Locality::default(),
        weight: Some(1),
        priority: 0,
        endpoints: vec![Endpoint { weight: Some(1), ..Endpoint::new(address) }],
    }
}
