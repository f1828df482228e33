//! From changes to the next snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use imbl::OrdSet;
use istio_api::{Document, Kind, MeshConfig};
use model::{Host, ObjectRef, Str};

use crate::index::{self, Touched};
use crate::{Delta, Key, Snapshot, client_labels, destination_rules, virtual_services};

/// One thing that a source says has changed.
#[derive(Clone, Debug)]
pub enum Change {
    /// The object is there, with this content.
    Upsert(Arc<Document>),
    /// The object is gone.
    Remove(ObjectRef),
    /// The mesh configuration of a file, which goes before a ConfigMap's; `None`: no file has one.
    MeshConfig(Option<Arc<MeshConfig>>),
}

/// Objects of one batch that are different now, with what they were before.
pub(crate) type Changed = BTreeMap<ObjectRef, Option<Arc<Document>>>;

impl Snapshot {
    /// The snapshot after these changes, in order, and what is different in it. A broken object is
    /// taken for absent, unless it denies when broken: whoever reports it has kept its last good
    /// version, if there was one.
    pub fn apply(&self, changes: Vec<Change>) -> (Snapshot, Delta) {
        let mut next = self.clone();
        let mut changed = Changed::new();
        for change in changes {
            match change {
                Change::Upsert(document) if document.broken && !document.denies_when_broken() => {
                    next.remove(&document.object, &mut changed);
                }
                Change::Upsert(document) => next.upsert(document, &mut changed),
                Change::Remove(object) => next.remove(&object, &mut changed),
                Change::MeshConfig(mesh) => next.file_mesh = mesh,
            }
        }
        let mesh = next.effective_mesh();
        let mut delta = Delta::default();
        let mesh_changed = *mesh != *self.mesh;
        if mesh_changed {
            next.mesh = mesh;
        }
        next.select(mesh_changed, &mut changed);
        if mesh_changed {
            // Defaults of every object may be different: derive everything anew.
            for (object, document) in &next.objects {
                changed.entry(object.clone()).or_insert_with(|| Some(document.clone()));
            }
            delta = Delta::everything();
        }
        next.derive(&changed, &mut delta);
        (next, delta)
    }

    fn upsert(&mut self, document: Arc<Document>, changed: &mut Changed) {
        let object = document.object.clone();
        self.left_out.remove(&object);
        let before = self.objects.insert(object.clone(), document.clone());
        if before.as_ref().is_some_and(|before| before.same_content(&document)) {
            return; // Only moved within its file: places are new, content is not.
        }
        changed.entry(object).or_insert(before);
    }

    fn remove(&mut self, object: &ObjectRef, changed: &mut Changed) {
        self.left_out.remove(object);
        if let Some(before) = self.objects.remove(object) {
            changed.entry(object.clone()).or_insert(Some(before));
        }
    }

    fn effective_mesh(&self) -> Arc<MeshConfig> {
        if let Some(mesh) = &self.file_mesh {
            return mesh.clone();
        }
        let map = ObjectRef::new("ConfigMap", &MeshConfig::default().root_namespace, "istio");
        match self.object_anywhere(&map).map(|document| &document.body) {
            Some(Kind::ConfigMap(map)) => map.mesh.clone().unwrap_or_default(),
            _ => Arc::default(),
        }
    }

    /// Brings every index up to date with the objects that changed.
    fn derive(&mut self, changed: &Changed, delta: &mut Delta) {
        let mut touched = Touched::default();
        let mut rules: BTreeSet<(Str, Host)> = BTreeSet::new();
        let mut hosts: BTreeSet<Host> = BTreeSet::new();
        for (object, before) in changed {
            let after = self.objects.get(object).cloned();
            let both = || before.iter().chain(after.iter());
            let Some(kind) = both().next().map(|document| &document.body) else { continue };
            let namespace = object.namespace.clone();
            client_labels::count(self, before.as_deref(), after.as_deref(), delta);
            match kind {
                Kind::Namespace => {
                    delta.insert(Key::Namespace(object.name.clone()));
                    self.entries_by_labels(&object.name).iter().for_each(|entry| touched.service(entry));
                }
                Kind::Pod(_) => index::pod(self, object, &mut touched, delta),
                Kind::WorkloadEntry(_) => index::entry(self, object, &mut touched, delta),
                Kind::Service(_) | Kind::ServiceEntry(_) => touched.service(object),
                Kind::VirtualService(_) => {
                    for document in both() {
                        hosts.extend(virtual_services::mesh_hosts(self, document));
                        virtual_service_keys(document, delta);
                    }
                }
                Kind::DestinationRule(_) => {
                    let found = both().filter_map(|d| destination_rules::host_of(self, d));
                    rules.extend(found.map(|host| (namespace.clone(), host)));
                }
                Kind::Sidecar(_) => delta.insert(Key::Sidecars(namespace)),
                Kind::EndpointSlice(_) => index::slice(self, object, before.as_ref(), &mut touched),
                Kind::Gateway(_) => delta.insert(Key::Gateways),
                Kind::PeerAuthentication(_) => delta.insert(Key::PeerAuthentications(namespace)),
                Kind::AuthorizationPolicy(_) => delta.insert(Key::AuthorizationPolicies(namespace)),
                Kind::Secret(_) => delta.insert(Key::Secret(namespace, object.name.clone())),
                Kind::ConfigMap(_) => delta.insert(Key::ConfigMap(namespace, object.name.clone())),
                Kind::ServiceAccount | Kind::Deployment(_) => {}
                // Nothing is derived from these yet.
                Kind::RequestAuthentication(_)
                | Kind::WorkloadGroup(_)
                | Kind::ProxyConfig(_)
                | Kind::EnvoyFilter(_)
                | Kind::Telemetry(_)
                | Kind::WasmPlugin(_)
                | Kind::TrafficExtension(_) => {}
            }
        }
        index::services(self, &mut touched, changed, delta);
        index::endpoints(self, &touched, delta);
        self.index_mesh_hosts(changed, hosts, delta);
        self.index_rules(rules, delta);
    }

    fn index_mesh_hosts(&mut self, changed: &Changed, hosts: BTreeSet<Host>, delta: &mut Delta) {
        for host in hosts {
            let mut objects: Vec<ObjectRef> =
                self.mesh_hosts.get(&host).map(|all| all.to_vec()).unwrap_or_default();
            objects.retain(|object| !changed.contains_key(object));
            for object in changed.keys() {
                let Some(document) = self.objects.get(object) else { continue };
                if virtual_services::mesh_hosts(self, document).contains(&host) {
                    objects.push(object.clone());
                }
            }
            let created = |object: &ObjectRef| self.objects.get(object).map_or(0, |d| d.created);
            objects.sort_by(|a, b| crate::config::precedence((created(a), a), (created(b), b)));
            delta.insert(Key::VirtualService(host.clone()));
            self.ports_of(&host).into_iter().for_each(|port| delta.insert(Key::VirtualServicesOnPort(port)));
            delta.insert(Key::MeshVirtualServices);
            match objects.is_empty() {
                true => self.mesh_hosts.remove(&host).map(drop).unwrap_or_default(),
                false => drop(self.mesh_hosts.insert(host, Arc::new(objects))),
            }
        }
    }

    /// The ports of all services that a host stands for, or a part of.
    fn ports_of(&self, host: &Host) -> BTreeSet<u16> {
        let mut ports: BTreeSet<u16> = BTreeSet::new();
        if host.is_wildcard() {
            let has = |hosts: &OrdSet<Host>| hosts.iter().any(|other| host.overlaps(other));
            ports.extend(self.hosts_by_port.iter().filter(|(_, hosts)| has(hosts)).map(|(port, _)| *port));
        } else {
            // Wildcards sort before all else.
            let wild = self.services.range(Host::new("*")..Host::new("+"));
            let covering = wild.filter(|(other, _)| other.covers(host)).map(|(_, services)| services);
            let services = covering.chain(self.services.get(host)).flat_map(|services| services.iter());
            ports.extend(services.flat_map(|service| &service.ports).map(|port| port.number));
        }
        ports
    }

    fn index_rules(&mut self, rules: BTreeSet<(Str, Host)>, delta: &mut Delta) {
        for (namespace, host) in rules {
            let merged = destination_rules::merged(self, &namespace, &host);
            delta.insert(Key::DestinationRule(host.clone()));
            self.ports_of(&host).into_iter().for_each(|port| delta.insert(Key::DestinationRulesOnPort(port)));
            match merged.is_empty() {
                true => drop(self.rules.remove(&(namespace, host))),
                false => drop(self.rules.insert((namespace, host), Arc::new(merged))),
            }
        }
    }
}

fn virtual_service_keys(document: &Document, delta: &mut Delta) {
    let Kind::VirtualService(spec) = &document.body else { return };
    if spec.hosts.is_empty() {
        return delta.insert(Key::Delegate(document.object.namespace.clone(), document.object.name.clone()));
    }
    for gateway in virtual_services::gateways_of(spec, &document.object.namespace) {
        delta.insert(match gateway {
            crate::GatewayRef::Mesh => Key::MeshVirtualServices,
            crate::GatewayRef::Named { namespace, name } => Key::GatewayVirtualServices(namespace, name),
        });
    }
}
