//! What all workers share about an endpoint.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use engine::outlier::Tally;
use ir::Address;

use crate::health::now;
use crate::traffic::Traffic;

/// What is known of an endpoint's health, as bits.
mod flag {
    /// By outlier detection.
    pub const EJECTED: u8 = 1;
    /// There were or will be active health checks.
    pub const CHECKED: u8 = 2;
    /// No check has ended yet.
    pub const PENDING: u8 = 4;
    pub const FAILED: u8 = 8;
    pub const DEGRADED: u8 = 16;
    /// The last check took too long.
    pub const TIMEOUT: u8 = 32;
}

/// What active health checks say of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckedState {
    /// No check has ended yet.
    pub pending: bool,
    pub failed: bool,
    pub degraded: bool,
    pub timed_out: bool,
}

/// What is counted for one endpoint.
#[derive(Debug)]
pub struct EndpointState {
    pub address: Address,
    /// Never used twice in a process: names the endpoint in pools.
    pub(crate) id: u64,
    traffic: Traffic,
    /// Of [`now`].
    since: Duration,
    /// See [`flag`].
    flags: AtomicU8,
    /// Where the cluster has outlier detection.
    pub(crate) tally: OnceLock<Box<Tally>>,
}

impl EndpointState {
    /// State that no cluster knows.
    pub fn new(address: Address) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        EndpointState {
            address,
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            traffic: Traffic::default(),
            since: now(),
            flags: AtomicU8::new(0),
            tally: OnceLock::new(),
        }
    }

    /// Shares of successes of the last interval, in percent: of responses, and of local origin.
    pub fn success_rates(&self) -> [Option<f64>; 2] {
        self.tally.get().map_or([None; 2], |tally| [tally.rates[0].get(), tally.rates[1].get()])
    }

    /// Left out, by outlier detection.
    pub fn is_ejected(&self) -> bool {
        self.flags.load(Ordering::Relaxed) & flag::EJECTED != 0
    }

    pub(crate) fn set_ejected(&self, ejected: bool) {
        match ejected {
            true => self.flags.fetch_or(flag::EJECTED, Ordering::Relaxed),
            false => self.flags.fetch_and(!flag::EJECTED, Ordering::Relaxed),
        };
    }

    /// An endpoint that is going to be checked is not used before it was; one that was stays as it is.
    pub fn expect_checks(&self) {
        let begin = |flags| {
            let new = flag::CHECKED | flag::PENDING | flag::FAILED;
            (flags & flag::CHECKED == 0).then_some(flags | new)
        };
        let _ = self.flags.fetch_update(Ordering::Relaxed, Ordering::Relaxed, begin);
    }

    /// What the checks have found.
    pub fn checked(&self) -> CheckedState {
        let flags = self.flags.load(Ordering::Relaxed);
        let has = |flag: u8| flags & flag != 0;
        CheckedState {
            pending: has(flag::PENDING),
            failed: has(flag::FAILED),
            degraded: has(flag::DEGRADED),
            timed_out: has(flag::TIMEOUT),
        }
    }

    /// Takes what a check has found; whether that is anything new.
    pub(crate) fn set_checked(&self, it: CheckedState) -> bool {
        let bits = [
            (it.pending, flag::PENDING),
            (it.failed, flag::FAILED),
            (it.degraded, flag::DEGRADED),
            (it.timed_out, flag::TIMEOUT),
        ];
        let bits = bits.iter().filter(|(set, _)| *set).fold(flag::CHECKED, |all, (_, bit)| all | bit);
        let update = |flags| Some(flags & flag::EJECTED | bits);
        let before = self.flags.fetch_update(Ordering::Relaxed, Ordering::Relaxed, update);
        before.is_ok_and(|before| before & !flag::EJECTED != bits)
    }

    /// How long it has been an endpoint.
    pub fn age(&self) -> Duration {
        now().saturating_sub(self.since)
    }

    /// Requests (or TCP connections) in flight, for least-request balancing.
    pub fn load(&self) -> u32 {
        self.traffic.requests.active()
    }

    /// Counts one for as long as the guard lives.
    pub fn start(self: &Arc<Self>) -> InFlightAt {
        self.traffic.requests.begin();
        InFlightAt(self.clone())
    }

    /// What has been counted.
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }
}

/// Counts one at an endpoint until it is dropped.
#[derive(Debug)]
pub struct InFlightAt(Arc<EndpointState>);

impl Drop for InFlightAt {
    fn drop(&mut self) {
        self.0.traffic.requests.end();
    }
}
