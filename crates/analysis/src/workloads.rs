//! Pods and what makes them: containers, and whether they are in the mesh.

use std::sync::Arc;

use model::Labels;

use crate::kind::Kind;
use crate::object::Object;
use crate::snapshot::Snapshot;
use crate::value::Val;

/// The name of the sidecar's container.
pub const PROXY: &str = "istio-proxy";

/// Containers, then init containers: a native sidecar is one of the latter.
pub fn containers(pod_spec: Val<'_>) -> impl Iterator<Item = Val<'_>> {
    pod_spec.get("containers").items().chain(pod_spec.get("initContainers").items())
}

/// The image of the sidecar, if there is one.
pub fn proxy_image(pod_spec: Val<'_>) -> Option<&str> {
    let proxy = containers(pod_spec).find(|c| c.get("name").str() == PROXY)?;
    proxy.get("image").text().filter(|image| !image.is_empty())
}

/// Whether a Pod, or the pods of a Deployment, have a sidecar or are going to get one: there is a
/// container, or the label (or annotation) of the pod asks, or the namespace is injected.
pub fn in_mesh(object: &Object, snapshot: &Snapshot) -> bool {
    if proxy_image(object.pod_spec()).is_some() {
        return true;
    }
    const INJECT: &str = "sidecar.istio.io/inject";
    let asked = match object.kind {
        Kind::Pod => object.label(INJECT).or_else(|| object.annotation(INJECT)).map(|v| v == "true"),
        _ => {
            let template = object.spec().path("template.metadata");
            let of = |name| {
                let found = template.get(name).entries().find(|(entry, _)| &*entry.key == INJECT);
                found.map(|(_, value)| value.str() == "true")
            };
            of("labels").or_else(|| of("annotations"))
        }
    };
    asked.unwrap_or_else(|| {
        snapshot
            .namespace_labels(&object.namespace)
            .is_some_and(|l| l.get("istio-injection") == Some("enabled"))
    })
}

/// Whether ztunnel handles the traffic of a pod.
pub fn is_ambient(pod: &Object) -> bool {
    pod.annotation("ambient.istio.io/redirection") == Some("enabled")
}

/// What a selector can select: a Pod, the pods that a Deployment (or the like) makes, or a
/// WorkloadEntry. Files often have templates where a cluster has pods, so both count.
#[derive(Debug)]
pub struct Workload {
    pub object: Arc<Object>,
    /// Those of the pods.
    pub labels: Arc<Labels>,
}

impl Workload {
    /// Whether this is one pod, and not what makes pods.
    pub fn is_pod(&self) -> bool {
        self.object.kind == Kind::Pod
    }
}

/// Every workload of a snapshot.
pub fn all(snapshot: &Snapshot) -> Vec<Workload> {
    let objects = snapshot
        .of(Kind::Pod)
        .iter()
        .chain(snapshot.of_all(&Kind::WORKLOADS))
        .chain(snapshot.of(Kind::WorkloadEntry));
    objects.map(|object| Workload { object: object.clone(), labels: object.pod_labels.clone() }).collect()
}
