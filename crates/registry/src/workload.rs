//! Workloads: pods, WorkloadEntries, and what a ServiceEntry says of an endpoint.

use std::collections::BTreeMap;
use std::net::IpAddr;

use istio_api::k8s::{Pod, PodPhase};
use istio_api::networking::EntryEndpoint;
use istio_api::{Document, Kind};
use model::{Labels, Locality, ObjectRef, SpiffeId, Str};

use crate::{Service, Settings, Target};

/// Something with an address that runs an application.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    pub namespace: Str,
    /// The pod's name.
    pub name: Str,
    /// Empty before it has one. The first is the main one.
    pub addresses: Vec<IpAddr>,
    /// What is in their place, of a WorkloadEntry.
    pub target: Option<Target>,
    /// Its share of the requests, at least 1.
    pub weight: u32,
    pub labels: Labels,
    pub service_account: Str,
    pub ready: bool,
    /// It accepts mutual TLS: the label `security.istio.io/tlsMode` is `istio`.
    pub mtls: bool,
    /// Ports of its containers: name (may be empty) and number; of a WorkloadEntry: its port by the
    /// name of the service's.
    pub ports: Vec<(Str, u16)>,
    /// A pod's own name below that of the headless service of its `subdomain`.
    pub hostname: Option<Str>,
    pub subdomain: Option<Str>,
    /// The controller's name: `reviews-v1`; without one, its own.
    pub workload_name: Str,
    /// `service.istio.io/canonical-name`, else `app.kubernetes.io/name`, `app`, the workload name.
    pub canonical_name: Str,
    /// `service.istio.io/canonical-revision`, else `app.kubernetes.io/version`, `version`, `latest`.
    pub canonical_revision: Str,
    pub cluster_id: Str,
    pub network: Str,
    pub locality: Locality,
    pub object: ObjectRef,
}

impl Workload {
    /// Its identity.
    pub fn identity(&self, trust_domain: &str) -> SpiffeId {
        SpiffeId::new(trust_domain, &self.namespace, &self.service_account)
    }

    /// From a pod. `None` if it has ended or shares the node's network, so that its address says
    /// nothing about it.
    pub(crate) fn of_pod(document: &Document, settings: &Settings) -> Option<Workload> {
        let Kind::Pod(pod) = &document.body else { return None };
        if pod.status.phase == PodPhase::Ended || pod.spec.host_network {
            return None;
        }
        let labels = &document.labels;
        let name = workload_name(document, pod);
        let ports = pod.spec.containers.iter().flat_map(|c| &c.ports);
        Some(Workload {
            namespace: document.object.namespace.clone(),
            name: document.object.name.clone(),
            addresses: pod.status.ips.clone(),
            target: None,
            weight: 1,
            hostname: Some(pod.spec.hostname.clone().unwrap_or_else(|| document.object.name.clone())),
            subdomain: pod.spec.subdomain.clone(),
            service_account: pod.spec.service_account.clone(),
            ready: pod.status.ready,
            mtls: labels.get("security.istio.io/tlsMode") == Some("istio"),
            ports: ports.map(|port| (port.name.clone(), port.port)).collect(),
            canonical_name: canonical(labels, &NAMES, &name),
            canonical_revision: canonical(labels, &REVISIONS, "latest"),
            workload_name: name,
            cluster_id: settings.cluster_id.clone(),
            network: labels
                .get("topology.istio.io/network")
                .map_or_else(|| settings.network.clone(), Str::from),
            locality: locality(labels),
            labels: labels.clone(),
            object: document.object.clone(),
        })
    }

    /// From an endpoint that a ServiceEntry lists.
    pub(crate) fn of_listed(endpoint: &EntryEndpoint, service: &Service, settings: &Settings) -> Workload {
        let found = Entry {
            address: &endpoint.address,
            labels: &endpoint.labels,
            locality: &endpoint.locality,
            network: &endpoint.network,
            service_account: &endpoint.service_account,
            ports: &endpoint.ports,
            weight: endpoint.weight,
        };
        found.workload(&service.namespace, &service.name, &service.object, settings)
    }

    /// From a WorkloadEntry.
    pub(crate) fn of_entry(document: &Document, settings: &Settings) -> Option<Workload> {
        let Kind::WorkloadEntry(entry) = &document.body else { return None };
        // As Istio does it: what the object is labelled with counts, and what the entry says before it.
        let mut labels = document.labels.clone();
        labels.0.extend(entry.labels.0.clone());
        let found = Entry {
            address: &entry.address,
            labels: &labels,
            locality: &entry.locality,
            network: &entry.network,
            service_account: &entry.service_account,
            ports: &entry.ports,
            weight: entry.weight,
        };
        Some(found.workload(&document.object.namespace, &document.object.name, &document.object, settings))
    }
}

/// What a WorkloadEntry and an endpoint of a ServiceEntry say of a workload.
struct Entry<'a> {
    address: &'a str,
    labels: &'a Labels,
    locality: &'a Str,
    network: &'a Str,
    service_account: &'a Str,
    ports: &'a BTreeMap<Str, u16>,
    weight: Option<u32>,
}

impl Entry<'_> {
    fn workload(&self, namespace: &Str, name: &Str, object: &ObjectRef, settings: &Settings) -> Workload {
        let labels = self.labels;
        let ip: Option<IpAddr> = self.address.parse().ok();
        let target = match (ip, self.address.strip_prefix("unix://")) {
            (Some(_), _) => None,
            (None, Some(path)) => Some(Target::Pipe(path.into())),
            (None, None) if self.address.is_empty() => None,
            (None, None) => Some(Target::Name(self.address.into())),
        };
        let or = |text: &Str, other: &dyn Fn() -> Str| if text.is_empty() { other() } else { text.clone() };
        Workload {
            namespace: namespace.clone(),
            name: name.clone(),
            addresses: ip.into_iter().collect(),
            target,
            weight: self.weight.unwrap_or(1).max(1),
            hostname: None,
            subdomain: None,
            service_account: or(self.service_account, &|| "default".into()),
            ready: true,
            mtls: labels.get("security.istio.io/tlsMode") == Some("istio"),
            ports: self.ports.iter().map(|(name, port)| (name.clone(), *port)).collect(),
            workload_name: labels
                .get("service.istio.io/workload-name")
                .map_or_else(|| name.clone(), Str::from),
            canonical_name: canonical(labels, &NAMES, name),
            canonical_revision: canonical(labels, &REVISIONS, "latest"),
            cluster_id: settings.cluster_id.clone(),
            network: or(self.network, &|| {
                labels.get("topology.istio.io/network").map_or_else(|| settings.network.clone(), Str::from)
            }),
            locality: match self.locality.is_empty() {
                true => locality(labels),
                false => Locality::parse(self.locality),
            },
            labels: labels.clone(),
            object: object.clone(),
        }
    }
}

const NAMES: [&str; 3] = ["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"];
const REVISIONS: [&str; 3] = ["service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"];

fn canonical(labels: &Labels, keys: &[&str], default: &str) -> Str {
    keys.iter().find_map(|key| labels.get(key)).unwrap_or(default).into()
}

/// The controller's name. A ReplicaSet's is its Deployment's with a hash that is also a label.
fn workload_name(document: &Document, pod: &Pod) -> Str {
    if let Some(name) = document.labels.get("service.istio.io/workload-name") {
        return name.into();
    }
    match &pod.owner {
        Some((kind, name)) if kind == "ReplicaSet" => {
            let hash = document.labels.get("pod-template-hash");
            let deployment = hash.and_then(|hash| name.strip_suffix(hash)?.strip_suffix('-'));
            deployment.unwrap_or(name).into()
        }
        Some((_, name)) => name.clone(),
        None => document.object.name.clone(),
    }
}

fn locality(labels: &Labels) -> Locality {
    // Kubernetes label values have no slashes, so Istio takes dots in this one.
    let istio = labels.get("topology.istio.io/locality").or_else(|| labels.get("istio-locality"));
    if let Some(text) = istio {
        return Locality::parse(&text.replace('.', "/"));
    }
    let label = |key| labels.get(key).map(Str::from).unwrap_or_default();
    Locality {
        region: label("topology.kubernetes.io/region"),
        zone: label("topology.kubernetes.io/zone"),
        sub_zone: label("topology.istio.io/subzone"),
    }
}
