//! How many requests began in a while, for retry budgets that look back
//! (<https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/config/cluster/v3/circuit_breaker.proto>,
//! `budget_interval`).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Tenths of the while, and the one that has only begun: as in Envoy a request counts for one to one and a
/// tenth of it.
const SLOTS: usize = 11;

/// Shared by all workers.
#[derive(Debug)]
pub(crate) struct Recent {
    since: Instant,
    /// In each the tick in the upper half, and what began in it in the lower: so that one exchange says whether
    /// what is there is of now or of long ago.
    slots: [AtomicU64; SLOTS],
}

impl Recent {
    pub(crate) fn new() -> Self {
        Recent { since: Instant::now(), slots: Default::default() }
    }

    pub(crate) fn note(&self, interval: Duration) {
        self.note_at(tick(self.since.elapsed(), interval));
    }

    pub(crate) fn count(&self, interval: Duration) -> u64 {
        self.count_at(tick(self.since.elapsed(), interval))
    }

    fn note_at(&self, tick: u32) {
        let slot = &self.slots[tick as usize % SLOTS];
        let now = u64::from(tick) << 32;
        let next = |old: u64| match old >> 32 == u64::from(tick) {
            true => old.checked_add(1).filter(|new| new >> 32 == u64::from(tick)),
            false => Some(now | 1),
        };
        let _ = slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    }

    fn count_at(&self, tick: u32) -> u64 {
        let recent = |slot: &AtomicU64| {
            let noted = slot.load(Ordering::Relaxed);
            let (of, count) = ((noted >> 32) as u32, noted as u32);
            (tick.wrapping_sub(of) < SLOTS as u32).then_some(u64::from(count))
        };
        self.slots.iter().filter_map(recent).sum()
    }
}

/// Tenths of the interval, of a millisecond at least.
fn tick(elapsed: Duration, interval: Duration) -> u32 {
    let tenth = (interval / 10).max(Duration::from_millis(1));
    (elapsed.as_nanos() / tenth.as_nanos()) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_count_for_a_while() {
        let recent = Recent::new();
        for _ in 0..5 {
            recent.note_at(3);
        }
        recent.note_at(7);
        assert_eq!([3, 7, 13, 14, 17, 18, 400].map(|tick| recent.count_at(tick)), [5, 6, 6, 1, 1, 0, 0]);
        // The slot of long ago is begun anew.
        recent.note_at(14);
        assert_eq!(recent.count_at(14), 2);
    }

    #[test]
    fn a_tick_is_a_tenth() {
        let second = Duration::from_secs(1);
        let ticks = [0, 99, 100, 250, 1000].map(|ms| tick(Duration::from_millis(ms), second));
        assert_eq!(ticks, [0, 0, 1, 2, 10]);
        assert_eq!(tick(second, Duration::from_nanos(1)), 1000);
    }
}
