//! Gateway workloads: the ports they open, and what they serve there.

pub mod hosts;
pub mod listener;
pub mod routes;
pub mod servers;
