//! The state of the mesh at one moment.

use std::net::IpAddr;
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};
use istio_api::{Document, MeshConfig};
use model::{Host, ObjectRef, Str};

use crate::destination_rules::MergedRule;
use crate::{Block, Endpoint, Features, NamedEndpoint, Service, View, Workload};

/// What does not change while a control plane runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// DNS domain of the mesh.
    pub domain: Str,
    /// Where services without `clusterIP` get their address from; `None`: they get none.
    pub service_block: Option<Block>,
    pub cluster_id: Str,
    pub network: Str,
    pub features: Features,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            domain: "cluster.local".into(),
            service_block: None,
            cluster_id: "Kubernetes".into(),
            network: Str::default(),
            features: Features::default(),
        }
    }
}

/// Everything that is known of the mesh, as one immutable value. Cloning shares.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub(crate) settings: Arc<Settings>,
    /// In effect: `file_mesh`, else the ConfigMap's, else the default.
    pub(crate) mesh: Arc<MeshConfig>,
    /// As given by a file; goes before a ConfigMap's.
    pub(crate) file_mesh: Option<Arc<MeshConfig>>,
    /// Every object that is looked at, sorted by kind, namespace and name.
    pub(crate) objects: OrdMap<ObjectRef, Arc<Document>>,
    /// Objects of namespaces that `discoverySelectors` leave out: for everybody else they are not there.
    pub(crate) left_out: OrdMap<ObjectRef, Arc<Document>>,
    /// Services by host; those with the same one in order of preference.
    pub(crate) services: OrdMap<Host, Arc<Vec<Arc<Service>>>>,
    pub(crate) hosts_by_port: OrdMap<u16, OrdSet<Host>>,
    pub(crate) hosts_by_namespace: OrdMap<Str, OrdSet<Host>>,
    /// By namespace and host of the service: by its ports, in their order, the endpoints.
    pub(crate) endpoints: OrdMap<(Str, Host), Arc<PortEndpoints>>,
    /// Addresses in use, and by which service (namespace and name).
    pub(crate) addresses: OrdMap<IpAddr, (Str, Str)>,
    /// Addresses that we gave.
    pub(crate) allocated: OrdMap<(Str, Str), IpAddr>,
    /// Hosts of Services of type ExternalName, by the host that they name.
    pub(crate) aliases: OrdMap<Host, OrdSet<Host>>,
    /// EndpointSlices by namespace and name of the Service they are of.
    pub(crate) slices: OrdMap<(Str, Str), OrdSet<Str>>,
    /// Addresses of ServiceEntries without one: by address, and by namespace and host.
    pub(crate) entry_addresses: OrdMap<IpAddr, (Str, Host)>,
    pub(crate) entry_hosts: OrdMap<(Str, Host), IpAddr>,
    /// Pods by namespace and name, and WorkloadEntries with `entry/` before the name, which no pod's
    /// has.
    pub(crate) workloads: OrdMap<(Str, Str), Arc<Workload>>,
    /// Several, while a pod is replaced and its address used again.
    pub(crate) workloads_by_address: OrdMap<IpAddr, OrdSet<(Str, Str)>>,
    /// VirtualServices on `mesh` by resolved host; those with the same one in order of precedence.
    pub(crate) mesh_hosts: OrdMap<Host, Arc<Vec<ObjectRef>>>,
    /// Keys of clients' labels that rules look at, and how often.
    pub(crate) client_labels: OrdMap<Str, u32>,
    /// By the DestinationRules' namespace and resolved host.
    pub(crate) rules: OrdMap<(Str, Host), Arc<Vec<Arc<MergedRule>>>>,
}

/// Endpoints by service port.
pub(crate) type PortEndpoints = Vec<OfPort>;

/// The endpoints of one port of a service.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OfPort {
    pub number: u16,
    pub addressed: Arc<Vec<Endpoint>>,
    pub named: Arc<Vec<NamedEndpoint>>,
}

impl Snapshot {
    /// A mesh with nothing in it.
    pub fn new(settings: Settings) -> Self {
        Snapshot {
            settings: Arc::new(settings),
            mesh: Arc::default(),
            file_mesh: None,
            objects: OrdMap::new(),
            left_out: OrdMap::new(),
            services: OrdMap::new(),
            hosts_by_port: OrdMap::new(),
            hosts_by_namespace: OrdMap::new(),
            endpoints: OrdMap::new(),
            addresses: OrdMap::new(),
            allocated: OrdMap::new(),
            entry_addresses: OrdMap::new(),
            entry_hosts: OrdMap::new(),
            aliases: OrdMap::new(),
            slices: OrdMap::new(),
            workloads: OrdMap::new(),
            workloads_by_address: OrdMap::new(),
            mesh_hosts: OrdMap::new(),
            client_labels: OrdMap::new(),
            rules: OrdMap::new(),
        }
    }

    /// Asks without recording. For debug pages and analysis; translation asks a [`View`] of its own.
    pub fn view(&self) -> View<'_> {
        View::new(self)
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// An object as it was given.
    pub fn object(&self, object: &ObjectRef) -> Option<&Arc<Document>> {
        self.objects.get(object)
    }

    /// All objects, sorted by kind, namespace and name.
    pub fn objects(&self) -> impl Iterator<Item = &Arc<Document>> {
        self.objects.values()
    }

    /// As [`object`](Snapshot::object), also of namespaces that `discoverySelectors` leave out.
    pub fn object_anywhere(&self, object: &ObjectRef) -> Option<&Arc<Document>> {
        self.objects.get(object).or_else(|| self.left_out.get(object))
    }

    /// Objects of namespaces that `discoverySelectors` leave out. Nothing but what runs pods asks for them.
    pub fn left_out(&self) -> impl Iterator<Item = &Arc<Document>> {
        self.left_out.values()
    }

    /// All objects of a kind, sorted by namespace and name.
    pub fn objects_of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Arc<Document>> {
        let from = ObjectRef::new(kind, "", "");
        self.objects.range(from..).take_while(move |(object, _)| object.kind == *kind).map(|(_, d)| d)
    }

    /// All objects of a kind in a namespace, sorted by name.
    pub fn objects_in<'a>(
        &'a self,
        kind: &'a str,
        namespace: &'a str,
    ) -> impl Iterator<Item = &'a Arc<Document>> {
        let from = ObjectRef::new(kind, namespace, "");
        let inside = move |object: &ObjectRef| object.kind == *kind && object.namespace == *namespace;
        self.objects.range(from..).take_while(move |(object, _)| inside(object)).map(|(_, d)| d)
    }

    /// A host as written in an object of `namespace`: short names get that namespace and the domain.
    pub fn resolve(&self, text: &str, namespace: &str) -> Host {
        Host::resolve(text, namespace, &self.settings.domain)
    }
}
