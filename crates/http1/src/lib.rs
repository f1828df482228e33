//! A strict HTTP/1.1 engine over pooled buffers, for both ends of a proxy.
//!
//! [`ServerConn`] reads requests and writes responses, [`ClientConn`] the other way round. A head
//! ([`RequestHead`], [`ResponseHead`]) stays bytes plus an index; edits are recorded and applied
//! while it is written out. Bodies move as [`Frame`]s with backpressure: one piece at a time.
//!
//! The parser is a security boundary. What RFC 9110 and 9112 allow a recipient to refuse because
//! two recipients could read it differently, it refuses: see [`Refusal`].
//!
//! Connections are single-threaded (`!Send`) and must be used from one task at a time. A
//! connection takes a buffer from its thread's [`pool`] only when bytes are there, and gives it
//! back as soon as they are consumed.

mod body;
mod chunked;
mod client;
mod conn;
mod error;
mod fields;
mod framing;
mod limits;
mod parse;
pub mod pool;
mod reader;
mod request;
mod response;
mod server;
mod status;
mod target;
mod tokens;
mod writer;

pub use body::{Body, Empty, Fields as Trailers, Frame, Full};
pub use client::ClientConn;
pub use conn::Incoming;
pub use error::{BodyError, ReadError, Refusal};
pub use fields::Headers;
pub use framing::BodyKind;
pub use limits::Limits;
pub use request::{RequestHead, Version};
pub use response::ResponseHead;
pub use server::ServerConn;
pub use tokens::{has_token, is_hop_by_hop};
