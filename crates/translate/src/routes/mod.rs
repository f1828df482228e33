//! Route configurations of sidecars, and the pieces that gateways share with them.

pub mod conditions;
pub mod policy;
pub mod sidecar;
mod standard;
pub mod virtual_service;
