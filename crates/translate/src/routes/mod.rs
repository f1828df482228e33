//! Route configurations of sidecars, and the pieces that gateways share with them.

mod actions;
mod change;
pub mod conditions;
mod cors;
mod delegates;
mod headers;
pub mod memo;
pub mod policy;
pub mod proxy;
pub mod sidecar;
pub mod standard;
mod sticky;
pub mod virtual_service;
