//! An HTTP/2 engine for both ends of a proxy (RFC 9113, RFC 7541, RFC 8441), on one thread.
//!
//! [`Server`] takes requests from a client, [`client()`] sends them to an endpoint. Heads and bodies are
//! those of [`http1`], so that whoever stands between the two does not see what is spoken: `:authority` is
//! Host, pieces of a cookie are one, extended CONNECT is an upgrade.
//!
//! A connection is its state (frames in, frames out) and what moves it, which is polled by one task.
//! Streams are handles to that state: what they send is composed at once into what the next write takes, so
//! that everything of one turn of the event loop goes in one call, and nothing is kept for a stream twice.
//! What waits for a peer that does not read is bounded: see [`Send::poll_data`].
//!
//! What is not here: push (it is refused), priorities (RFC 9113, section 5.3, deprecates them).

mod connection;
mod credit;
mod error;
mod frame;
mod handle;
mod hpack;
mod inbox;
mod message;
mod out;
mod pings;
mod settings;
mod state;
mod stream;

pub use connection::{Client, ClientConnection, Incoming, Server, client};
pub use error::{Error, Reason};
pub use handle::{Meter, Receive, Send};
pub use pings::Pings;
pub use settings::Config;
