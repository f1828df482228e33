//! Active health checks: what a check's end means for its endpoint, and when the next one is due.
//! See <https://www.envoyproxy.io/docs/envoy/v1.40.0/intro/arch_overview/upstream/health_checking>.
//!
//! A [`Checker`] is the state of one endpoint. Whoever makes the checks tells it how each ended, and
//! does what it says.

mod grpc;
mod response;
#[cfg(test)]
mod tests;

use std::time::Duration;

use ir::HealthCheck;

use crate::{Dice, dice};

pub use grpc::{grpc_request, grpc_serving};
pub use response::{ResponseRules, receive};

/// Envoy's default of `no_traffic_interval`.
const NO_TRAFFIC: Duration = Duration::from_secs(60);

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Success {
        degraded: bool,
    },
    /// The endpoint says that it is not well. `retriable`: one alone is not enough.
    Failure {
        retriable: bool,
    },
    /// No connection, or it broke.
    NetworkFailure,
    Timeout,
}

/// What it did to what is known of the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    None,
    /// More of the same is needed.
    Pending,
    Changed,
}

/// What is known of one endpoint.
#[derive(Clone, Debug)]
pub struct Checker {
    /// An endpoint is not used before it was checked.
    pub healthy: bool,
    pub degraded: bool,
    /// The last failure was a timeout.
    pub timed_out: bool,
    /// It has never been checked.
    first: bool,
    successes: u32,
    failures: u32,
}

impl Checker {
    /// Of an endpoint that is taken for this until it was checked.
    pub fn new(healthy: bool) -> Self {
        Checker { healthy, degraded: false, timed_out: false, first: true, successes: 0, failures: 0 }
    }

    /// Takes the end of a check.
    pub fn note(&mut self, config: &HealthCheck, outcome: Outcome) -> Change {
        let change = match outcome {
            Outcome::Success { degraded } => self.succeeded(config, degraded),
            Outcome::Failure { retriable } => self.failed(config, !retriable),
            Outcome::NetworkFailure | Outcome::Timeout => self.failed(config, false),
        };
        self.timed_out = !self.healthy && outcome == Outcome::Timeout;
        // Somebody waits for the first end, whatever it is.
        if std::mem::take(&mut self.first) { Change::Changed } else { change }
    }

    fn succeeded(&mut self, config: &HealthCheck, degraded: bool) -> Change {
        self.failures = 0;
        let mut change = Change::None;
        if !self.healthy {
            self.successes += 1;
            if self.first || self.successes >= config.healthy_threshold {
                self.healthy = true;
                change = Change::Changed;
            } else {
                change = Change::Pending;
            }
        }
        if self.degraded != degraded {
            self.degraded = degraded;
            change = if change == Change::Pending { change } else { Change::Changed };
        }
        change
    }

    fn failed(&mut self, config: &HealthCheck, at_once: bool) -> Change {
        self.successes = 0;
        if !self.healthy {
            return Change::None;
        }
        self.failures += 1;
        if !at_once && self.failures < config.unhealthy_threshold {
            return Change::Pending;
        }
        self.healthy = false;
        Change::Changed
    }
}

/// Until the first check of an endpoint.
pub fn first_wait(config: &HealthCheck, dice: &mut dyn Dice) -> Duration {
    below(config.initial_jitter.unwrap_or_default(), dice)
}

/// Until the next check, after one that ended in this. `used`: the cluster has had connections.
pub fn next_wait(
    config: &HealthCheck,
    outcome: Outcome,
    change: Change,
    used: bool,
    dice: &mut dyn Dice,
) -> Duration {
    let succeeded = matches!(outcome, Outcome::Success { .. });
    let unhealthy = config.unhealthy_interval.unwrap_or(config.interval);
    let no_traffic = config.no_traffic_interval.unwrap_or(NO_TRAFFIC);
    let base = match (used, succeeded, change) {
        (false, true, _) => config.no_traffic_healthy_interval.unwrap_or(no_traffic),
        (false, false, _) => no_traffic,
        (true, true, Change::Pending) => config.healthy_edge_interval.unwrap_or(config.interval),
        (true, true, _) => config.interval,
        (true, false, Change::Pending) => config.unhealthy_edge_interval.unwrap_or(unhealthy),
        (true, false, _) => unhealthy,
    };
    let share = base.saturating_mul(config.interval_jitter_percent) / 100;
    base + below(share, dice) + below(config.interval_jitter.unwrap_or_default(), dice)
}

fn below(limit: Duration, dice: &mut dyn Dice) -> Duration {
    let limit = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(dice::below(dice, limit))
}
