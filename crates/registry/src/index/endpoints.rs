//! Endpoints of services: pods and WorkloadEntries that they select, and what ServiceEntries list.

use std::collections::HashMap;
use std::sync::Arc;

use istio_api::PortRef;
use model::{Labels, Str};

use super::{Touched, slices};
use crate::snapshot::{OfPort, PortEndpoints};
use crate::{Delta, Endpoint, Key, NamedEndpoint, Service, ServicePort, Snapshot, Workload};

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
    let selected = candidates.filter(|workload| service.selects(&workload.labels)).cloned();
    let listed = service.listed.iter().map(|e| Arc::new(Workload::of_listed(e, service, &next.settings)));
    let all: Vec<Arc<Workload>> = selected.chain(listed).collect();
    let of_port = |port| of_port(service, port, &all, slices::endpoints_of(next, service, port));
    service.ports.iter().map(of_port).collect()
}

/// `sliced`: what EndpointSlices list; what a workload says of itself goes before it.
fn of_port(
    service: &Service,
    port: &ServicePort,
    workloads: &[Arc<Workload>],
    sliced: Vec<Endpoint>,
) -> OfPort {
    let mut addressed = Vec::new();
    let mut named = Vec::new();
    for workload in workloads {
        let Some(number) = target_port(port, workload) else { continue };
        let weight = workload.weight;
        if let Some(target) = &workload.target {
            let (target, workload) = (target.clone(), workload.clone());
            named.push(NamedEndpoint { target, port: number, weight, workload });
        } else if let Some(address) = workload.addresses.first() {
            let ready = workload.ready || service.publish_not_ready;
            let (address, workload) = (*address, workload.clone());
            addressed.push(Endpoint { address, port: number, weight, ready, workload });
        }
    }
    let known: Vec<_> = addressed.iter().map(|endpoint| (endpoint.address, endpoint.port)).collect();
    addressed.extend(sliced.into_iter().filter(|e| !known.contains(&(e.address, e.port))));
    addressed.sort_by_key(|endpoint| (endpoint.address, endpoint.port));
    OfPort { number: port.number, addressed: Arc::new(addressed), named: Arc::new(named) }
}

/// The port of the service at a workload. A pod's containers name their ports for the service to
/// refer to; a WorkloadEntry and a listed endpoint say their own for each port of the service.
fn target_port(port: &ServicePort, workload: &Workload) -> Option<u16> {
    let named = |wanted: &Str| workload.ports.iter().find(|(name, _)| name == wanted).map(|(_, port)| *port);
    let own = if workload.object.kind == "Pod" { None } else { named(&port.name) };
    own.or_else(|| match &port.target_port {
        PortRef::Number(number) => Some(*number),
        PortRef::Name(name) => named(name),
    })
}
