//! What a run prints.

pub mod table;
