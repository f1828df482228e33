//! Outlier detection: endpoints that fail requests are ejected for a while.
//! See <https://www.envoyproxy.io/docs/envoy/v1.40.0/intro/arch_overview/upstream/outlier>.
//!
//! A [`Tally`] counts what an endpoint does and says when a row of failures is long enough; it may
//! be written by many threads. The [`Detector`] of a cluster decides who is ejected and who returns.
//! Times are durations since any fixed moment.

mod rates;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ir::OutlierDetection;

use crate::{Dice, dice};

/// How a request ended, as the detector sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A response with this status (of a gRPC response without a body: what its status means in HTTP).
    Status(u16),
    /// No connection, or it broke before there was a response.
    LocalFailure,
    /// We gave up waiting.
    LocalTimeout,
}

/// Why an endpoint is to be ejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    Consecutive5xx,
    ConsecutiveGatewayFailure,
    ConsecutiveLocalOriginFailure,
    SuccessRate,
    LocalOriginSuccessRate,
    FailurePercentage,
    LocalOriginFailurePercentage,
}

impl Cause {
    pub const ALL: [Cause; 7] = [
        Cause::Consecutive5xx,
        Cause::ConsecutiveGatewayFailure,
        Cause::ConsecutiveLocalOriginFailure,
        Cause::SuccessRate,
        Cause::LocalOriginSuccessRate,
        Cause::FailurePercentage,
        Cause::LocalOriginFailurePercentage,
    ];

    /// Percent of the cases that are carried out.
    fn enforcing(self, config: &OutlierDetection) -> u32 {
        match self {
            Cause::Consecutive5xx => config.enforcing_consecutive_5xx.unwrap_or(100),
            Cause::ConsecutiveGatewayFailure => config.enforcing_consecutive_gateway_failure.unwrap_or(0),
            Cause::ConsecutiveLocalOriginFailure => {
                config.enforcing_consecutive_local_origin_failure.unwrap_or(100)
            }
            Cause::SuccessRate => config.enforcing_success_rate.unwrap_or(100),
            Cause::LocalOriginSuccessRate => config.enforcing_local_origin_success_rate.unwrap_or(100),
            Cause::FailurePercentage => config.enforcing_failure_percentage.unwrap_or(0),
            Cause::LocalOriginFailurePercentage => {
                config.enforcing_failure_percentage_local_origin.unwrap_or(0)
            }
        }
    }
}

/// What an endpoint did. Counts of an interval are taken by [`Detector::interval`].
#[derive(Debug, Default)]
pub struct Tally {
    consecutive_5xx: AtomicU32,
    consecutive_gateway: AtomicU32,
    consecutive_local: AtomicU32,
    /// Successes and all, of responses and of connections.
    external: (AtomicU32, AtomicU32),
    local: (AtomicU32, AtomicU32),
    /// Of the last interval.
    pub rates: [LastRate; 2],
}

/// A share of successes, where there were enough requests at enough endpoints to judge it.
#[derive(Debug, Default)]
pub struct LastRate(AtomicU32);

impl LastRate {
    /// Percent.
    pub fn get(&self) -> Option<f64> {
        self.0.load(Ordering::Relaxed).checked_sub(1).map(|rate| f64::from(rate) / 10_000.0)
    }

    fn set(&self, percent: Option<f64>) {
        // Up to 100 %, so it fits.
        self.0.store(percent.map_or(0, |percent| (percent * 10_000.0) as u32 + 1), Ordering::Relaxed);
    }
}

impl Tally {
    /// Counts a request's end; says if that makes a row too long.
    pub fn note(&self, config: &OutlierDetection, outcome: Outcome) -> Option<Cause> {
        let split = config.split_external_local_origin_errors;
        match outcome {
            Outcome::Status(status) => {
                if split {
                    self.consecutive_local.store(0, Ordering::Relaxed);
                    count(&self.local, true);
                }
                self.status(config, status)
            }
            Outcome::LocalFailure | Outcome::LocalTimeout if split => {
                count(&self.local, false);
                let limit = config.consecutive_local_origin_failure.unwrap_or(5);
                reached(&self.consecutive_local, limit).then_some(Cause::ConsecutiveLocalOriginFailure)
            }
            Outcome::LocalFailure => self.status(config, 503),
            Outcome::LocalTimeout => self.status(config, 504),
        }
    }

    fn status(&self, config: &OutlierDetection, status: u16) -> Option<Cause> {
        let failed = status >= 500;
        count(&self.external, !failed);
        if !failed {
            self.consecutive_5xx.store(0, Ordering::Relaxed);
            self.consecutive_gateway.store(0, Ordering::Relaxed);
            return None;
        }
        let gateway = if (502..=504).contains(&status) {
            reached(&self.consecutive_gateway, config.consecutive_gateway_failure.unwrap_or(5))
        } else {
            self.consecutive_gateway.store(0, Ordering::Relaxed);
            false
        };
        let limit = config.consecutive_5xx.unwrap_or(5);
        let five_xx = reached(&self.consecutive_5xx, limit).then_some(Cause::Consecutive5xx);
        let gateway = gateway.then_some(Cause::ConsecutiveGatewayFailure);
        // Where both are due, the one that is carried out.
        match config.enforcing_consecutive_gateway_failure {
            Some(1..) => gateway.or(five_xx),
            _ => five_xx.or(gateway),
        }
    }

    /// A new beginning, after an ejection.
    fn reset(&self) {
        for counter in [&self.consecutive_5xx, &self.consecutive_gateway, &self.consecutive_local] {
            counter.store(0, Ordering::Relaxed);
        }
    }
}

fn count(counts: &(AtomicU32, AtomicU32), success: bool) {
    counts.0.fetch_add(u32::from(success), Ordering::Relaxed);
    counts.1.fetch_add(1, Ordering::Relaxed);
}

/// One more; begins anew at the limit. A limit of 0 is none.
fn reached(counter: &AtomicU32, limit: u32) -> bool {
    let now = counter.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
    if limit > 0 && now == limit {
        counter.store(0, Ordering::Relaxed);
        return true;
    }
    false
}

/// What came of a cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Ejected,
    /// The dice said no.
    NotEnforced,
    /// Too many are ejected already.
    Overflow,
    /// It is ejected already, or unknown.
    Nothing,
}

/// Who is ejected, of the endpoints of one cluster by their numbers.
#[derive(Debug)]
pub struct Detector {
    config: OutlierDetection,
    hosts: HashMap<u64, Host>,
    ejected: usize,
    next_interval: Duration,
    /// Mean and threshold of the last interval, in percent: of responses, and of local origin.
    averages: [Option<(f64, f64)>; 2],
}

#[derive(Debug, Default)]
struct Host {
    /// Since when, and how long it takes at random in addition.
    ejected: Option<(Duration, Duration)>,
    /// Multiplies the base time. Grows with each ejection, shrinks with each interval without.
    back_off: u32,
}

const INTERVAL: Duration = Duration::from_secs(10);
const BASE_EJECTION_TIME: Duration = Duration::from_secs(30);
const MAX_EJECTION_TIME: Duration = Duration::from_secs(300);
/// After a pause without requests, so many intervals are made up for.
const MOST_INTERVALS: u32 = 64;

impl Detector {
    pub fn new(config: OutlierDetection, now: Duration) -> Self {
        let next_interval = now + config.interval.unwrap_or(INTERVAL);
        Detector { config, hosts: HashMap::new(), ejected: 0, next_interval, averages: [None; 2] }
    }

    /// Takes new settings, and the endpoints that there are now. Who stays ejected is ejected on.
    pub fn update(&mut self, config: OutlierDetection, hosts: impl Iterator<Item = u64>) {
        self.config = config;
        let mut before = std::mem::take(&mut self.hosts);
        self.hosts = hosts.map(|id| (id, before.remove(&id).unwrap_or_default())).collect();
        self.ejected = self.hosts.values().filter(|host| host.ejected.is_some()).count();
    }

    /// When [`Self::interval`] is due.
    pub fn next_interval(&self) -> Duration {
        self.next_interval
    }

    /// Mean and threshold of the success rates of the last interval, in percent: of responses, and of
    /// local origin; `None` where too little was counted.
    pub fn averages(&self) -> [Option<(f64, f64)>; 2] {
        self.averages
    }

    pub fn ejected(&self) -> usize {
        self.ejected
    }

    pub fn is_ejected(&self, id: u64) -> bool {
        self.hosts.get(&id).is_some_and(|host| host.ejected.is_some())
    }

    /// Ejects an endpoint, if the limits allow it.
    pub fn eject(&mut self, id: u64, cause: Cause, now: Duration, dice: &mut dyn Dice) -> Verdict {
        let most = u64::from(self.config.max_ejection_percent.unwrap_or(10));
        let first = self.config.always_eject_one_host && self.ejected == 0;
        let allowed = first || (self.ejected as u64 + 1) * 100 <= most * self.hosts.len() as u64;
        let (base, max) = self.times();
        let Some(host) = self.hosts.get_mut(&id).filter(|host| host.ejected.is_none()) else {
            return Verdict::Nothing;
        };
        if !allowed {
            return Verdict::Overflow;
        }
        if dice::below(dice, 100) >= u64::from(cause.enforcing(&self.config)) {
            return Verdict::NotEnforced;
        }
        let jitter = self.config.max_ejection_time_jitter.unwrap_or_default().as_millis();
        let jitter = dice::below(dice, u64::try_from(jitter).unwrap_or(u64::MAX).saturating_add(1));
        host.ejected = Some((now, Duration::from_millis(jitter)));
        if base.saturating_mul(host.back_off) < max.saturating_add(base) {
            host.back_off += 1;
        }
        self.ejected += 1;
        Verdict::Ejected
    }

    /// Looks at who may return, and at the rates since the last time. `tallies` are those of the
    /// endpoints. Returns who changed, with what came of it.
    pub fn interval<'t>(
        &mut self,
        now: Duration,
        tallies: impl Iterator<Item = (u64, &'t Tally)>,
        dice: &mut dyn Dice,
    ) -> Vec<(u64, Change)> {
        let mut changes = Vec::new();
        if now < self.next_interval {
            return changes;
        }
        let length = self.config.interval.unwrap_or(INTERVAL);
        let passed = (now - self.next_interval).as_nanos() / length.as_nanos().max(1) + 1;
        let passed = u32::try_from(passed).unwrap_or(u32::MAX).min(MOST_INTERVALS);
        self.next_interval = now + length;
        let tallies: Vec<(u64, &Tally)> = tallies.collect();
        for (id, tally) in &tallies {
            if self.uneject(*id, now, passed) {
                tally.reset();
                changes.push((*id, Change::Returned));
            }
        }
        let (found, averages) = rates::outliers(&self.config, &tallies, |id| self.is_ejected(id));
        self.averages = averages;
        for (id, cause) in found {
            changes.push((id, Change::Judged(cause, self.eject(id, cause, now, dice))));
        }
        changes
    }

    /// A health check was successful.
    pub fn found_healthy(&mut self, id: u64) -> bool {
        let ends = self.config.successful_active_health_check_uneject_host.unwrap_or(true);
        let Some(host) = self.hosts.get_mut(&id).filter(|host| ends && host.ejected.is_some()) else {
            return false;
        };
        host.ejected = None;
        self.ejected -= 1;
        true
    }

    fn uneject(&mut self, id: u64, now: Duration, intervals: u32) -> bool {
        let (base, max) = self.times();
        let Some(host) = self.hosts.get_mut(&id) else { return false };
        let Some((since, jitter)) = host.ejected else {
            host.back_off = host.back_off.saturating_sub(intervals);
            return false;
        };
        let time = base.saturating_mul(host.back_off).min(max).saturating_add(jitter);
        if now.saturating_sub(since) < time {
            return false;
        }
        host.ejected = None;
        self.ejected -= 1;
        true
    }

    /// Base and maximum.
    fn times(&self) -> (Duration, Duration) {
        let base = self.config.base_ejection_time.unwrap_or(BASE_EJECTION_TIME);
        (base, self.config.max_ejection_time.unwrap_or(MAX_EJECTION_TIME).max(base))
    }
}

/// What an interval did to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Returned,
    Judged(Cause, Verdict),
}
