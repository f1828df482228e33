//! Clusters.

pub mod fixed;
pub mod outbound;
pub mod policy;
pub mod transport;
