//! The seam to whoever decides what a proxy is to have.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use ir::bootstrap::Json;
use model::Node;
use stdx::Str;
use tokio::sync::watch;

use crate::{PeerIdentity, ResourceSet};

/// Decides what each proxy is to have.
pub trait Generator: Send + Sync + 'static {
    /// A proxy opened a stream and may have it. Must not block: the first set may come later.
    ///
    /// # Errors
    /// The proxy is refused; the stream ends with the reason.
    fn connect(&self, hello: ClientHello) -> Result<Subscription, Refused>;
}

/// Who opened a stream.
#[derive(Clone, Debug)]
pub struct ClientHello {
    /// From the node id and the metadata that Lateen reads.
    pub node: Node,
    /// The node id as it was sent.
    pub id: Str,
    /// All of the node's metadata.
    pub metadata: BTreeMap<Str, Json>,
    /// From the client certificate; `None` on a plaintext port.
    pub peer: Option<PeerIdentity>,
}

/// What a proxy is to have, now and from now on.
pub struct Subscription {
    /// `None` until the first set is there. Only the newest counts: a slow client skips the rest.
    pub resources: watch::Receiver<Option<Arc<ResourceSet>>>,
    /// Dropped when the stream ends.
    pub guard: Box<dyn Any + Send>,
}

/// Why a stream is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The server has no state yet (`UNAVAILABLE`): the client should try again.
    NotReady(String),
    /// The node says something that cannot be (`INVALID_ARGUMENT`).
    Invalid(String),
    /// Nobody proved an identity (`UNAUTHENTICATED`).
    Unauthenticated(String),
    /// The client is not who it says it is (`PERMISSION_DENIED`).
    Denied(String),
}
