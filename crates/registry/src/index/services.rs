//! Services by host, port and namespace.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use istio_api::Document;
use model::{Host, ObjectRef};

use super::{Touched, addresses, aliases, leave, make};
use crate::config::precedence;
use crate::{Delta, Key, Service, Snapshot};

/// Brings the services of changed objects up to date, and their virtual addresses.
pub(crate) fn services(
    next: &mut Snapshot,
    touched: &mut Touched,
    before: &BTreeMap<ObjectRef, Option<Arc<Document>>>,
    delta: &mut Delta,
) {
    let mut objects = std::mem::take(&mut touched.objects);
    aliases::update(next, &mut objects, before);
    addresses::release(next, &objects, before);
    let mut hosts: BTreeSet<Host> = BTreeSet::new();
    for object in &objects {
        let old = before.get(object).and_then(Option::as_ref);
        let new = next.objects.get(object);
        hosts.extend(old.into_iter().chain(new).flat_map(|document| make::hosts_of(next, document)));
    }
    addresses::take_given(next, &objects);
    let mut made: BTreeMap<Host, Vec<Arc<Service>>> = BTreeMap::new();
    for object in &objects {
        let Some(document) = next.objects.get(object).cloned() else { continue };
        for service in make::make(next, &document) {
            made.entry(service.host.clone()).or_default().push(Arc::new(service));
        }
    }
    for host in hosts {
        let old = next.services.get(&host).cloned().unwrap_or_default();
        let mut new: Vec<Arc<Service>> =
            old.iter().filter(|service| !objects.contains(&service.object)).cloned().collect();
        new.extend(made.remove(&host).into_iter().flatten());
        new.sort_by(|a, b| {
            let age = || precedence((a.created, &a.object), (b.created, &b.object));
            a.source.cmp(&b.source).then_with(age)
        });
        if *old != new {
            replace(next, host, &old, new, touched, delta);
        }
    }
}

/// Puts the services of one host in the place of those before.
fn replace(
    next: &mut Snapshot,
    host: Host,
    old: &[Arc<Service>],
    new: Vec<Arc<Service>>,
    touched: &mut Touched,
    delta: &mut Delta,
) {
    delta.insert(Key::Services);
    delta.insert(Key::Service(host.clone()));
    for service in old.iter().chain(&new) {
        touched.services.insert((service.namespace.clone(), host.clone()));
        delta.insert(Key::ServicesIn(service.namespace.clone()));
        service.ports.iter().for_each(|port| delta.insert(Key::ServicesOnPort(port.number)));
    }
    for service in old {
        let stays = |new: &Arc<Service>| new.namespace == service.namespace && new.allocated.is_some();
        if service.allocated.is_some() && !new.iter().any(stays) {
            addresses::release_entry(next, &service.namespace, &host);
        }
        for port in &service.ports {
            leave(&mut next.hosts_by_port, &port.number, &host);
        }
        leave(&mut next.hosts_by_namespace, &service.namespace, &host);
    }
    for service in &new {
        for port in &service.ports {
            next.hosts_by_port.entry(port.number).or_default().insert(host.clone());
        }
        next.hosts_by_namespace.entry(service.namespace.clone()).or_default().insert(host.clone());
    }
    match new.is_empty() {
        true => drop(next.services.remove(&host)),
        false => drop(next.services.insert(host, Arc::new(new))),
    }
}
