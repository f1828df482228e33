//! What a client needs to know before it connects.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use identity::ClientTls;
use ir::ResourceType;
use ir::bootstrap::Json;
use model::Locality;
use stdx::Str;

/// Where to connect to, as whom, and for what.
#[derive(Clone, Debug)]
pub struct AdsConfig {
    pub target: Target,
    pub service: Service,
    /// Deltas, or else the state of the world. A server that implements only the other one is asked in that.
    pub delta: bool,
    pub node: NodeInfo,
    /// gRPC metadata of every stream (`initial_metadata` of the bootstrap).
    pub metadata: Vec<(Str, Str)>,
    /// Types subscribed to as a whole from the start (CDS and LDS; the agent: the name table).
    /// Everything else is subscribed to by name through [`crate::AdsHandle`].
    pub wildcards: Vec<ResourceType>,
    pub backoff: Backoff,
}

impl AdsConfig {
    /// The aggregated stream at `target`, by delta, without wildcards.
    pub fn new(target: Target, node: NodeInfo) -> Self {
        AdsConfig {
            target,
            service: Service::Aggregated,
            delta: true,
            node,
            metadata: Vec::new(),
            wildcards: Vec::new(),
            backoff: Backoff::default(),
        }
    }
}

/// Which gRPC service is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// `AggregatedDiscoveryService`: every type on one stream.
    Aggregated,
    /// The service of one type, such as `SecretDiscoveryService`.
    Of(ResourceType),
}

/// How the server is reached.
#[derive(Clone)]
pub enum Target {
    /// Plaintext to `HOST:PORT`.
    Tcp(Str),
    /// TLS to `HOST:PORT`. Every connection uses the secrets as they are then, and checks the
    /// server's names; ALPN is `h2` whatever the settings say.
    Tls { address: Str, tls: Arc<ClientTls> },
    /// A Unix domain socket, plaintext.
    Unix(PathBuf),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Tcp(address) | Target::Tls { address, .. } => f.write_str(address),
            Target::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({self})")
    }
}

/// Who we say we are.
#[derive(Clone, Debug, Default)]
pub struct NodeInfo {
    /// `TYPE~IP~POD.NAMESPACE~NAMESPACE.svc.DOMAIN`.
    pub id: Str,
    pub cluster: Str,
    pub locality: Locality,
    pub metadata: BTreeMap<Str, Json>,
    /// `lateen` for our proxy and agent.
    pub user_agent_name: Str,
    pub user_agent_version: Str,
}

/// Times of reconnection. Each pause is drawn from the upper half of the current step, and the
/// step doubles from `first` to `most` until a stream delivered a response.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    pub first: Duration,
    pub most: Duration,
    /// For a connection (TLS included) to be there.
    pub connect_timeout: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Backoff {
            first: Duration::from_millis(100),
            most: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(5),
        }
    }
}
