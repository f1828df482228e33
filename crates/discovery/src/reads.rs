//! What a computation asked of the registry, and whether a change concerns it.

use std::collections::BTreeSet;

use registry::{Delta, Key};

/// The questions of one computation.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    keys: BTreeSet<Key>,
    /// Those about a wildcard host, which more than one key of a delta can concern.
    wild: Vec<Key>,
}

impl Reads {
    pub fn new(keys: BTreeSet<Key>) -> Self {
        let wild = keys.iter().filter(|key| is_wild(key)).cloned().collect();
        Reads { keys, wild }
    }

    /// Whether an answer differs. A change is small as a rule, and some computations ask about
    /// every service there is: so it is the change whose keys are looked up.
    pub fn are_touched(&self, delta: &Delta) -> bool {
        if delta.is_everything() {
            return true;
        }
        let mut changed = delta.keys();
        let large = delta.keys().count() > self.keys.len();
        if large || delta.keys().any(is_wild) {
            return self.keys.iter().any(|key| delta.touches(key));
        }
        changed.any(|key| self.keys.contains(key)) || self.wild.iter().any(|key| delta.touches(key))
    }
}

fn is_wild(key: &Key) -> bool {
    matches!(key, Key::VirtualService(host) | Key::DestinationRule(host) if host.is_wildcard())
}
