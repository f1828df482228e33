//! What computations asked of the registry, and which of them a change concerns.

use std::collections::{BTreeMap, BTreeSet};

use registry::{Delta, Key};

/// The questions of one computation.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    keys: BTreeSet<Key>,
    /// Those of `keys` about a wildcard host.
    wild: Vec<Key>,
}

impl Reads {
    pub fn new(keys: BTreeSet<Key>) -> Self {
        let wild = keys.iter().filter(|key| is_wild(key)).cloned().collect();
        Reads { keys, wild }
    }

    /// Whether an answer differs.
    pub fn are_touched(&self, delta: &Delta) -> bool {
        if delta.is_everything() {
            return true;
        }
        // A plan asks of every service: its questions are not gone through for each small change.
        if delta.keys().any(is_wild) {
            return self.keys.iter().any(|key| delta.touches(key));
        }
        delta.keys().any(|key| self.keys.contains(key)) || self.wild.iter().any(|key| delta.touches(key))
    }
}

/// Who asked which question. A change is small as a rule, and those who ask are many: so its keys
/// are looked up here, and nobody else is looked at.
#[derive(Debug)]
pub(crate) struct Readers<T> {
    by_key: BTreeMap<Key, BTreeSet<T>>,
    /// Those of `by_key` about a wildcard host, which more than one key of a change can concern.
    wild: BTreeSet<Key>,
}

impl<T> Default for Readers<T> {
    fn default() -> Self {
        Readers { by_key: BTreeMap::new(), wild: BTreeSet::new() }
    }
}

impl<T: Copy + Ord> Readers<T> {
    /// `who` asked `before` until now and asks `after` from now on.
    pub fn replace(&mut self, who: T, before: &Reads, after: &Reads) {
        for key in before.keys.difference(&after.keys) {
            self.remove(who, key);
        }
        for key in after.keys.difference(&before.keys) {
            if is_wild(key) {
                self.wild.insert(key.clone());
            }
            self.by_key.entry(key.clone()).or_default().insert(who);
        }
    }

    fn remove(&mut self, who: T, key: &Key) {
        let Some(readers) = self.by_key.get_mut(key) else { return };
        readers.remove(&who);
        if readers.is_empty() {
            self.by_key.remove(key);
            self.wild.remove(key);
        }
    }

    /// Everyone whose answers a change concerns. Not to be asked of a change of everything.
    pub fn touched(&self, delta: &Delta) -> BTreeSet<T> {
        let keys: BTreeSet<&Key> = match delta.keys().any(is_wild) {
            // A wildcard concerns any number of hosts; such changes are rare.
            true => self.by_key.keys().filter(|key| delta.touches(key)).collect(),
            false => delta.keys().chain(self.wild.iter().filter(|key| delta.touches(key))).collect(),
        };
        keys.into_iter().filter_map(|key| self.by_key.get(key)).flatten().copied().collect()
    }
}

fn is_wild(key: &Key) -> bool {
    matches!(key, Key::VirtualService(host) | Key::DestinationRule(host) if host.is_wildcard())
}
