//! Services of type ExternalName: other names of services in the mesh.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use istio_api::k8s::ServiceType;
use istio_api::{Document, Kind};
use model::{Host, ObjectRef};

use super::leave;
use crate::Snapshot;

/// Brings the index up to date with the objects that changed, and adds the Services to them whose
/// names are others now.
pub(super) fn update(
    next: &mut Snapshot,
    objects: &mut BTreeSet<ObjectRef>,
    before: &BTreeMap<ObjectRef, Option<Arc<Document>>>,
) {
    if !next.settings.features.external_name_alias {
        return;
    }
    let mut named: BTreeSet<Host> = BTreeSet::new();
    for object in objects.iter() {
        let alias = next.resolve(&object.name, &object.namespace);
        let old = before.get(object).and_then(Option::as_ref).and_then(|document| target(document));
        let new = next.objects.get(object).and_then(|document| target(document));
        if let Some(host) = &old {
            leave(&mut next.aliases, host, &alias);
        }
        if let Some(host) = &new {
            next.aliases.entry(host.clone()).or_default().insert(alias);
        }
        named.extend(old.into_iter().chain(new));
    }
    let suffix = format!(".svc.{}", next.settings.domain);
    let services = named.iter().filter_map(|host| {
        let (name, namespace) = host.as_str().strip_suffix(&suffix)?.split_once('.')?;
        Some(ObjectRef::new("Service", namespace, name))
    });
    objects.extend(services.filter(|service| next.objects.contains_key(service)));
}

/// The host that a Service is another name of.
fn target(document: &Document) -> Option<Host> {
    match &document.body {
        Kind::Service(spec) => match &spec.service_type {
            ServiceType::ExternalName(host) => Some(Host::new(host)),
            _ => None,
        },
        _ => None,
    }
}
