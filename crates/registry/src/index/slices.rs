//! EndpointSlices: endpoints that somebody else lists, for Services without selector mostly.

use std::sync::Arc;

use istio_api::k8s::endpoint_slice::{SERVICE_NAME, SliceEndpoint};
use istio_api::{Document, Kind};
use model::{Labels, Locality, ObjectRef, Str};

use super::{Touched, leave};
use crate::{Endpoint, Service, ServicePort, ServiceSource, Snapshot, Workload};

/// Brings the index up to date with one EndpointSlice, and notes the Services concerned.
pub(crate) fn slice(
    next: &mut Snapshot,
    object: &ObjectRef,
    before: Option<&Arc<Document>>,
    touched: &mut Touched,
) {
    let after = next.objects.get(object).cloned();
    for (document, stays) in before
        .map(|document| (document, false))
        .into_iter()
        .chain(after.as_ref().map(|document| (document, true)))
    {
        let Some(service) = document.labels.get(SERVICE_NAME) else { continue };
        let key = (object.namespace.clone(), Str::from(service));
        touched.services.insert((key.0.clone(), next.resolve(&key.1, &key.0)));
        match stays {
            true => drop(next.slices.entry(key).or_default().insert(object.name.clone())),
            false => leave(&mut next.slices, &key, &object.name),
        }
    }
}

/// What the slices of a Service list for one of its ports.
pub(super) fn endpoints_of(next: &Snapshot, service: &Service, port: &ServicePort) -> Vec<Endpoint> {
    if service.source != ServiceSource::Kubernetes {
        return Vec::new();
    }
    let key = (service.namespace.clone(), service.name.clone());
    let names = next.slices.get(&key).into_iter().flatten();
    let objects =
        names.filter_map(|name| next.objects.get(&ObjectRef::new("EndpointSlice", &service.namespace, name)));
    let mut found = Vec::new();
    for document in objects {
        let Kind::EndpointSlice(slice) = &document.body else { continue };
        let Some(number) = slice.ports.iter().find(|own| own.name == port.name).map(|own| own.port) else {
            continue;
        };
        found.extend(slice.endpoints.iter().filter_map(|endpoint| {
            Some(Endpoint {
                // All of them are the same backend.
                address: *endpoint.addresses.first()?,
                port: number,
                weight: 1,
                ready: endpoint.ready,
                workload: Arc::new(workload(endpoint, service, next)),
            })
        }));
    }
    found.sort_by_key(|endpoint| (endpoint.address, endpoint.port));
    found.dedup_by_key(|endpoint| (endpoint.address, endpoint.port));
    found
}

/// As much as a slice says: no pod, so nobody who takes mutual TLS.
fn workload(endpoint: &SliceEndpoint, service: &Service, next: &Snapshot) -> Workload {
    Workload {
        namespace: service.namespace.clone(),
        name: service.name.clone(),
        addresses: endpoint.addresses.clone(),
        target: None,
        weight: 1,
        labels: Labels::default(),
        service_account: "default".into(),
        ready: endpoint.ready,
        mtls: false,
        ports: Vec::new(),
        hostname: None,
        subdomain: None,
        workload_name: service.name.clone(),
        canonical_name: service.name.clone(),
        canonical_revision: "latest".into(),
        cluster_id: next.settings.cluster_id.clone(),
        network: next.settings.network.clone(),
        locality: Locality { zone: endpoint.zone.clone(), ..Locality::default() },
        object: service.object.clone(),
    }
}
