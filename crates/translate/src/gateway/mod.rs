//! Gateway workloads: the ports they open, and what they serve there.

pub mod chains;
pub mod credentials;
pub mod hosts;
pub mod listener;
pub mod plan;
pub mod ports;
pub mod routes;
pub mod servers;
