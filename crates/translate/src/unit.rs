//! Units: the smallest things that are rebuilt alone.

use std::fmt;
use std::net::IpAddr;

use ir::{Resource, ResourceType};
use istio_api::mesh::OutboundTrafficPolicy;
use model::{DataPlane, Finding, Host, Labels, Locality, Node, NodeType, ObjectRef};
use registry::View;
use stdx::Str;

use crate::egress;
use crate::outbound::entry::Entry;
use crate::proxy_headers;

/// Something that is rebuilt alone. It may give several resources, all of one type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unit {
    /// `BlackHoleCluster`, `PassthroughCluster`, `InboundPassthroughCluster`.
    FixedClusters,
    /// The clusters of a service: one for each port, and for each subset of it.
    Clusters(Host),
    /// `inbound|PORT||`, for each port of the workload that a service exposes.
    InboundClusters,
    /// The endpoints of a service's port: the assignment of its cluster, and of each subset's.
    Endpoints { host: Host, port: u16 },
    /// `virtualOutbound`.
    VirtualOutbound,
    /// `virtualInbound`.
    VirtualInbound,
    /// A port that `ingress` of a Sidecar opens without capture.
    IngressListener { port: u16 },
    /// The listener `ADDRESS_PORT`, and who shares it.
    OutboundListener { address: IpAddr, port: u16, entry: Entry },
    /// The route configuration `PORT`.
    Routes { port: u16 },
    /// The route configuration `HOST:PORT` of a service whose protocol is not declared.
    ServiceRoutes { host: Host, port: u16 },
    /// The route configuration of an HTTP proxy: of the mesh, or of a Sidecar on this port.
    ProxyRoutes { port: Option<u16> },
    /// The listener of a gateway's port. `bind`: on this address only.
    GatewayListener { bind: Option<IpAddr>, port: u16 },
    /// The route configuration `http.PORT` of a gateway.
    GatewayRoutes { bind: Option<IpAddr>, port: u16 },
    /// The route configuration of one server that terminates TLS: by the port's name of a Gateway.
    GatewayServerRoutes { bind: Option<IpAddr>, port: u16, gateway: ObjectRef, server: Str },
    /// `outbound_.PORT_.SUBSET_.HOST`: the clusters by which a gateway passes TLS on to a service.
    PassthroughClusters(Host),
    /// A Secret of the gateway's namespace that its servers name: certificate and key, and roots.
    Credential(Str),
    /// The names that the agent resolves.
    NameTable,
}

impl Unit {
    /// The type of its resources.
    pub fn ty(&self) -> ResourceType {
        match self {
            Unit::FixedClusters
            | Unit::Clusters(_)
            | Unit::InboundClusters
            | Unit::PassthroughClusters(_) => ResourceType::Cluster,
            Unit::Credential(_) => ResourceType::Secret,
            Unit::Endpoints { .. } => ResourceType::Endpoints,
            Unit::VirtualOutbound
            | Unit::VirtualInbound
            | Unit::IngressListener { .. }
            | Unit::OutboundListener { .. }
            | Unit::GatewayListener { .. } => ResourceType::Listener,
            Unit::Routes { .. }
            | Unit::ServiceRoutes { .. }
            | Unit::ProxyRoutes { .. }
            | Unit::GatewayRoutes { .. }
            | Unit::GatewayServerRoutes { .. } => ResourceType::Route,
            Unit::NameTable => ResourceType::NameTable,
        }
    }

    /// The unit that has the endpoints of a cluster of this name, `outbound|PORT|SUBSET|HOST`.
    pub fn of_cluster(name: &str) -> Option<Unit> {
        let mut parts = name.splitn(4, '|');
        let (direction, port, _subset, host) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let port = port.parse().ok()?;
        (direction == "outbound").then(|| Unit::Endpoints { host: Host::new(host), port })
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bound = |bind: &Option<IpAddr>| bind.map(|address| format!(" on {address}")).unwrap_or_default();
        match self {
            Unit::FixedClusters => f.write_str("fixed clusters"),
            Unit::Clusters(host) => write!(f, "clusters of {host}"),
            Unit::PassthroughClusters(host) => write!(f, "passthrough clusters of {host}"),
            Unit::Credential(name) => write!(f, "credential {name}"),
            Unit::InboundClusters => f.write_str("inbound clusters"),
            Unit::Endpoints { host, port } => write!(f, "endpoints of {host}:{port}"),
            Unit::VirtualOutbound => f.write_str("listener virtualOutbound"),
            Unit::VirtualInbound => f.write_str("listener virtualInbound"),
            Unit::IngressListener { port } => write!(f, "ingress listener {port}"),
            Unit::OutboundListener { address, port, .. } => write!(f, "listener {address}_{port}"),
            Unit::Routes { port } => write!(f, "routes {port}"),
            Unit::ServiceRoutes { host, port } => write!(f, "routes {host}:{port}"),
            Unit::ProxyRoutes { port: None } => f.write_str("routes of the HTTP proxy"),
            Unit::ProxyRoutes { port: Some(port) } => write!(f, "routes of the HTTP proxy {port}"),
            Unit::GatewayListener { bind, port } => write!(f, "gateway listener {port}{}", bound(bind)),
            Unit::GatewayRoutes { bind, port } => write!(f, "gateway routes {port}{}", bound(bind)),
            Unit::GatewayServerRoutes { gateway, server, port, .. } => {
                write!(f, "gateway routes {port} of {server} in {gateway}")
            }
            Unit::NameTable => f.write_str("name table"),
        }
    }
}

/// What of a node a unit depends on. Nodes with equal scopes share the unit's translation. What a
/// unit does not depend on has the same value for all nodes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ScopeKey {
    pub node_type: NodeType,
    pub data_plane: DataPlane,
    pub namespace: Str,
    pub domain: Str,
    pub labels: Labels,
    pub locality: Locality,
    /// The Sidecar that governs its traffic.
    pub sidecar: Option<ObjectRef>,
    pub addresses: Vec<IpAddr>,
    /// The node has no IPv4 address.
    pub ipv6: bool,
    /// Its workload asks the agent for names, and so gets addresses that only the mesh knows.
    pub dns: bool,
    /// Nothing brings connections to the proxy but ports of its own.
    pub uncaptured: bool,
    /// What the proxy says of its own settings.
    pub proxy_config: Str,
}

/// What of `node` the unit depends on. Of its labels, routes, clusters and endpoints depend on those
/// that some rule looks at, which is recorded in `view`, and so is the Sidecar that governs a node.
pub fn scope(view: &View<'_>, node: &Node, unit: &Unit) -> ScopeKey {
    let mut scope = ScopeKey {
        node_type: NodeType::Sidecar,
        data_plane: DataPlane::Lateen,
        namespace: Str::default(),
        domain: Str::default(),
        labels: Labels::default(),
        locality: Locality::default(),
        sidecar: None,
        addresses: Vec::new(),
        ipv6: false,
        dns: false,
        uncaptured: false,
        proxy_config: Str::default(),
    };
    let sidecar = || match node.node_type {
        NodeType::Sidecar => egress::governing(view, &node.namespace, &node.labels),
        NodeType::Router => None,
    };
    match unit {
        Unit::FixedClusters => {
            scope.node_type = node.node_type;
            scope.ipv6 = is_ipv6(node);
            scope.dns = resolves_by_agent(view, node);
            if view.mesh().outbound_tls.is_some() {
                scope.data_plane = node.data_plane;
            }
        }
        Unit::Clusters(host) => {
            scope.sidecar = if view.is_ambiguous(host) { sidecar() } else { None };
            scope.node_type = node.node_type;
            scope.data_plane = node.data_plane;
            scope.namespace = node.namespace.clone();
            scope.labels = view.client_labels(&node.labels);
            scope.locality = node.locality.clone();
            scope.ipv6 = is_ipv6(node);
        }
        Unit::Endpoints { host, .. } => {
            scope.sidecar = if view.is_ambiguous(host) { sidecar() } else { None };
            scope.namespace = node.namespace.clone();
            scope.labels = view.client_labels(&node.labels);
            scope.locality = node.locality.clone();
        }
        Unit::PassthroughClusters(_) | Unit::Credential(_) => scope.namespace = node.namespace.clone(),
        Unit::OutboundListener { .. } => {
            scope.sidecar = sidecar();
            scope.ipv6 = is_ipv6(node);
            scope.dns = resolves_by_agent(view, node);
            scope.labels = view.client_labels(&node.labels);
            scope.data_plane = node.data_plane;
            scope.namespace = node.namespace.clone();
            scope.uncaptured = node.uncaptured;
        }
        Unit::Routes { .. } | Unit::ServiceRoutes { .. } | Unit::ProxyRoutes { .. } => {
            scope.sidecar = sidecar();
            scope.namespace = node.namespace.clone();
            scope.domain = node.domain.clone();
            scope.labels = view.client_labels(&node.labels);
            scope.dns = asks_for_names(view, node);
        }
        Unit::NameTable => {
            scope.sidecar = sidecar();
            scope.namespace = node.namespace.clone();
            scope.domain = node.domain.clone();
            scope.dns = asks_for_names(view, node);
        }
        Unit::VirtualOutbound => {
            scope.sidecar = sidecar();
            if scope.sidecar.is_some() {
                scope.namespace = node.namespace.clone();
            }
            scope.data_plane = node.data_plane;
            scope.ipv6 = is_ipv6(node);
            scope.dns = resolves_by_agent(view, node);
        }
        Unit::VirtualInbound | Unit::InboundClusters | Unit::IngressListener { .. } => {
            scope.sidecar = sidecar();
            scope.uncaptured = node.uncaptured;
            scope.data_plane = node.data_plane;
            scope.namespace = node.namespace.clone();
            scope.labels = node.labels.clone();
            scope.addresses = node.addresses.clone();
            scope.ipv6 = is_ipv6(node);
        }
        Unit::GatewayListener { .. } | Unit::GatewayRoutes { .. } | Unit::GatewayServerRoutes { .. } => {
            scope.node_type = node.node_type;
            scope.data_plane = node.data_plane;
            scope.namespace = node.namespace.clone();
            scope.domain = node.domain.clone();
            scope.labels = node.labels.clone();
            scope.addresses = node.addresses.clone();
            scope.ipv6 = is_ipv6(node);
        }
    }
    match unit.ty() {
        ResourceType::Listener | ResourceType::Route => scope.proxy_config = node.proxy_config.clone(),
        ResourceType::Cluster => scope.proxy_config = proxy_headers::of_clusters(&node.proxy_config),
        _ => {}
    }
    scope
}

/// Whether the node's workload asks the agent for names.
pub fn asks_for_names(view: &View<'_>, node: &Node) -> bool {
    node.dns_capture.unwrap_or_else(|| view.mesh().dns_capture())
}

/// Whether the node's proxy asks the agent for names that nobody declared.
fn resolves_by_agent(view: &View<'_>, node: &Node) -> bool {
    view.mesh().outbound_traffic_policy == OutboundTrafficPolicy::AllowAnyDynamicDns
        && asks_for_names(view, node)
}

/// Whether the node is reached by IPv6 alone.
pub fn is_ipv6(node: &Node) -> bool {
    !node.addresses.is_empty() && node.addresses.iter().all(IpAddr::is_ipv6)
}

impl ScopeKey {
    /// The address that stands for all of the node's.
    pub fn wildcard(&self) -> IpAddr {
        wildcard(self.ipv6)
    }
}

/// The address that stands for all of a node's.
pub fn wildcard(ipv6: bool) -> IpAddr {
    if ipv6 { IpAddr::from([0u16; 8]) } else { IpAddr::from([0u8; 4]) }
}

/// The units that a proxy needs, in the order of their types.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub units: Vec<Unit>,
    /// What no unit can say by itself: who lost a conflict.
    pub findings: Vec<Finding>,
}

/// What a unit is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Built {
    /// In a fixed order.
    pub resources: Vec<Resource>,
    pub findings: Vec<Finding>,
}
