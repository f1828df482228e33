//! A bucket of tokens that all workers take from.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ir::rate_limit::TokenBucket;

/// A bucket that is filled with time. Time is given as what has passed since some fixed moment.
///
/// One number says it all: the moment (in nanoseconds, shifted so that it never is negative) at which
/// the bucket was, or would have been, empty. Taking a token moves it on by the time that a token needs,
/// so that workers meet in one compare-and-swap.
#[derive(Debug)]
pub struct Bucket {
    empty_at: AtomicU64,
    per_token: u64,
    max_tokens: u64,
}

/// Before the first moment there was time enough to fill any bucket.
const SHIFT: u64 = 1 << 62;

impl Bucket {
    /// A full bucket.
    pub fn new(config: &TokenBucket) -> Self {
        let nanos = u64::try_from(config.fill_interval.as_nanos()).unwrap_or(u64::MAX);
        let per_token = (nanos / u64::from(config.tokens_per_fill.max(1))).max(1);
        Bucket { empty_at: AtomicU64::new(0), per_token, max_tokens: config.max_tokens.into() }
    }

    fn now(now: Duration) -> u64 {
        SHIFT.saturating_add(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX >> 2))
    }

    /// No bucket is fuller than full.
    fn floor(&self, now: u64) -> u64 {
        now.saturating_sub(self.per_token.saturating_mul(self.max_tokens))
    }

    /// Takes so many tokens, if there are as many.
    pub fn take(&self, now: Duration, tokens: u64) -> bool {
        let now = Self::now(now);
        let time = self.per_token.saturating_mul(tokens);
        let next = |empty_at: u64| {
            let after = empty_at.max(self.floor(now)).saturating_add(time);
            (after <= now).then_some(after)
        };
        self.empty_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }

    /// Makes it full.
    pub(super) fn fill(&self) {
        self.empty_at.store(0, Ordering::Relaxed);
    }

    /// Whole tokens in it.
    pub fn remaining(&self, now: Duration) -> u64 {
        let now = Self::now(now);
        let empty_at = self.empty_at.load(Ordering::Relaxed).max(self.floor(now));
        now.saturating_sub(empty_at) / self.per_token
    }

    /// Nanoseconds until there is one more, in an empty bucket.
    pub(super) fn per_token(&self) -> u64 {
        self.per_token
    }

    pub fn max_tokens(&self) -> u64 {
        self.max_tokens
    }

    /// Until there is one more.
    pub fn next_token(&self, now: Duration) -> Duration {
        let now = Self::now(now);
        let empty_at = self.empty_at.load(Ordering::Relaxed).max(self.floor(now));
        let into = now.saturating_sub(empty_at) % self.per_token;
        Duration::from_nanos(self.per_token - into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn fills_with_time_and_not_beyond() {
        let config = TokenBucket { max_tokens: 3, tokens_per_fill: 1, fill_interval: S(10) };
        let bucket = Bucket::new(&config);
        let taken = |at| (0..5).filter(|_| bucket.take(at, 1)).count();
        assert_eq!(bucket.remaining(S(0)), 3);
        assert_eq!(taken(S(0)), 3);
        assert_eq!(bucket.remaining(S(5)), 0);
        assert_eq!(taken(S(9)), 0);
        assert_eq!(taken(S(10)), 1);
        assert_eq!(taken(S(35)), 2);
        assert_eq!(taken(S(10_000)), 3);
        assert_eq!(bucket.next_token(S(10_000)), S(10));
        assert!(!bucket.take(S(20_000), 4) && bucket.take(S(20_000), 3) && !bucket.take(S(20_000), 1));
        bucket.fill();
        assert!(bucket.take(S(20_000), 2));
    }

    #[test]
    fn many_take_no_more_than_there_is() {
        let config = TokenBucket { max_tokens: 1000, tokens_per_fill: 1, fill_interval: S(3600) };
        let bucket = Bucket::new(&config);
        let taken: usize = std::thread::scope(|scope| {
            let take = || (0..1000).filter(|_| bucket.take(S(1), 1)).count();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(taken, 1000);
    }
}
