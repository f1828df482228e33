//! What changed between two snapshots.

use std::collections::BTreeSet;
use std::ops::Bound;

use model::Host;

use crate::Key;

/// The questions whose answers differ between two snapshots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    everything: bool,
    keys: BTreeSet<Key>,
}

impl Delta {
    /// Every answer may differ.
    pub fn everything() -> Self {
        Delta { everything: true, keys: BTreeSet::new() }
    }

    /// Whether no answer differs.
    pub fn is_empty(&self) -> bool {
        !self.everything && self.keys.is_empty()
    }

    /// Whether every answer may differ; [`keys`](Delta::keys) then names none.
    pub fn is_everything(&self) -> bool {
        self.everything
    }

    /// The keys, wildcards not spelt out. For logs; ask [`touches`](Delta::touches) to decide.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.keys.iter()
    }

    /// Whether the answer to a question differs.
    pub fn touches(&self, key: &Key) -> bool {
        if self.everything || self.keys.contains(key) {
            return true;
        }
        match key {
            Key::VirtualService(host) => self.covers(host, Key::VirtualService),
            Key::DestinationRule(host) => self.covers(host, Key::DestinationRule),
            _ => false,
        }
    }

    /// Adds what `later` says: the difference over both steps.
    pub fn extend(&mut self, later: &Delta) {
        if self.everything || later.everything {
            *self = Delta::everything();
        } else {
            self.keys.extend(later.keys.iter().cloned());
        }
    }

    pub(crate) fn insert(&mut self, key: Key) {
        if !self.everything {
            self.keys.insert(key);
        }
    }

    /// Whether a wildcard among our keys stands for the host, or the host for one of our keys.
    fn covers(&self, host: &Host, key: fn(Host) -> Key) -> bool {
        // `*` sorts before everything a host name may begin with, and wildcards begin with it.
        let end = if host.is_wildcard() { Bound::Unbounded } else { Bound::Excluded(key(Host::new("+"))) };
        let candidates = self.keys.range((Bound::Included(key(Host::new("*"))), end));
        let hosts = candidates.map_while(|candidate| match (candidate, key(host.clone())) {
            (Key::VirtualService(h), Key::VirtualService(_)) => Some(h),
            (Key::DestinationRule(h), Key::DestinationRule(_)) => Some(h),
            _ => None,
        });
        hosts.into_iter().any(|candidate| candidate.overlaps(host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_touch_what_they_cover() {
        let mut delta = Delta::default();
        delta.insert(Key::VirtualService("*.shop.com".into()));
        delta.insert(Key::DestinationRule("a.com".into()));
        delta.insert(Key::Gateways);
        let vs = |host: &str| delta.touches(&Key::VirtualService(host.into()));
        let dr = |host: &str| delta.touches(&Key::DestinationRule(host.into()));
        assert!(vs("x.shop.com") && vs("*.shop.com") && vs("*.x.shop.com") && vs("*"));
        assert!(!vs("shop.com") && !vs("a.com"));
        assert!(dr("a.com") && dr("*.com") && !dr("x.shop.com"));
        assert!(delta.touches(&Key::Gateways) && !delta.touches(&Key::Mesh));
    }

    #[test]
    fn everything_swallows_the_rest() {
        let mut delta = Delta::default();
        delta.insert(Key::Gateways);
        delta.extend(&Delta::everything());
        assert_eq!(delta, Delta::everything());
        assert!(delta.touches(&Key::Services));
    }
}
