//! Sockets: listening, connecting, where a connection was going, what it speaks, moving bytes.
//!
//! [`Io`] is the one stream type of the data path: TCP, Unix or TLS over either, with bytes put
//! back in front of it where something looked at them first.

mod alive;
mod allocator;
mod buffers;
pub mod client_hello;
pub mod connect;
pub mod copy;
pub mod detect;
pub mod inspect;
pub mod listener;
pub mod memory;
mod meter;
pub mod original_dst;
mod resolv_conf;
mod shelves;
pub mod stream;
mod tcp;

pub use alive::Alive;
pub use allocator::Allocator;
pub use client_hello::{ClientHello, TlsVerdict};
pub use connect::{ConnectError, ConnectOptions, Keepalive, Target, connect};
pub use copy::{CopyEnd, CopyTotals, Direction, copy_bidirectional};
pub use detect::{HttpVerdict, detect_http};
pub use inspect::{Inspected, inspect};
pub use listener::{ListenOptions, listen_tcp, listen_unix};
pub use meter::Meter;
pub use original_dst::{OriginalDst, original_dst};
pub use resolv_conf::ResolvConf;
pub use stream::Io;
