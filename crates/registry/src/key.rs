//! Questions that can be asked of a snapshot.

use std::net::IpAddr;

use model::{Host, Str};

/// A question, as [`View`](crate::View) records it. A [`Delta`](crate::Delta) says of which
/// questions the answers have changed. An answer that was empty is recorded like any other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// The mesh configuration. When it changes, everything counts as changed.
    Mesh,
    /// Labels and annotations of a namespace.
    Namespace(Str),
    /// Which services there are, and everything about them but their endpoints.
    Services,
    /// As `Services`, of those with this port.
    ServicesOnPort(u16),
    /// As `Services`, of those in this namespace.
    ServicesIn(Str),
    /// As `Services`, of those with exactly this host.
    Service(Host),
    /// Endpoints of the services with exactly this host.
    Endpoints(Host),
    /// A workload by namespace and name.
    Workload(Str, Str),
    /// A workload by one of its addresses.
    WorkloadAt(IpAddr),
    /// All VirtualServices on the gateway `mesh`.
    MeshVirtualServices,
    /// The VirtualServices on the gateway `mesh` that a host can fall under. In a delta, a wildcard
    /// stands for every host it covers.
    VirtualService(Host),
    /// As `VirtualService`, of all hosts that services with this port have.
    VirtualServicesOnPort(u16),
    /// The VirtualServices on a gateway, by its namespace and name.
    GatewayVirtualServices(Str, Str),
    /// A VirtualService without hosts, by namespace and name: a delegate.
    Delegate(Str, Str),
    /// Which labels of clients rules look at.
    ClientLabels,
    /// The DestinationRules that a host can fall under. In a delta, a wildcard stands for every
    /// host it covers.
    DestinationRule(Host),
    /// As `DestinationRule`, of all hosts that services with this port have.
    DestinationRulesOnPort(u16),
    /// A Secret by namespace and name.
    Secret(Str, Str),
    /// A ConfigMap by namespace and name.
    ConfigMap(Str, Str),
    /// The Sidecars of a namespace.
    Sidecars(Str),
    /// All Gateways.
    Gateways,
    /// The PeerAuthentications of a namespace.
    PeerAuthentications(Str),
    /// The AuthorizationPolicies of a namespace.
    AuthorizationPolicies(Str),
}
