//! Snapshots and their deltas.

mod incremental;
mod mesh;
