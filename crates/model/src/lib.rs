//! The vocabulary of a mesh: hosts, ports, labels, identities, nodes, findings. Plain values,
//! parsed once at the edge. No I/O, no runtime, nothing of Kubernetes or Envoy beyond names.

pub mod finding;
pub mod host;
pub mod identity;
pub mod labels;
pub mod locality;
pub mod node;
pub mod origin;
pub mod port;

pub use finding::{Finding, Level};
pub use host::Host;
pub use identity::SpiffeId;
pub use labels::Labels;
pub use locality::Locality;
pub use node::{DataPlane, Node, NodeType};
pub use origin::{ObjectRef, Origin, Place};
pub use port::Protocol;
pub use stdx::Str;
