//! What a client tells its owner, and what the owner tells it.

use ir::{Resource, ResourceType};
use stdx::Str;
use tokio::sync::mpsc;

/// The owner of a client: receives what the server sent and judges it.
///
/// Called on the client's task, one call at a time, so it must not block.
pub trait Handler: Send + 'static {
    /// One response. What is returned is refused: the server is told by NACK, and the versions of
    /// refused resources are not remembered. The rest counts as applied.
    ///
    /// Subscriptions changed through `ads` in here are sent right after the answer.
    fn on_update(&mut self, update: Update, ads: &AdsHandle) -> Vec<Reject>;

    /// The stream came up or went down.
    fn on_link(&mut self, _link: Link) {}
}

/// The content of one response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    pub ty: ResourceType,
    /// Resources that are new or changed. All are subscribed to.
    pub added: Vec<Added>,
    /// Names that the server says do not exist (any more).
    pub removed: Vec<Str>,
    /// What could not be decoded. Already refused; the handler need not repeat it.
    pub problems: Vec<Reject>,
}

/// A resource that is new or changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Added {
    pub resource: Resource,
    pub version: Str,
    /// What it was decoded from. Of clusters and endpoints only, which some keep that way.
    pub encoded: Option<Box<[u8]>>,
}

impl Added {
    /// One that was not decoded.
    pub fn new(resource: Resource, version: Str) -> Self {
        Added { resource, version, encoded: None }
    }
}

/// A resource that is not applied, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    pub name: Str,
    /// A sentence without the resource's name.
    pub message: String,
}

/// The state of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// The server answers: its first response on this stream is about to be delivered.
    Up,
    /// Connecting failed or the stream ended, for this reason. What was applied stays.
    Down(String),
}

/// Changes subscriptions of a running client. Cheap to clone. Does nothing once the client is gone.
#[derive(Clone, Debug)]
pub struct AdsHandle {
    pub(crate) commands: mpsc::UnboundedSender<Command>,
}

/// What a handle asks for.
#[derive(Debug)]
pub(crate) enum Command {
    Subscribe(ResourceType, Vec<Str>),
    Unsubscribe(ResourceType, Vec<Str>),
    SubscribeAll(ResourceType),
}

impl AdsHandle {
    /// Asks for resources by name. Names that are subscribed to already cost nothing.
    pub fn subscribe(&self, ty: ResourceType, names: impl IntoIterator<Item = Str>) {
        self.send(Command::Subscribe(ty, names.into_iter().collect()));
    }

    /// Takes a subscription back. Nothing about these names is delivered any more.
    pub fn unsubscribe(&self, ty: ResourceType, names: impl IntoIterator<Item = Str>) {
        self.send(Command::Unsubscribe(ty, names.into_iter().collect()));
    }

    /// Asks for every resource of a type.
    pub fn subscribe_all(&self, ty: ResourceType) {
        self.send(Command::SubscribeAll(ty));
    }

    fn send(&self, command: Command) {
        // The client's task is gone: there is nobody left to tell.
        let _ = self.commands.send(command);
    }
}
