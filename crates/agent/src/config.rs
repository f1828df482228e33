//! What an agent is told.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use ir::bootstrap::Json;
use model::{Labels, Locality, Node, NodeType, SpiffeId};
use stdx::Str;

/// Everything an agent needs to know. The command line fills it in.
#[derive(Clone, Debug)]
pub struct AgentConfig {
    pub workload: WorkloadConfig,
    /// `HOST:PORT` of the control plane's TLS port.
    pub control_address: Str,
    /// The DNS name that the control plane's certificate must have.
    pub control_san: Str,
    /// A JWT for the workload's service account, read again at each use.
    pub token_file: PathBuf,
    /// Roots of the mesh (PEM), read again when they change.
    pub root_cert_file: PathBuf,
    /// What is asked for; the authority may give less.
    pub cert_ttl: Duration,
    /// For the socket and the bootstrap file; made if absent, ours alone.
    pub runtime_dir: PathBuf,
    /// Worker threads of the proxy; `None`: one per core.
    pub concurrency: Option<u32>,
    pub ports: Ports,
    /// Where DNS is answered; `None`: nowhere.
    pub dns: Option<std::net::SocketAddr>,
    /// Whom names are asked of that the mesh does not know.
    pub resolv_conf: PathBuf,
    /// After SIGTERM the proxy drains for this long (Istio's `terminationDrainDuration`).
    pub drain: Duration,
    /// Listeners take connections for so long of it (Istio's `drainDuration`). `None`: all the time.
    pub listener_drain: Option<Duration>,
    /// How often, and from how many KiB on, the proxy writes its logs. `None`: as it does by itself.
    pub log_flush_interval: Option<Duration>,
    pub log_flush_kib: Option<u32>,
    /// Connections that the proxy takes, all listeners together. `None`: no limit.
    pub max_connections: Option<u32>,
}

/// Ports, Istio's numbers by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// The proxy's admin, on 127.0.0.1.
    pub admin: u16,
    /// The agent: `/healthz/ready`, merged `/stats/prometheus`.
    pub status: u16,
    /// Readiness, for kubelets.
    pub health: u16,
    /// The proxy's statistics alone.
    pub prometheus: u16,
}

impl Default for Ports {
    fn default() -> Self {
        Ports { admin: 15000, status: 15020, health: 15021, prometheus: 15090 }
    }
}

/// Who the workload is.
#[derive(Clone, Debug)]
pub struct WorkloadConfig {
    pub node_type: NodeType,
    pub pod: Str,
    pub namespace: Str,
    pub service_account: Str,
    /// The first is the one in the node id.
    pub addresses: Vec<IpAddr>,
    pub labels: Labels,
    pub annotations: BTreeMap<Str, Str>,
    /// The owner's name (`reviews-v1`), for metrics. Empty: the pod's.
    pub workload_name: Str,
    pub trust_domain: Str,
    /// `cluster.local`.
    pub domain: Str,
    pub cluster_id: Str,
    pub mesh_id: Str,
    pub network: Str,
    pub locality: Locality,
    /// More metadata (`ISTIO_META_*`); wins over what follows from the fields above.
    pub metadata: BTreeMap<Str, Json>,
}

impl WorkloadConfig {
    /// The identity its certificate will carry.
    pub fn identity(&self) -> SpiffeId {
        SpiffeId::new(&self.trust_domain, &self.namespace, &self.service_account)
    }

    /// `TYPE~IP~POD.NAMESPACE~NAMESPACE.svc.DOMAIN`.
    pub fn node_id(&self) -> String {
        Node {
            node_type: self.node_type,
            data_plane: model::node::DataPlane::Lateen,
            name: self.pod.clone(),
            namespace: self.namespace.clone(),
            addresses: self.addresses.clone(),
            domain: self.domain.clone(),
            verified: false,
            service_account: self.service_account.clone(),
            labels: self.labels.clone(),
            locality: self.locality.clone(),
            cluster_id: self.cluster_id.clone(),
            network: self.network.clone(),
            dns_capture: None,
            uncaptured: false,
            proxy_config: Str::default(),
        }
        .id()
    }

    /// Istio's canonical service: a label, or the workload.
    pub fn canonical_name(&self) -> Str {
        let labels = ["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"];
        let label = labels.into_iter().find_map(|label| self.labels.get(label));
        label.map_or_else(|| self.workload().clone(), Str::from)
    }

    /// The owner's name, or the pod's.
    pub fn workload(&self) -> &Str {
        if self.workload_name.is_empty() { &self.pod } else { &self.workload_name }
    }

    /// The node's metadata under Istio's keys.
    pub fn node_metadata(&self) -> BTreeMap<Str, Json> {
        let text = |value: &str| Json::Text(value.into());
        let map = |pairs: &BTreeMap<Str, Str>| {
            Json::Map(pairs.iter().map(|(key, value)| (key.clone(), text(value))).collect())
        };
        let addresses: Vec<String> = self.addresses.iter().map(ToString::to_string).collect();
        let mut metadata = BTreeMap::new();
        let mut put = |key: &str, value: Json| drop(metadata.insert(Str::from(key), value));
        put("NAME", text(&self.pod));
        put("NAMESPACE", text(&self.namespace));
        put("SERVICE_ACCOUNT", text(&self.service_account));
        put("WORKLOAD_NAME", text(self.workload()));
        put("INSTANCE_IPS", Json::Text(addresses.join(",").into()));
        put("LABELS", map(&self.labels.0));
        put("CLUSTER_ID", text(&self.cluster_id));
        put("MESH_ID", text(&self.mesh_id));
        put("TRUST_DOMAIN", text(&self.trust_domain));
        put("INTERCEPTION_MODE", text("REDIRECT"));
        if !self.annotations.is_empty() {
            put("ANNOTATIONS", map(&self.annotations));
        }
        if !self.network.is_empty() {
            put("NETWORK", text(&self.network));
        }
        metadata.extend(self.metadata.clone());
        metadata
    }
}

#[cfg(test)]
pub(crate) fn example() -> AgentConfig {
    AgentConfig {
        workload: WorkloadConfig {
            node_type: NodeType::Sidecar,
            pod: "reviews-v1-0".into(),
            namespace: "shop".into(),
            service_account: "reviews".into(),
            addresses: vec![IpAddr::from([10, 0, 0, 5])],
            labels: [("app", "reviews"), ("version", "v1")].into_iter().collect(),
            annotations: BTreeMap::new(),
            workload_name: "reviews-v1".into(),
            trust_domain: "cluster.local".into(),
            domain: "cluster.local".into(),
            cluster_id: "Kubernetes".into(),
            mesh_id: "cluster.local".into(),
            network: Str::default(),
            locality: Locality::default(),
            metadata: BTreeMap::new(),
        },
        control_address: "127.0.0.1:15012".into(),
        control_san: "istiod.istio-system.svc".into(),
        token_file: "/nonexistent/token".into(),
        root_cert_file: "/nonexistent/root-cert.pem".into(),
        cert_ttl: Duration::from_secs(24 * 3600),
        runtime_dir: "/nonexistent/run".into(),
        concurrency: Some(2),
        ports: Ports::default(),
        dns: None,
        resolv_conf: "/nonexistent/resolv.conf".into(),
        drain: Duration::from_secs(5),
        listener_drain: None,
        log_flush_interval: None,
        log_flush_kib: None,
        max_connections: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_has_istios_keys_and_can_be_overridden() {
        let mut workload = example().workload;
        workload.metadata.insert("CLUSTER_ID".into(), Json::Text("other".into()));
        assert_eq!(workload.node_id(), "sidecar~10.0.0.5~reviews-v1-0.shop~shop.svc.cluster.local");
        assert_eq!(workload.canonical_name().as_str(), "reviews");
        let metadata = workload.node_metadata();
        let check = |key: &str, expected: &str| {
            assert_eq!(metadata.get(key), Some(&Json::Text(expected.into())), "{key}");
        };
        check("NAME", "reviews-v1-0");
        check("INSTANCE_IPS", "10.0.0.5");
        check("CLUSTER_ID", "other");
        check("WORKLOAD_NAME", "reviews-v1");
        let Some(Json::Map(labels)) = metadata.get("LABELS") else { panic!("no labels") };
        assert_eq!(labels.get("version"), Some(&Json::Text("v1".into())));
    }
}
