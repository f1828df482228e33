//! The endpoints of a service's port, for the port's cluster and for each subset's.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use ir::endpoint::WorkloadRef;
use ir::{Address, Endpoint, Health, LoadAssignment, LocalityEndpoints};
use istio_api::networking::ClientTlsMode;
use istio_api::security::MtlsMode;
use model::{Locality, Protocol};
use registry::{MergedSubset, Resolution, Service, View};
use stdx::Str;

use crate::cluster::policy::Effective;
use crate::names;
use crate::unit::ScopeKey;

/// An assignment for each cluster of the port that asks for one. A service without endpoints has
/// empty ones: a cluster waits for its endpoints, and would wait for ever for what never comes.
pub fn assignments(view: &View<'_>, scope: &ScopeKey, service: &Service, port: u16) -> Vec<LoadAssignment> {
    let declared = service.port(port).filter(|port| port.protocol != Protocol::Udp);
    if declared.is_none() || service.resolution == Resolution::Headless {
        return Vec::new();
    }
    let rule = view.destination_rule(&scope.namespace, service).map(|rule| &**rule);
    let mut assignments = vec![assignment(view, service, port, None, Effective::of(rule, None, port))];
    for subset in rule.map(|rule| rule.subsets.as_slice()).unwrap_or_default() {
        let effective = Effective::of(rule, Some(subset), port);
        assignments.push(assignment(view, service, port, Some(subset), effective));
    }
    assignments
}

fn assignment(
    view: &View<'_>,
    service: &Service,
    port: u16,
    subset: Option<&MergedSubset>,
    effective: Effective<'_>,
) -> LoadAssignment {
    let mut localities: BTreeMap<Locality, Vec<Endpoint>> = BTreeMap::new();
    for found in view.endpoints(service, port).iter() {
        let serves = found.ready || service.publish_not_ready;
        let wanted = subset.is_none_or(|merged| merged.subset.labels.select(&found.workload.labels));
        if serves && wanted {
            let endpoint = endpoint(view, found, effective);
            localities.entry(found.workload.locality.clone()).or_default().push(endpoint);
        }
    }
    let subset = subset.map(|merged| merged.subset.name.as_str()).unwrap_or_default();
    LoadAssignment {
        cluster_name: names::outbound(port, subset, service.host.as_str()),
        localities: localities.into_iter().map(locality).collect(),
        ..LoadAssignment::default()
    }
}

fn locality((locality, endpoints): (Locality, Vec<Endpoint>)) -> LocalityEndpoints {
    let weights = endpoints.iter().filter_map(|endpoint| endpoint.weight);
    let weight = weights.fold(0u32, u32::saturating_add);
    LocalityEndpoints { locality, weight: Some(weight.max(1)), priority: 0, endpoints }
}

fn endpoint(view: &View<'_>, found: &registry::Endpoint, effective: Effective<'_>) -> Endpoint {
    let workload = &found.workload;
    let mut transport_metadata = BTreeMap::new();
    if takes_mtls(view, found, effective) {
        transport_metadata.insert(Str::from("tlsMode"), Str::from("istio"));
    }
    Endpoint {
        weight: Some(found.weight),
        health: Health::Healthy,
        transport_metadata,
        workload: Some(WorkloadRef {
            name: workload.workload_name.clone(),
            namespace: workload.namespace.clone(),
            canonical_name: workload.canonical_name.clone(),
            canonical_revision: workload.canonical_revision.clone(),
            cluster: workload.cluster_id.clone(),
        }),
        ..Endpoint::new(Address::Socket(SocketAddr::new(found.address, found.port)))
    }
}

/// A DestinationRule knows best; else the workload must have a sidecar, and must not have mutual
/// TLS switched off on this port.
fn takes_mtls(view: &View<'_>, found: &registry::Endpoint, effective: Effective<'_>) -> bool {
    if let Some(tls) = effective.tls {
        return tls.mode == ClientTlsMode::IstioMutual;
    }
    let workload = &found.workload;
    workload.mtls && view.mtls(&workload.namespace, &workload.labels).on_port(found.port) != MtlsMode::Disable
}
