//! Everything towards the own application.

pub mod chains;
pub mod ingress;
pub mod inspectors;
pub mod listener;
pub mod matches;
mod pool;
pub mod targets;
