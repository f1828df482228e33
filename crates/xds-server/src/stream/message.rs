//! What goes in and out of a stream, without protobuf.

use std::sync::Arc;

use ir::ResourceType;
use stdx::Str;

use crate::Encoded;

/// A `DeltaDiscoveryRequest` of a type that we serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub ty: ResourceType,
    pub subscribe: Vec<Str>,
    pub unsubscribe: Vec<Str>,
    /// What the client has from an earlier stream: name and version. On the first request of a
    /// type only; ignored later.
    pub initial_versions: Vec<(Str, Str)>,
    /// Of the response that this answers; empty if it answers none.
    pub nonce: Str,
    /// The response was refused, with this text.
    pub error: Option<Str>,
}

impl Request {
    /// A request that asks for nothing and answers nothing.
    pub fn new(ty: ResourceType) -> Self {
        Request {
            ty,
            subscribe: Vec::new(),
            unsubscribe: Vec::new(),
            initial_versions: Vec::new(),
            nonce: Str::default(),
            error: None,
        }
    }
}

/// A `DeltaDiscoveryResponse`.
#[derive(Clone, Debug)]
pub struct Response {
    pub ty: ResourceType,
    pub nonce: Str,
    pub add: Vec<Arc<Encoded>>,
    pub remove: Vec<Str>,
}

/// Something that an operator wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The client refused a response. The names are those that we take to be refused.
    Rejected { ty: ResourceType, names: Vec<Str>, message: Str },
    /// An answer to a response that was not sent on this stream, or was answered before.
    ExpiredNonce { ty: ResourceType },
    /// The client did not acknowledge what a resource names; it is sent all the same.
    OutOfPatience,
}
