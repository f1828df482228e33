//! What a push cost.

use std::time::Duration;

/// Told of every push. Must be cheap.
pub trait Stats: Send + Sync + 'static {
    /// A change of the registry was carried through to what proxies are to have.
    fn pushed(&self, _push: &Push) {}
    /// A proxy's first set was ready after this time.
    fn connected(&self, _took: Duration) {}
    /// A part of translation failed that must not.
    fn internal_error(&self) {}
}

/// One push.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Push {
    pub took: Duration,
    /// Units of translation that were built again.
    pub rebuilt: usize,
    /// Resources among them that are different now.
    pub changed: usize,
    /// Proxies (by node) that are to have something else.
    pub proxies: usize,
}

/// Counts nothing.
#[derive(Clone, Copy, Debug)]
pub struct NoStats;

impl Stats for NoStats {}
