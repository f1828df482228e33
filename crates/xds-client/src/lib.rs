//! A client of xDS streams, by delta or state of the world: subscriptions, versions, ACK and NACK,
//! reconnection.
//!
//! [`state`] decides and does no I/O; [`AdsClient`] runs it over TCP, TLS or a Unix socket. The
//! proxy takes listeners, clusters, routes and endpoints from it, the agent the name table, and
//! a proxy beside a foreign agent its secrets ([`Service::Of`]).

mod config;
mod connect;
mod handler;
mod run;
mod sotw;
pub mod state;
mod stream;
mod wire;

pub use config::{AdsConfig, Backoff, NodeInfo, Service, Target};
pub use handler::{Added, AdsHandle, Handler, Link, Reject, Update};
pub use run::AdsClient;
