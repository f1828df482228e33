//! A hash of a value's content that is the same in every process and on every replica.

use std::fmt;
use std::hash::Hash;

use siphasher::sip128::{Hasher128, SipHasher13};

/// 128 bits that stand for a value's content. Not secret and not keyed: use it to name
/// versions, never to authenticate.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub u128);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Hashes `value` with a fixed key. Equal values give equal digests across restarts and
/// replicas of the same build, as long as their `Hash` walks ordered data only (`Vec`,
/// `BTreeMap`; never `HashMap`).
pub fn digest<T: Hash + ?Sized>(value: &T) -> Digest {
    let mut hasher = SipHasher13::new_with_keys(0x6c61_7465_656e, 0x7631);
    value.hash(&mut hasher);
    Digest(hasher.finish128().as_u128())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_same_in_every_process() {
        assert_eq!(digest("lateen").to_string(), digest("lateen").to_string());
        assert_ne!(digest("lateen"), digest("latten"));
        assert_eq!(digest(&(1u8, "a")).to_string().len(), 32);
    }
}
