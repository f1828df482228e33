//! Buckets of values that are known once requests bring them.

use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ir::rate_limit::TokenBucket;

use super::Bucket;

/// So many slots are looked through for a value. Of a table that is larger a value has a part to itself,
/// and what has to go is the oldest of that part.
const PART: usize = 64;

/// A bucket for each of the values that were seen last, shared by all workers without a lock. A value
/// that comes back after it had to go finds a full bucket, as in Envoy.
#[derive(Debug)]
pub struct Dynamic {
    config: TokenBucket,
    room: usize,
    /// Made with the first value.
    slots: OnceLock<Box<[Slot]>>,
}

#[derive(Debug)]
struct Slot {
    /// The digest of a value, its lowest bit set; 0: there is none yet.
    value: AtomicU64,
    /// When it came last, in nanoseconds.
    used: AtomicU64,
    bucket: Bucket,
}

impl Dynamic {
    /// Room for so many values; at least one.
    pub fn new(config: &TokenBucket, room: u32) -> Self {
        let room = usize::try_from(room).unwrap_or(usize::MAX).max(1);
        Dynamic {
            config: *config,
            room: if room > PART { room / PART * PART } else { room },
            slots: OnceLock::new(),
        }
    }

    /// The slot of a value, by a digest that nobody outside can foresee; the oldest goes for one that is new.
    ///
    /// Two workers that meet a new value in the same moment may each give it a slot: it has a few more
    /// tokens then, once.
    pub fn slot(&self, digest: u64, now: Duration) -> usize {
        let slots = self.slots();
        let (value, part) = (digest | 1, self.part(digest));
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        loop {
            let (mut oldest, mut oldest_value, mut since) = (part.start, 0, u64::MAX);
            for (at, slot) in slots.iter().enumerate().take(part.end).skip(part.start) {
                let (found, used) = (slot.value.load(Ordering::Relaxed), slot.used.load(Ordering::Relaxed));
                if found == value {
                    slot.used.store(now, Ordering::Relaxed);
                    return at;
                }
                let used = if found == 0 { 0 } else { used.saturating_add(1) };
                if used < since {
                    (oldest, oldest_value, since) = (at, found, used);
                }
            }
            let Some(slot) = slots.get(oldest) else { return 0 };
            let taken =
                slot.value.compare_exchange(oldest_value, value, Ordering::Relaxed, Ordering::Relaxed);
            // Another worker was quicker, perhaps with the same value.
            if taken.is_ok() {
                slot.used.store(now, Ordering::Relaxed);
                slot.bucket.fill();
                return oldest;
            }
        }
    }

    /// The bucket of a slot.
    pub fn bucket(&self, slot: usize) -> Option<&Bucket> {
        self.slots().get(slot).map(|slot| &slot.bucket)
    }

    fn slots(&self) -> &[Slot] {
        let new =
            || Slot { value: AtomicU64::new(0), used: AtomicU64::new(0), bucket: Bucket::new(&self.config) };
        self.slots.get_or_init(|| (0..self.room).map(|_| new()).collect())
    }

    fn part(&self, digest: u64) -> Range<usize> {
        if self.room <= PART {
            return 0..self.room;
        }
        let parts = (self.room / PART) as u64;
        let start = ((digest >> 32) % parts) as usize * PART;
        start..start + PART
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    fn table(room: u32) -> Dynamic {
        let bucket = TokenBucket { max_tokens: 1, tokens_per_fill: 1, fill_interval: S(3600) };
        Dynamic::new(&bucket, room)
    }

    fn take(of: &Dynamic, digest: u64, now: u64) -> bool {
        of.bucket(of.slot(digest, S(now))).unwrap().take(S(now), 1)
    }

    #[test]
    fn each_value_has_a_bucket_until_the_oldest_has_to_go() {
        let table = table(2);
        assert!(take(&table, 2, 1) && !take(&table, 2, 2));
        assert!(take(&table, 4, 3) && !take(&table, 4, 4));
        // The first was used since: the second goes.
        assert!(!take(&table, 2, 5));
        assert!(take(&table, 6, 6));
        assert!(!take(&table, 2, 7));
        assert!(take(&table, 4, 8));
    }

    #[test]
    fn a_large_table_keeps_to_its_room() {
        let table = table(200);
        let slots: std::collections::BTreeSet<usize> =
            (0..10_000).map(|n: u64| table.slot(n.wrapping_mul(0x9e37_79b9_7f4a_7c15), S(n))).collect();
        assert_eq!(slots.len(), 192);
        assert_eq!(slots.last(), Some(&191));
    }

    #[test]
    fn workers_that_meet_share_the_buckets() {
        let table = table(20);
        let taken: usize = std::thread::scope(|scope| {
            let work = || (0..1000).filter(|n| take(&table, n % 10 * 2, 1)).count();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        // A worker that comes in between may find a value twice, or a bucket filled a moment later.
        assert!((10..=40).contains(&taken), "{taken}");
    }
}
