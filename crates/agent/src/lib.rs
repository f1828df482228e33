//! What stands beside every proxy: it makes the workload's key, gets and renews its certificate,
//! serves it by SDS, answers DNS and health checks, writes the bootstrap, and runs the proxy, in
//! this process or as a child.
//!
//! [`Agent::build`] opens what must be open before anything starts; [`Agent::run`] runs until it
//! is told to drain. Which data plane it is, is a [`ProxyRunner`]: this crate knows none.

mod agent;
mod authority;
pub mod bootstrap;
mod config;
pub mod dns;
mod envoy;
mod http_get;
mod metrics;
mod names;
mod proto;
mod proxy;
mod renewal;
pub mod sds;
mod status;

pub use agent::{Agent, AgentError};
pub use authority::{Authority, ControlAuthority, SignError};
pub use config::{AgentConfig, Ports, WorkloadConfig};
pub use envoy::EnvoyRunner;
pub use proxy::{ProxyRunner, ProxyStart};
pub use renewal::{Renewal, TrustFile};
