//! Workloads: pods, and what a ServiceEntry says of an endpoint.

use std::net::IpAddr;

use istio_api::k8s::{Pod, PodPhase};
use istio_api::networking::EntryEndpoint;
use istio_api::{Document, Kind};
use model::{Labels, Locality, ObjectRef, SpiffeId, Str};

use crate::{Service, Settings};

/// Something with an address that runs an application.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    pub namespace: Str,
    /// The pod's name.
    pub name: Str,
    /// Empty before it has one. The first is the main one.
    pub addresses: Vec<IpAddr>,
    pub labels: Labels,
    pub service_account: Str,
    pub ready: bool,
    /// It accepts mutual TLS: the label `security.istio.io/tlsMode` is `istio`.
    pub mtls: bool,
    /// Ports of its containers: name (may be empty) and number.
    pub ports: Vec<(Str, u16)>,
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

    /// From an endpoint that a ServiceEntry lists; `None` without an IP address.
    pub(crate) fn of_entry(
        endpoint: &EntryEndpoint,
        service: &Service,
        settings: &Settings,
    ) -> Option<Workload> {
        let address: IpAddr = endpoint.address.parse().ok()?;
        let labels = &endpoint.labels;
        let account = match endpoint.service_account.is_empty() {
            true => "default".into(),
            false => endpoint.service_account.clone(),
        };
        let locality = match endpoint.locality.is_empty() {
            true => locality(labels),
            false => Locality::parse(&endpoint.locality),
        };
        let network = match endpoint.network.is_empty() {
            true => {
                labels.get("topology.istio.io/network").map_or_else(|| settings.network.clone(), Str::from)
            }
            false => endpoint.network.clone(),
        };
        Some(Workload {
            namespace: service.namespace.clone(),
            name: service.name.clone(),
            addresses: vec![address],
            service_account: account,
            ready: true,
            mtls: labels.get("security.istio.io/tlsMode") == Some("istio"),
            ports: Vec::new(),
            workload_name: service.name.clone(),
            canonical_name: canonical(labels, &NAMES, &service.name),
            canonical_revision: canonical(labels, &REVISIONS, "latest"),
            cluster_id: settings.cluster_id.clone(),
            network,
            locality,
            labels: labels.clone(),
            object: service.object.clone(),
        })
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
