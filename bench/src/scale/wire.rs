//! The two messages of a delta stream, as far as a client that counts and discards looks at them.
//! Tags are those of Envoy's `service/discovery/v3/discovery.proto`; what is not named here is
//! skipped without a copy.

use prost::Message;

pub const METHOD: &str = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";

/// `DeltaDiscoveryRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct Request {
    #[prost(message, optional, tag = "1")]
    pub node: Option<Node>,
    #[prost(string, tag = "2")]
    pub type_url: String,
    #[prost(string, repeated, tag = "3")]
    pub subscribe: Vec<String>,
    #[prost(string, tag = "6")]
    pub nonce: String,
}

/// `core.v3.Node`.
#[derive(Clone, PartialEq, Message)]
pub struct Node {
    #[prost(string, tag = "1")]
    pub id: String,
}

/// `DeltaDiscoveryResponse`.
#[derive(Clone, PartialEq, Message)]
pub struct Response {
    #[prost(message, repeated, tag = "2")]
    pub resources: Vec<Resource>,
    #[prost(string, tag = "4")]
    pub type_url: String,
    #[prost(string, tag = "5")]
    pub nonce: String,
    #[prost(string, repeated, tag = "6")]
    pub removed: Vec<String>,
}

/// `Resource`, without the resource.
#[derive(Clone, PartialEq, Message)]
pub struct Resource {
    #[prost(string, tag = "3")]
    pub name: String,
}

const PREFIX: &str = "type.googleapis.com/envoy.config.";
pub const CLUSTERS: &str = "cluster.v3.Cluster";
pub const ENDPOINTS: &str = "endpoint.v3.ClusterLoadAssignment";
pub const LISTENERS: &str = "listener.v3.Listener";
pub const ROUTES: &str = "route.v3.RouteConfiguration";

impl Request {
    pub fn new(ty: &str, subscribe: Vec<String>, nonce: String) -> Request {
        Request { node: None, type_url: format!("{PREFIX}{ty}"), subscribe, nonce }
    }
}

impl Response {
    /// The type without what all of them begin with.
    pub fn ty(&self) -> &str {
        self.type_url.strip_prefix(PREFIX).unwrap_or(&self.type_url)
    }
}
