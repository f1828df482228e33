//! VirtualServices by gateway and host.

use std::collections::BTreeSet;
use std::sync::Arc;

use istio_api::Document;
use istio_api::networking::VirtualService;
use model::{Host, ObjectRef, Str};

use crate::config::{self, Spec};
use crate::{Config, Export, Service, Snapshot};

/// What a VirtualService is bound to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GatewayRef {
    /// All sidecars.
    Mesh,
    Named {
        namespace: Str,
        name: Str,
    },
}

impl GatewayRef {
    /// As written in an object of `namespace`: `mesh`, `NAME`, `NAMESPACE/NAME`, `./NAME`.
    pub fn parse(text: &str, namespace: &str) -> Self {
        match text.split_once('/') {
            None if text == "mesh" => GatewayRef::Mesh,
            None => GatewayRef::Named { namespace: namespace.into(), name: text.into() },
            Some((".", name)) => GatewayRef::Named { namespace: namespace.into(), name: name.into() },
            Some((other, name)) => GatewayRef::Named { namespace: other.into(), name: name.into() },
        }
    }
}

pub(crate) fn gateways_of(spec: &VirtualService, namespace: &str) -> Vec<GatewayRef> {
    if spec.gateways.is_empty() {
        return vec![GatewayRef::Mesh];
    }
    spec.gateways.iter().map(|text| GatewayRef::parse(text, namespace)).collect()
}

/// The hosts under which a document's VirtualService is found on `mesh`.
pub(crate) fn mesh_hosts(snapshot: &Snapshot, document: &Document) -> Vec<Host> {
    match VirtualService::of(&document.body) {
        Some(spec) if spec.on_mesh() => {
            spec.hosts.iter().map(|host| snapshot.resolve(host, &document.object.namespace)).collect()
        }
        _ => Vec::new(),
    }
}

pub(crate) fn export(snapshot: &Snapshot, config: &Config<VirtualService>) -> Export {
    let default = &snapshot.mesh.default_virtual_service_export_to;
    Export::new(&config.spec.export_to, default, &config.object.namespace)
}

pub(crate) fn on_mesh(snapshot: &Snapshot, client: &str) -> Vec<Config<VirtualService>> {
    let all = snapshot.objects_of(VirtualService::KIND).filter_map(|d| Config::of(d));
    let mut found: Vec<Config<VirtualService>> = all
        .filter(|c: &Config<VirtualService>| c.spec.on_mesh() && export(snapshot, c).sees(client))
        .collect();
    config::sort(&mut found);
    found
}

pub(crate) fn on_gateway(snapshot: &Snapshot, namespace: &str, name: &str) -> Vec<Config<VirtualService>> {
    let wanted = GatewayRef::Named { namespace: namespace.into(), name: name.into() };
    let all = snapshot.objects_of(VirtualService::KIND).filter_map(|d| Config::of(d));
    let mut found: Vec<Config<VirtualService>> =
        all.filter(|c: &Config<_>| gateways_of(&c.spec, &c.object.namespace).contains(&wanted)).collect();
    config::sort(&mut found);
    found
}

/// The first that the client sees under the exact host, else under the longest wildcard.
pub(crate) fn for_host(snapshot: &Snapshot, client: &str, host: &Host) -> Option<Config<VirtualService>> {
    let visible = |under: &Host| {
        let objects = snapshot.mesh_hosts.get(under)?;
        let configs = objects.iter().filter_map(|object| Config::of(snapshot.objects.get(object)?));
        configs.into_iter().find(|config| export(snapshot, config).sees(client))
    };
    visible(host).or_else(|| {
        let wildcards = snapshot.mesh_hosts.range(Host::new("*")..Host::new("+"));
        let mut covering: Vec<&Host> =
            wildcards.map(|(w, _)| w).filter(|w| *w != host && w.covers(host)).collect();
        covering.sort_by_key(|w| std::cmp::Reverse(w.as_str().len()));
        covering.into_iter().find_map(visible)
    })
}

/// All that the client sees under the exact host, under wildcards that cover it, and (for a wildcard)
/// under hosts that it covers.
pub(crate) fn all_for_host(snapshot: &Snapshot, client: &str, host: &Host) -> Vec<Config<VirtualService>> {
    let wildcards = snapshot.mesh_hosts.range(Host::new("*")..Host::new("+"));
    let mut under: Vec<&Host> = wildcards.map(|(w, _)| w).filter(|w| w.overlaps(host)).collect();
    if host.is_wildcard() {
        under.extend(snapshot.mesh_hosts.keys().filter(|other| !other.is_wildcard() && host.covers(other)));
    } else if let Some((exact, _)) = snapshot.mesh_hosts.get_key_value(host) {
        under.push(exact);
    }
    let mut objects: Vec<&ObjectRef> =
        under.iter().filter_map(|host| snapshot.mesh_hosts.get(*host)).flat_map(|all| all.iter()).collect();
    objects.sort();
    objects.dedup();
    let configs = objects.into_iter().filter_map(|object| Config::of(snapshot.objects.get(object)?));
    let mut found: Vec<Config<VirtualService>> =
        configs.filter(|config| export(snapshot, config).sees(client)).collect();
    config::sort(&mut found);
    found
}

/// As [`all_for_host`] of all these services, which are in the order of their hosts; each once.
pub(crate) fn all_for_services(
    snapshot: &Snapshot,
    client: &str,
    services: &[&Arc<Service>],
) -> Vec<Config<VirtualService>> {
    let by_host = &snapshot.mesh_hosts;
    let wildcards = by_host.range(Host::new("*")..Host::new("+"));
    let overlaps = |host: &Host| services.iter().any(|service| host.overlaps(&service.host));
    let mut found: BTreeSet<&ObjectRef> =
        wildcards.filter(|(host, _)| overlaps(host)).flat_map(|(_, all)| all.iter()).collect();
    if services.iter().any(|service| service.host.is_wildcard()) || by_host.len() < services.len() {
        let wild: Vec<&Host> =
            services.iter().map(|service| &service.host).filter(|host| host.is_wildcard()).collect();
        let is_one = |host: &Host| services.binary_search_by(|service| service.host.cmp(host)).is_ok();
        let named = by_host.iter().filter(|(host, _)| !host.is_wildcard());
        let named = named.filter(|(host, _)| is_one(host) || wild.iter().any(|wild| wild.covers(host)));
        found.extend(named.flat_map(|(_, all)| all.iter()));
    } else {
        let named = services.iter().filter_map(|service| by_host.get(&service.host));
        found.extend(named.flat_map(|all| all.iter()));
    }
    let configs = found.into_iter().filter_map(|object| Config::of(snapshot.objects.get(object)?));
    let mut found: Vec<Config<VirtualService>> =
        configs.filter(|config| export(snapshot, config).sees(client)).collect();
    config::sort(&mut found);
    found
}
