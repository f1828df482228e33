//! Who a proxy says it is when it asks for configuration.

use std::fmt;
use std::net::IpAddr;

use stdx::Str;

use crate::{Labels, Locality};

/// The role of a proxy, from the first part of its node id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeType {
    Sidecar,
    /// A gateway; Istio's word is kept because it is on the wire.
    Router,
}

/// Which implementation asks: stock Envoy refuses extensions that only ours knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DataPlane {
    Lateen,
    Envoy,
}

/// What the control plane knows of a connected proxy: its node id, and the metadata that
/// translation reads. Node id: `TYPE~IP~POD.NAMESPACE~NAMESPACE.svc.DOMAIN`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    pub node_type: NodeType,
    pub data_plane: DataPlane,
    /// The pod's name.
    pub name: Str,
    pub namespace: Str,
    /// All addresses of the workload; the first is the one in the node id.
    pub addresses: Vec<IpAddr>,
    /// DNS domain of the mesh, `cluster.local` by default.
    pub domain: Str,
    pub service_account: Str,
    /// Whether it has proved to be of this namespace and service account.
    pub verified: bool,
    pub labels: Labels,
    pub locality: Locality,
    /// Cluster id (`Kubernetes` by default) and network of the workload.
    pub cluster_id: Str,
    pub network: Str,
    /// `ISTIO_META_DNS_CAPTURE`: its workload asks the agent for names, so that addresses which only
    /// the mesh knows are asked for. `None`: as the mesh says for all.
    pub dns_capture: Option<bool>,
    /// `INTERCEPTION_MODE` is `NONE`: nothing brings connections to the proxy but ports of its own.
    pub uncaptured: bool,
    /// What it says of its own ProxyConfig, as YAML: over what the mesh has for all. Empty: nothing.
    pub proxy_config: Str,
}

impl Node {
    /// The node id as it goes on the wire.
    pub fn id(&self) -> String {
        let kind = self.node_type;
        let ip = self.addresses.first().copied().unwrap_or(IpAddr::from([127, 0, 0, 1]));
        format!("{kind}~{ip}~{}.{ns}~{ns}.svc.{}", self.name, self.domain, ns = self.namespace)
    }

    /// Reads a node id. Everything that only metadata knows has its default.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the id.
    pub fn parse_id(id: &str) -> Result<Node, String> {
        let parts: Vec<&str> = id.split('~').collect();
        let [kind, ip, pod, dns] = parts.as_slice() else {
            return Err(format!("node id {id:?} does not have the four parts TYPE~IP~POD.NAMESPACE~DOMAIN"));
        };
        let node_type = match *kind {
            "sidecar" => NodeType::Sidecar,
            "router" => NodeType::Router,
            other => return Err(format!("node id {id:?}: unknown proxy type {other:?} (sidecar, router)")),
        };
        let address = ip.parse().map_err(|_| format!("node id {id:?}: {ip:?} is not an IP address"))?;
        let (name, namespace) = pod
            .rsplit_once('.')
            .filter(|(name, ns)| !name.is_empty() && !ns.is_empty())
            .ok_or_else(|| format!("node id {id:?}: {pod:?} is not POD.NAMESPACE"))?;
        let domain = dns.split_once(".svc.").map_or("cluster.local", |(_, domain)| domain);
        Ok(Node {
            node_type,
            data_plane: DataPlane::Envoy,
            name: name.into(),
            namespace: namespace.into(),
            addresses: vec![address],
            domain: domain.into(),
            service_account: "default".into(),
            verified: false,
            labels: Labels::default(),
            locality: Locality::default(),
            cluster_id: "Kubernetes".into(),
            network: Str::default(),
            dns_capture: None,
            uncaptured: false,
            proxy_config: Str::default(),
        })
    }
}

impl fmt::Display for NodeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            NodeType::Sidecar => "sidecar",
            NodeType::Router => "router",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_is_read_as_written() {
        let id = "sidecar~10.0.0.1~reviews-v1.abc.shop~shop.svc.cluster.local";
        let node = Node::parse_id(id).unwrap();
        assert_eq!((node.name.as_str(), node.namespace.as_str()), ("reviews-v1.abc", "shop"));
        assert_eq!(node.id(), id);
        for bad in ["", "sidecar~x~a.b~c", "waypoint~1.1.1.1~a.b~c", "sidecar~1.1.1.1~ab~c"] {
            assert!(Node::parse_id(bad).is_err(), "{bad}");
        }
    }
}
