//! What is counted for one endpoint, for `/clusters`.

use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers of one endpoint, on the cache line that every request writes anyway.
///
/// Only what is rare has a counter: a request that ended in no other way was a success.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Traffic {
    pub(crate) requests: Begun,
    pub(crate) connections: Begun,
    pub connect_fail: AtomicU64,
    /// Requests that ended in a 5xx or without a response, those that never got a connection included.
    pub error: AtomicU64,
    /// Those of them that never got a connection.
    pub unsent: AtomicU64,
    pub timeout: AtomicU64,
    /// Neither good nor bad: the client went away, or it was a TCP connection.
    pub neither: AtomicU64,
}

/// How many began, and how many are under way: one addition counts both.
#[derive(Debug, Default)]
pub struct Begun(AtomicU64);

/// Bits of what is under way; the others wrap after 2^40.
const ACTIVE: u32 = 24;

impl Begun {
    pub(crate) fn begin(&self) {
        self.0.fetch_add((1 << ACTIVE) | 1, Ordering::Relaxed);
    }

    pub(crate) fn end(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    pub fn active(&self) -> u32 {
        (self.0.load(Ordering::Relaxed) & ((1 << ACTIVE) - 1)) as u32
    }

    pub fn total(&self) -> u64 {
        self.0.load(Ordering::Relaxed) >> ACTIVE
    }
}

/// [`Traffic`] under Envoy's names.
/// See <https://www.envoyproxy.io/docs/envoy/v1.40.0/operations/admin#get--clusters>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostStats {
    pub cx_active: u64,
    pub cx_connect_fail: u64,
    pub cx_total: u64,
    pub rq_active: u64,
    pub rq_error: u64,
    pub rq_success: u64,
    pub rq_timeout: u64,
    pub rq_total: u64,
}

impl Traffic {
    pub fn stats(&self) -> HostStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (total, rq_active) = (self.requests.total(), u64::from(self.requests.active()));
        let (rq_error, rq_timeout) = (get(&self.error), get(&self.timeout));
        let others = rq_active + rq_error + rq_timeout + get(&self.neither);
        HostStats {
            cx_active: self.connections.active().into(),
            cx_connect_fail: get(&self.connect_fail),
            cx_total: self.connections.total(),
            rq_active,
            rq_error,
            rq_success: total.saturating_sub(others),
            rq_timeout,
            rq_total: total.saturating_sub(get(&self.unsent)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_word_counts_both() {
        let traffic = Traffic::default();
        for _ in 0..5 {
            traffic.requests.begin();
        }
        for _ in 0..4 {
            traffic.requests.end();
        }
        traffic.error.fetch_add(2, Ordering::Relaxed);
        traffic.unsent.fetch_add(1, Ordering::Relaxed);
        let expected =
            HostStats { rq_active: 1, rq_error: 2, rq_success: 2, rq_total: 4, ..HostStats::default() };
        assert_eq!(traffic.stats(), expected);
    }
}
