//! A strict HTTP/1.1 engine over pooled buffers, for both ends of a proxy.
//!
//! [`ServerConn`] reads requests and writes responses, [`ClientConn`] the other way round. A head
//! ([`RequestHead`], [`ResponseHead`]) stays bytes plus an index; edits are recorded and applied
//! while it is written out. Bodies move as [`Frame`]s with backpressure: one piece at a time.
//!
//! The parser is a security boundary. What RFC 9110 and 9112 allow a recipient to refuse because
//! two recipients could read it differently, it refuses: see [`Refusal`].
//!
//! Both ends, one exchange:
//!
//! ```
//! use std::future::poll_fn;
//! use http1::{Body, BodyKind, ClientConn, Empty, Frame, Full, Limits, RequestHead, ResponseHead, ServerConn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (near, far) = tokio::io::duplex(4096);
//! let server = async move {
//!     let mut conn = ServerConn::new(far, Limits::default());
//!     while let Some(request) = conn.read_head().await? {
//!         let text = format!("you asked for {}", String::from_utf8_lossy(request.path()));
//!         let mut body = Full::new(text);
//!         conn.start(&ResponseHead::new(200), body.kind(), false);
//!         conn.write_body(&mut body).await??;
//!         if !conn.finish().await? {
//!             break;
//!         }
//!     }
//!     Ok::<_, Box<dyn std::error::Error>>(())
//! };
//! let client = async move {
//!     let mut conn = ClientConn::new(near, Limits::default());
//!     conn.start(&RequestHead::new("GET", "a.example", "/it"), BodyKind::None);
//!     poll_fn(|cx| conn.poll_write_body(&mut Empty, cx)).await??;
//!     let response = conn.read_head().await?;
//!     assert_eq!((response.status(), response.body_kind()), (200, BodyKind::Length(17)));
//!     let mut body = conn.body();
//!     while let Some(Frame::Data(bytes)) = poll_fn(|cx| body.poll_frame(cx)).await? {
//!         print!("{}", String::from_utf8_lossy(&bytes));
//!     }
//!     assert!(conn.reusable());
//!     Ok::<_, Box<dyn std::error::Error>>(())
//! };
//! let (served, asked) = tokio::join!(server, client);
//! served?;
//! asked
//! # }
//! ```
//!
//! Connections are single-threaded (`!Send`) and must be used from one task at a time. A
//! connection takes a buffer from its thread's [`pool`] only when bytes are there, and gives it
//! back as soon as they are consumed.

mod assembled;
mod block;
mod body;
mod burst;
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
mod scan;
mod server;
mod spare;
mod status;
mod target;
mod tokens;
mod wire;
mod writer;

pub use assembled::{Assembly, Span, Unfit};
pub use block::same as same_name;
pub use body::{Body, Empty, Fields as Trailers, Frame, Full};
pub use burst::write_bursts;
pub use client::ClientConn;
pub use conn::Incoming;
pub use error::{BodyError, ReadError, Refusal};
pub use fields::Headers;
pub use framing::{BodyKind, content_length};
pub use limits::Limits;
pub use reader::poll_read;
pub use request::{RequestHead, Version};
pub use response::ResponseHead;
pub use server::ServerConn;
pub use tokens::{has_token, is_hop_by_hop, is_lower_token};
pub use wire::{Meter, Wire};
