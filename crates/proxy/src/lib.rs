//! The data plane: listeners, filter chains, HTTP and TCP proxying, configured by Envoy's
//! bootstrap and xDS.
//!
//! A request, as functions in order: [`listener::accept`] → [`connection::serve`] (original
//! destination, protocol, filter chain, TLS, network policies) → [`http::serve`] →
//! [`http::phases::serve_request`] → [`http::forward::forward`] → [`http::respond::local`] where
//! there is no upstream's response → the record closes with [`http::context::Context`].
//!
//! A change: `xds-client` → [`config::Config::update`] (compile, or refuse by name) →
//! [`config::Config::settle`] (warm) → [`config::Config::publish`] → the next request sees it.
//!
//! Workers share immutable snapshots and atomics, nothing else.

pub mod access_log;
pub mod admin;
pub mod balance;
pub mod config;
pub mod connection;
pub mod format;
pub mod forward_proxy;
mod hosts;
pub mod http;
mod listener;
mod manager;
mod overload;
pub mod protocol;
mod proxy;
mod resolve;
mod sources;
pub mod tcp;
pub mod telemetry;
mod text;
mod tidy;
mod worker;
mod xds;

pub use proxy::{BuildError, Proxy, ProxyConfig, ProxyHandle, check};
