//! A mesh in a string: YAML documents, the registry's snapshot of them, a proxy's resources.
#![allow(dead_code)]

use std::sync::Arc;

use ir::{Cluster, Listener, LoadAssignment, Resource, ResourceType, RouteConfig};
use model::{DataPlane, Finding, Labels, Node, NodeType};
use registry::{Change, Settings, Snapshot};
use translate::{Resources, translate_all};

/// A snapshot of these documents. They must be free of mistakes, except where a test is about one.
pub fn snapshot(yaml: &str) -> Snapshot {
    changed(&Snapshot::new(Settings::default()), yaml)
}

/// The snapshot after these documents were saved.
pub fn changed(before: &Snapshot, yaml: &str) -> Snapshot {
    let parsed = istio_api::parse_stream("mesh.yaml", yaml);
    assert!(!parsed.incomplete, "{:?}", parsed.findings);
    for finding in parsed.findings.iter().filter(|finding| finding.level == model::Level::Error) {
        eprintln!("{finding}"); // Shown where a test fails.
    }
    let changes = parsed.documents.into_iter().map(|document| Change::Upsert(Arc::new(document)));
    before.apply(changes.collect()).0
}

/// The snapshot with this mesh configuration.
pub fn with_mesh(before: &Snapshot, yaml: &str) -> Snapshot {
    let parsed = istio_api::parse_mesh_config("mesh-config.yaml", yaml);
    assert!(!parsed.broken, "{:?}", parsed.findings);
    before.apply(vec![Change::MeshConfig(Some(Arc::new(parsed.config)))]).0
}

/// A sidecar in `namespace` at `address`, with labels as in `app=web,version=v1`.
pub fn sidecar(namespace: &str, address: &str, labels: &str) -> Node {
    node(NodeType::Sidecar, namespace, address, labels)
}

/// A gateway.
pub fn router(namespace: &str, address: &str, labels: &str) -> Node {
    node(NodeType::Router, namespace, address, labels)
}

fn node(node_type: NodeType, namespace: &str, address: &str, labels: &str) -> Node {
    let id = format!("{node_type}~{address}~pod.{namespace}~{namespace}.svc.cluster.local");
    let mut node = Node::parse_id(&id).unwrap();
    node.data_plane = DataPlane::Lateen;
    node.labels = labels.split(',').filter_map(|pair| pair.split_once('=')).collect::<Labels>();
    node
}

/// What a proxy gets.
pub struct Proxy(pub Resources);

impl Proxy {
    pub fn of(snapshot: &Snapshot, node: &Node) -> Self {
        Proxy(translate_all(snapshot, node))
    }

    /// What a sidecar of namespace `shop` gets in the mesh of these documents.
    pub fn in_shop(yaml: &str) -> Self {
        Proxy::of(&snapshot(yaml), &sidecar("shop", "10.1.0.9", "app=client"))
    }

    #[track_caller]
    pub fn cluster(&self, name: &str) -> &Cluster {
        match self.0.get(ResourceType::Cluster, name) {
            Some(Resource::Cluster(cluster)) => cluster,
            _ => panic!("no cluster {name}; there are {:?}", self.names(ResourceType::Cluster)),
        }
    }

    #[track_caller]
    pub fn endpoints(&self, name: &str) -> &LoadAssignment {
        match self.0.get(ResourceType::Endpoints, name) {
            Some(Resource::Endpoints(assignment)) => assignment,
            _ => panic!("no endpoints {name}; there are {:?}", self.names(ResourceType::Endpoints)),
        }
    }

    /// Addresses of a cluster's endpoints.
    #[track_caller]
    pub fn addresses(&self, cluster: &str) -> Vec<String> {
        let localities = &self.endpoints(cluster).localities;
        localities.iter().flat_map(|l| &l.endpoints).map(|e| e.address.to_string()).collect()
    }

    #[track_caller]
    pub fn listener(&self, name: &str) -> &Listener {
        match self.0.get(ResourceType::Listener, name) {
            Some(Resource::Listener(listener)) => listener,
            _ => panic!("no listener {name}; there are {:?}", self.names(ResourceType::Listener)),
        }
    }

    #[track_caller]
    pub fn routes(&self, name: &str) -> &RouteConfig {
        match self.0.get(ResourceType::Route, name) {
            Some(Resource::Route(routes)) => routes,
            _ => panic!("no routes {name}; there are {:?}", self.names(ResourceType::Route)),
        }
    }

    pub fn names(&self, ty: ResourceType) -> Vec<String> {
        self.0.of(ty).map(|resource| resource.name().to_string()).collect()
    }

    pub fn findings(&self) -> &[Finding] {
        &self.0.findings
    }
}

/// A Service of `shop` with one port, `NAME-ADDRESS`'s last part, and pods of its name.
pub fn service(name: &str, address: &str, port: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: shop}}\n\
         spec: {{clusterIP: {address}, selector: {{app: {name}}}, ports: [{port}]}}\n"
    )
}

/// A ready pod of `shop` with a sidecar.
pub fn pod(name: &str, address: &str, labels: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: shop, labels: \
         {{security.istio.io/tlsMode: istio, {labels}}}}}\n\
         spec: {{serviceAccountName: {name}, containers: [{{name: app, image: x}}]}}\n\
         status: {{phase: Running, podIP: {address}, podIPs: [{{ip: {address}}}], \
         conditions: [{{type: Ready, status: \"True\"}}]}}\n"
    )
}
