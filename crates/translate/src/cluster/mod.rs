//! Clusters.

mod balance;
mod dns;
mod dynamic;
pub mod fixed;
pub mod outbound;
pub mod passthrough;
pub mod policy;
mod pool;
pub mod transport;
