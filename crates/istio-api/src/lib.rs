//! Istio's and Kubernetes' YAML kinds as typed values, each with the place it was written at.
//!
//! [`parse_stream`] turns text into [`Document`]s and findings. Nothing here does I/O; references
//! between objects are judged by `registry`. Kubernetes object types are described at
//! <https://kubernetes.io/docs/reference/kubernetes-api/>, Istio's at
//! <https://istio.io/latest/docs/reference/config/>.

pub mod access_log;
pub mod codes;
pub mod document;
pub mod extensions;
pub mod header_value;
pub mod k8s;
mod kinds;
pub mod mesh;
pub mod networking;
mod parse;
mod pieces;
mod reader;
pub mod schema;
pub mod security;
pub mod selector;
pub mod telemetry;
mod timestamp;
pub mod units;
mod validate;
pub mod value;
pub mod yaml;

pub use document::{Document, Kind, Places};
pub use mesh::{MeshConfig, ParsedMeshConfig, parse_mesh_config};
pub use parse::{Parsed, duplicate, parse_stream, parse_stream_with, validate_bytes, validate_stream};
pub use pieces::{ParsedAgain, Pieces, parse_again};
pub use units::{Percent, PortRef, StringMatch};
