//! Where mesh facts come from. A [`Source`] reports changes and never reads the registry; the
//! [`Hub`] is the one owner of the registry: it collects the changes of all sources, lets a burst
//! settle, applies it and publishes the snapshot with what is different in it.

mod debounce;
mod findings;
mod hub;
mod owner;
mod subscription;

pub use debounce::Debounce;
pub use hub::{Hub, HubBuilder, HubTask};
pub use subscription::Subscription;

use std::future::Future;

use model::Finding;
use registry::Change;
use tokio::sync::mpsc;

/// Something that knows facts about the mesh: files, a cluster, a catalogue.
pub trait Source: Send + 'static {
    /// For logs: `files`.
    fn name(&self) -> &'static str;

    /// Reports changes for as long as the process runs. The first full set ends with an update that
    /// is `complete`.
    ///
    /// # Errors
    /// A sentence that says why it cannot go on. The hub then ends too.
    fn run(self, outlet: Outlet) -> impl Future<Output = Result<(), String>> + Send;
}

/// What a source has to say at one time.
#[derive(Clone, Debug, Default)]
pub struct Update {
    pub changes: Vec<Change>,
    /// All that the source finds wrong now, in the place of what it found before; `None`: as before.
    pub findings: Option<Vec<Finding>>,
    /// Everything that was there at the start has been reported, with this update.
    pub complete: bool,
}

/// Where a source puts its updates.
#[derive(Clone, Debug)]
pub struct Outlet {
    source: usize,
    sender: mpsc::Sender<Message>,
}

impl Outlet {
    /// Hands an update to the hub; waits while the hub is behind. `false` if the hub has ended, so
    /// the source may end too.
    pub async fn send(&self, update: Update) -> bool {
        self.sender.send(Message::Update(self.source, update)).await.is_ok()
    }
}

/// What reaches the owner.
#[derive(Debug)]
enum Message {
    Update(usize, Update),
    /// Findings of a part that is no source, by its name.
    Report(&'static str, Vec<Finding>),
}
