//! The endpoints of a service's port, for the port's cluster and for each subset's.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use ir::endpoint::WorkloadRef;
use ir::{Address, Endpoint, Health, LoadAssignment, LocalityEndpoints};
use istio_api::networking::ClientTlsMode;
use istio_api::security::MtlsMode;
use model::Protocol;
use registry::{MergedSubset, Resolution, Service, Target, View, Workload};
use stdx::Str;

use crate::cluster::policy::Effective;
use crate::locality::{self, Group, Placed};
use crate::names;
use crate::unit::ScopeKey;

/// An assignment for each cluster of the port that asks for one. A service without endpoints has
/// empty ones: a cluster waits for its endpoints, and would wait for ever for what never comes.
pub fn assignments(view: &View<'_>, scope: &ScopeKey, service: &Service, port: u16) -> Vec<LoadAssignment> {
    let declared = service.port(port).filter(|port| port.protocol != Protocol::Udp);
    if declared.is_none() || service.resolution != Resolution::ClientSideLb {
        return Vec::new();
    }
    let mesh = view.mesh();
    let rule = view.destination_rule_for(&scope.namespace, &scope.labels, service).map(|rule| &**rule);
    let whole = Effective::of(mesh, rule, None, port);
    let mut assignments = vec![assignment(view, scope, service, port, None, whole)];
    for subset in rule.map(|rule| rule.subsets.as_slice()).unwrap_or_default() {
        let effective = Effective::of(mesh, rule, Some(subset), port);
        assignments.push(assignment(view, scope, service, port, Some(subset), effective));
    }
    assignments
}

/// The endpoints of a port, or of a subset of it, where they are and in the order they are used in.
pub fn assignment(
    view: &View<'_>,
    scope: &ScopeKey,
    service: &Service,
    port: u16,
    subset: Option<&MergedSubset>,
    effective: Effective<'_>,
) -> LoadAssignment {
    let wanted = |workload: &Workload| subset.is_none_or(|s| s.subset.labels.select(&workload.labels));
    let addressed = view.endpoints(service, port);
    let addressed = addressed.iter().filter(|found| found.ready || service.publish_not_ready).map(|found| {
        let address = Address::Socket(SocketAddr::new(found.address, found.port));
        (address, found.port, found.weight, found.workload.clone())
    });
    let named = view.named_endpoints(service, port);
    let named = named.iter().map(|found| {
        let address = match &found.target {
            Target::Pipe(path) => Address::Pipe(path.clone()),
            Target::Name(host) => Address::Name { host: host.clone(), port: found.port },
        };
        (address, found.port, found.weight, found.workload.clone())
    });
    // Names are for clusters that resolve them.
    let resolves = matches!(service.resolution, Resolution::Dns { .. });
    let all =
        addressed.chain(named.filter(|(address, ..)| resolves || !matches!(address, Address::Name { .. })));
    let placed =
        all.filter(|(.., workload)| wanted(workload)).map(|(address, port, weight, workload)| Placed {
            locality: workload.locality.clone(),
            labels: workload.labels.clone(),
            weight,
            endpoint: endpoint(view, address, port, weight, &workload, effective),
        });
    let mesh = view.mesh();
    let groups =
        locality::groups(placed.collect(), effective.locality(mesh), effective.outlier.is_some(), scope);
    let subset = subset.map(|merged| merged.subset.name.as_str()).unwrap_or_default();
    LoadAssignment {
        cluster_name: names::outbound(port, subset, service.host.as_str()),
        localities: groups.into_iter().map(localities).collect(),
        ..LoadAssignment::default()
    }
}

fn localities(group: Group<Endpoint>) -> LocalityEndpoints {
    LocalityEndpoints {
        locality: group.locality,
        weight: Some(group.weight.max(1)),
        priority: group.priority,
        endpoints: group.endpoints,
    }
}

fn endpoint(
    view: &View<'_>,
    address: Address,
    port: u16,
    weight: u32,
    workload: &Workload,
    effective: Effective<'_>,
) -> Endpoint {
    let mut transport_metadata = BTreeMap::new();
    if takes_mtls(view, port, workload, effective) {
        transport_metadata.insert(Str::from("tlsMode"), Str::from("istio"));
    }
    Endpoint {
        weight: Some(weight),
        health: Health::Healthy,
        transport_metadata,
        workload: Some(Arc::new(WorkloadRef {
            name: workload.workload_name.clone(),
            namespace: workload.namespace.clone(),
            canonical_name: workload.canonical_name.clone(),
            canonical_revision: workload.canonical_revision.clone(),
            cluster: workload.cluster_id.clone(),
        })),
        ..Endpoint::new(address)
    }
}

/// A DestinationRule knows best; else the workload must have a sidecar, and must not have mutual
/// TLS switched off on this port.
fn takes_mtls(view: &View<'_>, port: u16, workload: &Workload, effective: Effective<'_>) -> bool {
    if let Some(tls) = effective.tls {
        return tls.mode == ClientTlsMode::IstioMutual;
    }
    workload.mtls && view.mtls(&workload.namespace, &workload.labels).on_port(port) != MtlsMode::Disable
}
