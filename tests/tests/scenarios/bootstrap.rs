//! What a proxy is to get, as a file that it starts from: routes are in the listeners, endpoints in the
//! clusters, secrets beside them. Only places differ from what a mesh sends: listeners are bound to the
//! test's own addresses, and the PROXY protocol says where connections were going.

use std::net::{IpAddr, SocketAddr};

use ir::http::RouteSource;
use ir::listener::ListenerFilter;
use ir::tls::{CertificateSource, CommonTls, DataSource, RootsSource, SdsVia, SecretContent, TlsCertificate};
use ir::{Address, Cluster, ClusterDiscovery, Listener, Resource, ResourceType, Secret, Terminal};
use model::{DataPlane, Labels, Node};
use serde_json::Value;
use translate::{Resources, translate_all};

use crate::mesh::Mesh;
use crate::network::{Block, Network};

/// A proxy's file, and where it will listen.
pub struct Made {
    pub json: Value,
    pub listens: Vec<SocketAddr>,
}

pub fn make(mesh: &Mesh, network: &Network, data_plane: DataPlane, own: Block) -> Made {
    let node = node(mesh, data_plane);
    let resources = translate_all(&mesh.snapshot, &node);
    let mut made = ir::Bootstrap::default();
    made.node.id = node.id().into();
    made.node.cluster = mesh.viewer.name.as_str().into();
    made.secrets = secrets(mesh, network, &resources);
    let mut listens = Vec::new();
    for resource in resources.iter() {
        match resource {
            Resource::Cluster(cluster) => made.clusters.push(self::cluster(&resources, cluster)),
            Resource::Listener(listener) => {
                let listener = self::listener(&resources, listener, mesh.block, own);
                if let (Address::Socket(address), true) = (&listener.address, listener.bind_to_port) {
                    listens.push(*address);
                }
                made.listeners.push(listener);
            }
            _ => {}
        }
    }
    Made { json: xds_codec::json::bootstrap_to_json(&made), listens }
}

fn node(mesh: &Mesh, data_plane: DataPlane) -> Node {
    let viewer = &mesh.viewer;
    let (ns, name) = (&viewer.namespace, &viewer.name);
    let id = format!("{}~{}~{name}.{ns}~{ns}.svc.cluster.local", viewer.kind, viewer.address);
    let mut node = Node::parse_id(&id).expect("a node");
    node.data_plane = data_plane;
    node.verified = true;
    node.service_account = name.as_str().into();
    node.labels = viewer.labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect::<Labels>();
    node
}

/// What the agent and the control plane would serve.
fn secrets(mesh: &Mesh, network: &Network, resources: &Resources) -> Vec<Secret> {
    let inline = |text: &str| DataSource::Inline(text.as_bytes().to_vec());
    let id = format!("spiffe://cluster.local/ns/{}/sa/{}", mesh.viewer.namespace, mesh.viewer.name);
    let pair = network.authority.issue(&[&id]);
    let certificate = TlsCertificate { chain: inline(&pair.chain), key: inline(&pair.key) };
    let mut all = vec![
        Secret { name: "default".into(), content: SecretContent::Certificate(certificate) },
        Secret {
            name: "ROOTCA".into(),
            content: SecretContent::Roots(inline(&network.authority.root).into()),
        },
    ];
    all.extend(resources.iter().filter_map(|resource| match resource {
        Resource::Secret(secret) => Some((**secret).clone()),
        _ => None,
    }));
    all
}

fn cluster(resources: &Resources, cluster: &Cluster) -> Cluster {
    let mut cluster = cluster.clone();
    if let ClusterDiscovery::Eds { service_name, .. } = &cluster.discovery {
        let name = service_name.as_ref().unwrap_or(&cluster.name);
        if let Some(Resource::Endpoints(endpoints)) = resources.get(ResourceType::Endpoints, name) {
            let mut endpoints = (**endpoints).clone();
            endpoints.cluster_name = cluster.name.clone();
            cluster.discovery = ClusterDiscovery::Static(endpoints);
        }
    }
    let matches = cluster.transport_matches.iter_mut().filter_map(|found| found.tls.as_mut());
    for tls in matches.chain(&mut cluster.tls) {
        at_hand(&mut tls.common);
    }
    cluster
}

/// Secrets come from the file.
fn at_hand(tls: &mut CommonTls) {
    if let Some(CertificateSource::Sds(sds)) = &mut tls.certificate {
        sds.via = SdsVia::Static;
    }
    if let Some(RootsSource::Sds(sds)) = tls.validation.as_mut().map(|validation| &mut validation.roots) {
        sds.via = SdsVia::Static;
    }
}

fn listener(resources: &Resources, listener: &Listener, mesh: Block, own: Block) -> Listener {
    let mut listener = listener.clone();
    for chain in listener.filter_chains.iter_mut().chain(&mut listener.default_filter_chain) {
        if let Some(tls) = &mut chain.tls {
            at_hand(&mut tls.common);
        }
        let Terminal::Http(manager) = &mut chain.terminal else { continue };
        if let RouteSource::Rds(name) = &manager.routes
            && let Some(Resource::Route(routes)) = resources.get(ResourceType::Route, name)
        {
            manager.routes = RouteSource::Inline(routes.clone());
        }
    }
    if !listener.bind_to_port {
        return listener;
    }
    let captured = ["virtualOutbound", "virtualInbound"].contains(&listener.name.as_str());
    if captured {
        listener.listener_filters.retain(|filter| *filter != ListenerFilter::OriginalDst);
        let said = ListenerFilter::ProxyProtocol { optional: false, disallowed: Vec::new() };
        listener.listener_filters.insert(0, said);
    }
    if let Address::Socket(address) = &mut listener.address {
        *address = place(*address, mesh, own);
    }
    listener
}

/// Where a proxy listens instead: both stand on the same machine.
pub fn place(written: SocketAddr, mesh: Block, own: Block) -> SocketAddr {
    let last = match written.ip() {
        IpAddr::V4(ip) if mesh.at(ip.octets()[3]) == written.ip() => ip.octets()[3],
        _ => 1,
    };
    SocketAddr::new(own.at(last), written.port())
}
