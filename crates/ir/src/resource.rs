//! The unit of discovery: one named resource of one type.

use std::fmt;
use std::sync::Arc;

use stdx::{Digest, Str, digest};

use crate::{Cluster, Listener, LoadAssignment, NameTable, RouteConfig, Secret};

/// Types of resources in the order in which a server sends additions (make before break).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceType {
    Cluster,
    Endpoints,
    Listener,
    Route,
    Secret,
    NameTable,
}

impl ResourceType {
    pub const ALL: [ResourceType; 6] = [
        ResourceType::Cluster,
        ResourceType::Endpoints,
        ResourceType::Listener,
        ResourceType::Route,
        ResourceType::Secret,
        ResourceType::NameTable,
    ];

    /// The type URL on the wire.
    pub fn type_url(self) -> &'static str {
        match self {
            ResourceType::Cluster => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            ResourceType::Endpoints => "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            ResourceType::Listener => "type.googleapis.com/envoy.config.listener.v3.Listener",
            ResourceType::Route => "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
            ResourceType::Secret => "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
            ResourceType::NameTable => "type.googleapis.com/istio.networking.nds.v1.NameTable",
        }
    }

    /// The type with this URL.
    pub fn by_type_url(url: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|ty| ty.type_url() == url)
    }

    /// The short name operators use: CDS, EDS, LDS, RDS, SDS, NDS.
    pub fn short(self) -> &'static str {
        match self {
            ResourceType::Cluster => "CDS",
            ResourceType::Endpoints => "EDS",
            ResourceType::Listener => "LDS",
            ResourceType::Route => "RDS",
            ResourceType::Secret => "SDS",
            ResourceType::NameTable => "NDS",
        }
    }
}

impl fmt::Display for ResourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.short())
    }
}

/// A resource. Shared, since many proxies and snapshots hold the same one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Resource {
    Cluster(Arc<Cluster>),
    Endpoints(Arc<LoadAssignment>),
    Listener(Arc<Listener>),
    Route(Arc<RouteConfig>),
    Secret(Arc<Secret>),
    NameTable(Arc<NameTable>),
}

impl Resource {
    /// The name it is subscribed by. A name table has none of its own: Istio sends it nameless.
    pub fn name(&self) -> Str {
        match self {
            Resource::Cluster(cluster) => cluster.name.clone(),
            Resource::Endpoints(assignment) => assignment.cluster_name.clone(),
            Resource::Listener(listener) => listener.name.clone(),
            Resource::Route(route) => route.name.clone(),
            Resource::Secret(secret) => secret.name.clone(),
            Resource::NameTable(_) => Str::default(),
        }
    }

    pub fn ty(&self) -> ResourceType {
        match self {
            Resource::Cluster(_) => ResourceType::Cluster,
            Resource::Endpoints(_) => ResourceType::Endpoints,
            Resource::Listener(_) => ResourceType::Listener,
            Resource::Route(_) => ResourceType::Route,
            Resource::Secret(_) => ResourceType::Secret,
            Resource::NameTable(_) => ResourceType::NameTable,
        }
    }

    /// A version that depends on the content alone: equal across restarts and replicas.
    pub fn version(&self) -> Digest {
        match self {
            Resource::Route(route) => route.version(),
            other => digest(other),
        }
    }
}
