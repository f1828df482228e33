//! Services and their endpoints.

use std::net::IpAddr;
use std::sync::Arc;

use istio_api::PortRef;
use istio_api::networking::EntryEndpoint;
use model::{Host, Labels, ObjectRef, Protocol, Str};

use crate::{Export, Workload};

/// Something that can be called by name, from a Kubernetes Service or a ServiceEntry.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// `NAME.NAMESPACE.svc.DOMAIN`, or a host of a ServiceEntry, which may be a wildcard.
    pub host: Host,
    pub namespace: Str,
    /// The object's name.
    pub name: Str,
    /// Other hosts that stand for this one: Services of type ExternalName that name it.
    pub aliases: Vec<Host>,
    /// Virtual addresses. Empty for headless services, and where no pool is configured.
    pub addresses: Vec<IpAddr>,
    /// Blocks of addresses that a ServiceEntry stands for: the network and its length in bits.
    pub blocks: Vec<(IpAddr, u8)>,
    /// The address that the mesh gave a ServiceEntry without one, for clients that ask the agent.
    pub allocated: Option<IpAddr>,
    pub ports: Vec<ServicePort>,
    /// Pods of the namespace that are its endpoints; `None`: no pods are.
    pub selector: Option<Labels>,
    pub resolution: Resolution,
    /// Not part of the mesh (`MESH_EXTERNAL`): no mutual TLS by itself.
    pub external: bool,
    /// Endpoints count whether they are ready or not.
    pub publish_not_ready: bool,
    pub source: ServiceSource,
    /// Expected in the certificates of endpoints, if given.
    pub subject_alt_names: Vec<Str>,
    pub export_to: Export,
    /// Gateways in front of which it stands open its own port numbers, not its target ports:
    /// the label `experimental.istio.io/disable-gateway-port-translation`.
    pub gateway_ports_as_they_are: bool,
    /// Seconds since the Unix epoch, 0 if not known.
    pub created: i64,
    pub object: ObjectRef,
    /// Endpoints that a ServiceEntry lists.
    pub(crate) listed: Arc<Vec<EntryEndpoint>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    pub number: u16,
    /// May be empty if it is the only one.
    pub name: Str,
    pub protocol: Protocol,
    /// The endpoints' port.
    pub target_port: PortRef,
}

/// How a request finds an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resolution {
    /// The client's proxy balances over the endpoints.
    ClientSideLb,
    /// A Service without virtual address: names resolve to endpoints, and a connection goes to the
    /// address that the client asked for.
    Headless,
    /// Nothing is known of the endpoints: a connection goes to the address that the client asked for.
    Passthrough,
    /// The client's proxy resolves the endpoints' names, or the service's own where none is listed.
    Dns {
        /// To one address at a time, whatever the name resolves to (`DNS_ROUND_ROBIN`).
        logical: bool,
    },
    /// The service is many names, a wildcard: the client's proxy resolves the one that a request or a TLS
    /// client names.
    DynamicDns,
}

/// Where a service was declared. Decides between services with the same host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceSource {
    Kubernetes,
    ServiceEntry,
}

impl Service {
    /// The port with this number.
    pub fn port(&self, number: u16) -> Option<&ServicePort> {
        self.ports.iter().find(|port| port.number == number)
    }

    /// Its addresses for a client that asks the agent for names (`dns`), or does not.
    pub fn addresses_for(&self, dns: bool) -> Vec<IpAddr> {
        let allocated = self.allocated.filter(|_| dns && self.addresses.is_empty() && self.blocks.is_empty());
        allocated.map_or_else(|| self.addresses.clone(), |address| vec![address])
    }

    /// Whether connections go to the address that the client asked for.
    pub fn is_original_dst(&self) -> bool {
        matches!(self.resolution, Resolution::Headless | Resolution::Passthrough)
    }

    /// Whether it says which endpoints it has, even if there is none now.
    pub fn lists_endpoints(&self) -> bool {
        !self.listed.is_empty() || self.selector.is_some()
    }

    /// Whether it selects pods with these labels in its own namespace.
    pub fn selects(&self, labels: &Labels) -> bool {
        self.selector.as_ref().is_some_and(|selector| selector.select(labels))
    }
}

/// An address that serves a port of a service.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    pub address: IpAddr,
    pub port: u16,
    /// At least 1.
    pub weight: u32,
    /// Whether requests may be sent there.
    pub ready: bool,
    /// Who it is. For an endpoint that a ServiceEntry lists, as much as that says.
    pub workload: Arc<Workload>,
}

/// As [`Endpoint`], where the address is no IP address.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedEndpoint {
    pub target: Target,
    /// Of a socket, none.
    pub port: u16,
    /// At least 1.
    pub weight: u32,
    pub workload: Arc<Workload>,
}

/// What stands in the place of an IP address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A DNS name.
    Name(Str),
    /// The path of a Unix domain socket.
    Pipe(Str),
}
