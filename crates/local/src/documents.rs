//! What the mesh tells its control plane: pods with their status, and the gateway's Service.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::folder;
use crate::render::PodPlan;
use crate::workload::Role;

/// Namespace and name of the gateway that is part of the mesh.
pub const GATEWAY_NAMESPACE: &str = "istio-system";
pub const GATEWAY_NAME: &str = "istio-ingressgateway";

/// The labels that Gateways select it by.
pub fn gateway_labels() -> BTreeMap<String, String> {
    let pairs = [("app", GATEWAY_NAME), ("istio", "ingressgateway")];
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// The gateway's Service.
pub fn gateway_service() -> Value {
    let port =
        |name: &str, port: u16, target: u16| json!({ "name": name, "port": port, "targetPort": target });
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": GATEWAY_NAME, "namespace": GATEWAY_NAMESPACE, "labels": gateway_labels() },
        "spec": {
            "type": "ClusterIP",
            "selector": gateway_labels(),
            "ports": [port("http2", 80, 8080), port("https", 443, 8443)],
        },
    })
}

/// A pod, as a cluster's API would show it.
pub fn pod(plan: &PodPlan, hash: Option<&str>, ready: bool) -> Value {
    let mut labels = plan.template.labels.clone();
    if matches!(plan.template.role, Role::Sidecar { .. } | Role::Gateway) {
        // Accepts mutual TLS; its owner may say otherwise.
        labels.entry("security.istio.io/tlsMode".into()).or_insert_with(|| "istio".into());
    }
    let mut metadata = json!({
        "name": plan.name,
        "namespace": plan.namespace,
        "annotations": plan.template.annotations,
    });
    if let Some(hash) = hash {
        labels.insert("pod-template-hash".into(), hash.to_owned());
        let owner = format!("{}-{hash}", plan.workload);
        metadata["ownerReferences"] =
            json!([{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner }]);
    }
    metadata["labels"] = json!(labels);
    let address = plan.address.to_string();
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": { "serviceAccountName": plan.service_account(), "containers": containers(plan) },
        "status": {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{ "ip": address }],
            "conditions": [{ "type": "Ready", "status": if ready { "True" } else { "False" } }],
        },
    })
}

/// Containers with their ports: named target ports are found in them.
fn containers(plan: &PodPlan) -> Vec<Value> {
    let containers = plan.template.spec.containers.iter().map(|container| {
        let ports = container.ports.iter().map(|port| json!({ "name": port.name.as_str(), "containerPort": port.port }));
        json!({ "name": container.name.as_str(), "image": container.image.as_str(), "ports": ports.collect::<Vec<_>>() })
    });
    let containers: Vec<Value> = containers.collect();
    if containers.is_empty() { vec![json!({ "name": "istio-proxy" })] } else { containers }
}

/// The folder of documents, a `--config-dir` of the control plane.
#[derive(Clone, Debug)]
pub struct Documents {
    folder: PathBuf,
}

impl Documents {
    /// # Errors
    /// The folder could not be made.
    pub fn create(folder: &Path) -> anyhow::Result<Documents> {
        folder::folder_with_mode(folder, 0o755)?;
        Ok(Documents { folder: folder.to_owned() })
    }

    /// Puts an object in the place of what it was before, whole.
    ///
    /// # Errors
    /// The file could not be written.
    pub fn put(&self, kind: &str, namespace: &str, name: &str, object: &Value) -> anyhow::Result<()> {
        // JSON is YAML. The fresh file is hidden, so it is not read before it is whole.
        folder::write(&self.file(kind, namespace, name), object.to_string().as_bytes())
    }

    /// Takes an object away, if it is there.
    pub fn take(&self, kind: &str, namespace: &str, name: &str) {
        // Not there is as good.
        let _ = std::fs::remove_file(self.file(kind, namespace, name));
    }

    fn file(&self, kind: &str, namespace: &str, name: &str) -> PathBuf {
        self.folder.join(format!("{kind}.{namespace}.{name}.yaml"))
    }
}
