//! How parts of a process start and end: draining by ownership, readiness by name, signals,
//! and a set of tasks that ends as one.
//!
//! Nothing here counts by hand. Whoever has work in progress holds a [`DrainGuard`]; a drain is
//! over when no guard is left. Whoever must be up first holds a [`ReadyToken`].

mod drain;
mod ready;
mod signal;
mod tasks;

pub use drain::{Drain, DrainGuard, DrainWatch, Drained};
pub use ready::{Readiness, ReadyToken};
pub use signal::{Shutdown, Signal};
pub use tasks::{TaskEnd, Tasks};
