//! What is derived from pods, Services and ServiceEntries: workloads, services, endpoints.

mod addresses;
mod aliases;
mod endpoints;
mod make;
mod services;
mod slices;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};
use model::{Host, Labels, ObjectRef, Str};

pub(crate) use endpoints::endpoints;
pub(crate) use services::services;
pub(crate) use slices::slice;

use crate::{Delta, Key, Snapshot, Workload};

/// What a batch of changes has touched so far.
#[derive(Default)]
pub(crate) struct Touched {
    /// Services and ServiceEntries that are different now.
    objects: BTreeSet<ObjectRef>,
    /// Labels of workloads that came, went or changed, by namespace.
    labels: BTreeMap<Str, Vec<Labels>>,
    /// Services that are different now, by namespace and host.
    services: BTreeSet<(Str, Host)>,
}

impl Touched {
    pub fn service(&mut self, object: &ObjectRef) {
        self.objects.insert(object.clone());
    }
}

/// Brings the workload of a pod up to date.
pub(crate) fn pod(next: &mut Snapshot, object: &ObjectRef, touched: &mut Touched, delta: &mut Delta) {
    let key = (object.namespace.clone(), object.name.clone());
    let document = next.objects.get(object);
    let after = document.and_then(|d| Workload::of_pod(d, &next.settings)).map(Arc::new);
    workload(next, key, after, touched, delta);
}

/// As [`pod`], for a WorkloadEntry.
pub(crate) fn entry(next: &mut Snapshot, object: &ObjectRef, touched: &mut Touched, delta: &mut Delta) {
    let key = (object.namespace.clone(), Str::from(format!("entry/{}", object.name)));
    let document = next.objects.get(object);
    let after = document.and_then(|d| Workload::of_entry(d, &next.settings)).map(Arc::new);
    workload(next, key, after, touched, delta);
}

fn workload(
    next: &mut Snapshot,
    key: (Str, Str),
    after: Option<Arc<Workload>>,
    touched: &mut Touched,
    delta: &mut Delta,
) {
    let before = next.workloads.get(&key).cloned();
    if before == after {
        return;
    }
    delta.insert(Key::Workload(key.0.clone(), key.1.clone()));
    let labels = touched.labels.entry(key.0.clone()).or_default();
    labels.extend(before.iter().chain(after.iter()).map(|workload| workload.labels.clone()));
    for address in before.iter().flat_map(|workload| &workload.addresses) {
        leave(&mut next.workloads_by_address, address, &key);
        delta.insert(Key::WorkloadAt(*address));
    }
    for address in after.iter().flat_map(|workload| &workload.addresses) {
        next.workloads_by_address.entry(*address).or_default().insert(key.clone());
        delta.insert(Key::WorkloadAt(*address));
    }
    match after {
        Some(workload) => drop(next.workloads.insert(key, workload)),
        None => drop(next.workloads.remove(&key)),
    }
}

/// Takes a value out of an index, and the entry with it when it was the last.
fn leave<K: Ord + Clone, V: Ord + Clone>(index: &mut OrdMap<K, OrdSet<V>>, key: &K, value: &V) {
    if let Some(values) = index.get_mut(key) {
        values.remove(value);
        if values.is_empty() {
            index.remove(key);
        }
    }
}
