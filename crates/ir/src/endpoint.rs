//! Endpoints: the addresses behind a cluster.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use model::Locality;
use stdx::Str;

use crate::bootstrap::Json;

/// Where a connection can go to, or be accepted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    Socket(SocketAddr),
    /// A host name that has to be resolved first (bootstrap clusters only).
    Name {
        host: Str,
        port: u16,
    },
    /// A Unix domain socket's path; `@` first means abstract.
    Pipe(Str),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Socket(address) => write!(f, "{address}"),
            Address::Name { host, port } => write!(f, "{host}:{port}"),
            Address::Pipe(path) => f.write_str(path),
        }
    }
}

/// `envoy.config.endpoint.v3.ClusterLoadAssignment`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LoadAssignment {
    pub cluster_name: Str,
    pub localities: Vec<LocalityEndpoints>,
    /// Percent: a priority keeps all its load while this share of its healthy endpoints is 100 % or
    /// more. At least 100; `None` is 140.
    pub overprovisioning_factor: Option<u32>,
}

/// Endpoints that are near each other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LocalityEndpoints {
    pub locality: Locality,
    /// `None`: no weight was given.
    pub weight: Option<u32>,
    /// 0 is used first.
    pub priority: u32,
    pub endpoints: Vec<Endpoint>,
}

/// One address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    pub address: Address,
    /// At least 1; `None` counts as 1.
    pub weight: Option<u32>,
    pub health: Health,
    /// Says who it is in health checks and in rewritten hosts; may be empty.
    pub hostname: Str,
    /// Where it is checked, if elsewhere.
    pub health_check: Option<Box<EndpointHealthCheck>>,
    /// `filter_metadata["envoy.lb"]`: chooses subsets.
    pub lb_metadata: BTreeMap<Str, Json>,
    /// `filter_metadata["envoy.transport_socket_match"]`: chooses the transport.
    pub transport_metadata: BTreeMap<Str, Str>,
    /// `filter_metadata["istio"]["workload"]`: who it is, for metrics.
    pub workload: Option<Arc<WorkloadRef>>,
}

impl Endpoint {
    pub fn new(address: Address) -> Self {
        Endpoint {
            address,
            weight: None,
            health: Health::Unknown,
            hostname: Str::default(),
            health_check: None,
            lb_metadata: BTreeMap::new(),
            transport_metadata: BTreeMap::new(),
            workload: None,
        }
    }
}

/// `envoy.config.endpoint.v3.Endpoint.HealthCheckConfig`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointHealthCheck {
    pub port: Option<u16>,
    /// In place of the endpoint's.
    pub hostname: Str,
    pub address: Option<Address>,
    /// Never checked, taken as healthy.
    pub disabled: bool,
}

/// `envoy.config.core.v3.HealthStatus`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Health {
    /// Taken as healthy.
    #[default]
    Unknown,
    Healthy,
    Unhealthy,
    Draining,
    Degraded,
}

/// Istio's `workload;namespace;canonical name;canonical revision;cluster`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkloadRef {
    pub name: Str,
    pub namespace: Str,
    pub canonical_name: Str,
    pub canonical_revision: Str,
    pub cluster: Str,
}
