//! Everything towards the own application.

pub mod chains;
pub mod inspectors;
pub mod listener;
pub mod matches;
pub mod targets;
