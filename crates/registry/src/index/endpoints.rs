//! Endpoints of services: pods that they select, and what ServiceEntries list.

use std::collections::HashMap;
use std::sync::Arc;

use istio_api::PortRef;
use model::{Labels, Str};

use super::Touched;
use crate::snapshot::PortEndpoints;
use crate::{Delta, Endpoint, Key, Service, ServicePort, Snapshot, Workload};

/// Brings the endpoints of every service up to date that changed, or whose workloads did.
pub(crate) fn endpoints(next: &mut Snapshot, touched: &Touched, delta: &mut Delta) {
    // What is read below does not depend on what is written; this copy shares everything.
    let base = next.clone();
    let mut stale = touched.services.clone();
    for (namespace, labels) in &touched.labels {
        let changed = ByPair::new(labels.iter().map(|labels| (labels, labels)));
        let hosts = base.hosts_by_namespace.get(namespace).into_iter().flatten();
        for service in hosts.filter_map(|host| base.services.get(host)).flat_map(|all| all.iter()) {
            let mut candidates = changed.candidates(service).iter();
            if service.namespace == *namespace && candidates.any(|labels| service.selects(labels)) {
                stale.insert((namespace.clone(), service.host.clone()));
            }
        }
    }
    let mut workloads: (Str, ByPair<&Arc<Workload>>) = (Str::default(), ByPair::default());
    for key in stale {
        if workloads.0 != key.0 {
            workloads = (key.0.clone(), workloads_of(&base, &key.0));
        }
        let all = base.services.get(&key.1);
        let service = all.and_then(|all| all.iter().find(|service| service.namespace == key.0));
        let after = service.map(|service| Arc::new(endpoints_of(&base, service, &workloads.1)));
        if base.endpoints.get(&key) == after.as_ref() {
            continue;
        }
        delta.insert(Key::Endpoints(key.1.clone()));
        match after {
            Some(ports) => drop(next.endpoints.insert(key, ports)),
            None => drop(next.endpoints.remove(&key)),
        }
    }
}

fn workloads_of<'s>(base: &'s Snapshot, namespace: &Str) -> ByPair<&'s Arc<Workload>> {
    let from = (namespace.clone(), Str::default());
    let inside = base.workloads.range(from..).take_while(|((ns, _), _)| ns == namespace);
    ByPair::new(inside.map(|(_, workload)| (&workload.labels, workload)))
}

/// Things with labels by each of these, so that a selector need not be held against all of them.
struct ByPair<T>(HashMap<(Str, Str), Vec<T>>);

impl<T> Default for ByPair<T> {
    fn default() -> Self {
        ByPair(HashMap::new())
    }
}

impl<'a, T: Copy + 'a> ByPair<T> {
    fn new(things: impl Iterator<Item = (&'a Labels, T)>) -> Self {
        let mut pairs: HashMap<_, Vec<T>> = HashMap::new();
        for (labels, thing) in things {
            for (key, value) in &labels.0 {
                pairs.entry((key.clone(), value.clone())).or_default().push(thing);
            }
        }
        ByPair(pairs)
    }

    /// Everything with that label of the service's selector which fewest have. All that the service
    /// selects is among it.
    fn candidates(&self, service: &Service) -> &[T] {
        let selector = service.selector.iter().flat_map(|selector| &selector.0);
        let lists = selector
            .map(|(key, value)| self.0.get(&(key.clone(), value.clone())).map_or(&[][..], Vec::as_slice));
        lists.min_by_key(|list| list.len()).unwrap_or(&[])
    }
}

fn endpoints_of(next: &Snapshot, service: &Service, workloads: &ByPair<&Arc<Workload>>) -> PortEndpoints {
    let candidates = workloads.candidates(service).iter().copied();
    let selected: Vec<&Arc<Workload>> =
        candidates.filter(|workload| service.selects(&workload.labels)).collect();
    let listed = service.listed.iter().filter_map(|endpoint| {
        Some((endpoint, Arc::new(Workload::of_entry(endpoint, service, &next.settings)?)))
    });
    let listed: Vec<_> = listed.collect();
    let of_port = |port: &ServicePort| {
        let pods = selected.iter().filter_map(|workload| {
            let ready = workload.ready || service.publish_not_ready;
            let number = target_port(&port.target_port, workload)?;
            Some(Endpoint {
                address: *workload.addresses.first()?,
                port: number,
                weight: 1,
                ready,
                workload: (*workload).clone(),
            })
        });
        let entries = listed.iter().filter_map(|(endpoint, workload)| {
            let number = match (endpoint.ports.get(&port.name), &port.target_port) {
                (Some(number), _) | (None, PortRef::Number(number)) => *number,
                (None, PortRef::Name(_)) => return None,
            };
            let weight = endpoint.weight.unwrap_or(1).max(1);
            let address = *workload.addresses.first()?;
            Some(Endpoint { address, port: number, weight, ready: true, workload: workload.clone() })
        });
        let mut all: Vec<Endpoint> = pods.chain(entries).collect();
        all.sort_by_key(|endpoint| (endpoint.address, endpoint.port));
        (port.number, Arc::new(all))
    };
    service.ports.iter().map(of_port).collect()
}

fn target_port(port: &PortRef, workload: &Workload) -> Option<u16> {
    match port {
        PortRef::Number(number) => Some(*number),
        PortRef::Name(name) => workload.ports.iter().find(|(n, _)| n == name).map(|(_, number)| *number),
    }
}
