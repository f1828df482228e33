//! Virtual addresses: those that services were given, and those that we give.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use istio_api::k8s::{ClusterIps, ServiceType};
use istio_api::{Document, Kind};
use model::{Host, ObjectRef, Str};

use crate::{Block, Snapshot};

/// Frees the addresses of services that are gone or say now which they have.
pub(super) fn release(
    next: &mut Snapshot,
    objects: &BTreeSet<ObjectRef>,
    before: &BTreeMap<ObjectRef, Option<Arc<Document>>>,
) {
    for object in objects.iter().filter(|object| object.kind == "Service") {
        let key = (object.namespace.clone(), object.name.clone());
        for address in given(before.get(object).and_then(Option::as_ref)) {
            if next.addresses.get(&address) == Some(&key) {
                next.addresses.remove(&address);
            }
        }
        if !unset(next.objects.get(object))
            && let Some(address) = next.allocated.remove(&key)
        {
            next.addresses.remove(&address);
        }
    }
}

/// Notes the addresses that services were given, before others are allocated around them.
pub(super) fn take_given(next: &mut Snapshot, objects: &BTreeSet<ObjectRef>) {
    for object in objects.iter().filter(|object| object.kind == "Service") {
        for address in given(next.objects.get(object)) {
            next.addresses.insert(address, (object.namespace.clone(), object.name.clone()));
        }
    }
}

/// The address of a service that was not given one. A service keeps its address as long as it is
/// there; services that come together are served in the order of their names.
pub(super) fn allocate(next: &mut Snapshot, object: &ObjectRef) -> Option<IpAddr> {
    let key = (object.namespace.clone(), object.name.clone());
    if let Some(address) = next.allocated.get(&key) {
        return Some(*address);
    }
    let block = next.settings.service_block?;
    let address = block.pick(&key.0, &key.1, |address| next.addresses.contains_key(&address))?;
    next.addresses.insert(address, key.clone());
    next.allocated.insert(key, address);
    Some(address)
}

/// Where hosts of ServiceEntries without an address get theirs from, as in Istio.
const ENTRIES: &str = "240.240.0.0/16";

/// The address of a ServiceEntry's host, which stays the same as long as the host is there.
pub(super) fn allocate_entry(next: &mut Snapshot, namespace: &Str, host: &Host) -> Option<IpAddr> {
    let key = (namespace.clone(), host.clone());
    if let Some(address) = next.entry_hosts.get(&key) {
        return Some(*address);
    }
    let block: Block = ENTRIES.parse().ok()?;
    let address =
        block.pick(namespace, host.as_str(), |address| next.entry_addresses.contains_key(&address))?;
    next.entry_addresses.insert(address, key.clone());
    next.entry_hosts.insert(key, address);
    Some(address)
}

/// Frees the address of a host that no ServiceEntry of the namespace has any more.
pub(super) fn release_entry(next: &mut Snapshot, namespace: &Str, host: &Host) {
    if let Some(address) = next.entry_hosts.remove(&(namespace.clone(), host.clone())) {
        next.entry_addresses.remove(&address);
    }
}

fn unset(document: Option<&Arc<Document>>) -> bool {
    document.is_some_and(|document| {
        matches!(&document.body, Kind::Service(spec)
            if spec.cluster_ips == ClusterIps::Unset && !matches!(spec.service_type, ServiceType::ExternalName(_)))
    })
}

fn given(document: Option<&Arc<Document>>) -> Vec<IpAddr> {
    match document.map(|document| &document.body) {
        Some(Kind::Service(spec)) => match &spec.cluster_ips {
            ClusterIps::Given(addresses) => addresses.clone(),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}
