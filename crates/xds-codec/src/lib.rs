//! Envoy's protobuf to and from [`ir`], and its JSON. The only crate besides the two ends of the
//! stream that names Envoy's message types; pure, no I/O.
//!
//! [`encode`] writes what stock Envoy accepts. [`decode`] is strict: a field that Lateen does not
//! honour and that is set is refused by name. `decode(encode(x)) == x` for everything in `ir`.

#[cfg(any(test, feature = "arbitrary"))]
pub mod arbitrary;
pub mod authz;
pub mod decode;
pub mod encode;
mod istio;
#[cfg(feature = "json")]
pub mod json;
mod names;
mod pb;
mod problem;
pub mod routes;

/// `google.protobuf.Any`, as Envoy's discovery messages carry it.
pub use envoy_types::pb::google::protobuf::Any;

pub use decode::{any as decode, any_name as name_of, bytes as decode_bytes};
pub use encode::resource as encode;
pub use problem::{DecodeError, Problem};
