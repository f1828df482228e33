//! Everything from the own application towards services.

pub mod entry;
pub mod listener;
mod members;
pub mod virtual_outbound;
pub mod wishes;
