//! Everything from the own application towards services.

pub mod conflict;
pub mod listener;
pub mod virtual_outbound;
