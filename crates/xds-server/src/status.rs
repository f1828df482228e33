//! Who is connected and what each has, for `/debug/syncz`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use ir::ResourceType;
use model::{Node, Origin};
use stdx::{Digest, Str};
use tokio::sync::watch;

/// All streams of a server. Cheap to clone; all clones see the same.
#[derive(Clone, Debug)]
pub struct Status {
    clients: Arc<Mutex<BTreeMap<u64, ClientStatus>>>,
    refusals: Arc<watch::Sender<u64>>,
}

impl Default for Status {
    fn default() -> Self {
        Status { clients: Arc::default(), refusals: Arc::new(watch::Sender::new(0)) }
    }
}

/// One stream.
#[derive(Clone, Debug)]
pub struct ClientStatus {
    pub node: Node,
    /// The node id as it was sent.
    pub id: Str,
    pub user_agent: Str,
    pub address: Option<std::net::SocketAddr>,
    pub types: BTreeMap<ResourceType, TypeStatus>,
}

/// One type on one stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TypeStatus {
    /// Of the last response that was sent, and that was acknowledged. Equal: in sync.
    pub nonce_sent: Str,
    pub nonce_acked: Str,
    /// Resources that the client has.
    pub resources: usize,
    /// Resources that wait for an ACK of something else, or of their own last response.
    pub pending: usize,
    /// Resources that the client refuses as they are now.
    pub rejected: BTreeMap<Str, Refusal>,
    /// What the client said in its last NACK.
    pub last_nack: Option<Str>,
}

/// A resource that a client does not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The version that it refused, and will not be sent again.
    pub version: Digest,
    /// What it said.
    pub message: Str,
    /// The object that the resource comes from, if it is one.
    pub origin: Option<Origin>,
}

impl Status {
    /// Changes whenever a refusal comes or goes.
    pub fn watch_refusals(&self) -> watch::Receiver<u64> {
        self.refusals.subscribe()
    }

    /// The streams of this moment, in the order in which they were opened.
    pub fn clients(&self) -> Vec<ClientStatus> {
        self.lock().values().cloned().collect()
    }

    pub(crate) fn put(&self, stream: u64, status: ClientStatus) {
        self.lock().insert(stream, status);
    }

    pub(crate) fn update(&self, stream: u64, types: BTreeMap<ResourceType, TypeStatus>) {
        let refused = |types: &BTreeMap<ResourceType, TypeStatus>| {
            types.values().flat_map(|ty| ty.rejected.clone()).collect::<Vec<_>>()
        };
        let mut changed = false;
        if let Some(client) = self.lock().get_mut(&stream) {
            changed = refused(&client.types) != refused(&types);
            client.types = types;
        }
        if changed {
            self.refusals.send_modify(|number| *number += 1);
        }
    }

    pub(crate) fn remove(&self, stream: u64) {
        let gone = self.lock().remove(&stream);
        if gone.is_some_and(|client| client.types.values().any(|ty| !ty.rejected.is_empty())) {
            self.refusals.send_modify(|number| *number += 1);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, ClientStatus>> {
        // Every change is a single insertion or removal: a panic elsewhere cannot leave it half done.
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
