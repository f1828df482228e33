//! What a run is held against with `--check`.

use std::fmt;

use crate::metric::{Metric, Samples};
use crate::peers::Peer;

/// Noise between runs that is not held against us.
const TOLERANCE: f64 = 1.05;

#[derive(Debug, Clone, Copy)]
pub struct Target {
    scenario: &'static str,
    metric: Metric,
    limit: Limit,
}

#[derive(Debug, Clone, Copy)]
enum Limit {
    /// At most this many times a peer's.
    Times(f64, Peer),
    /// In the metric's unit.
    AtMost(f64),
}

/// Whether a target was met.
#[derive(Debug, Clone)]
pub struct Verdict {
    pub target: Target,
    /// A ratio, or a value in the metric's unit.
    pub found: f64,
    pub met: bool,
}

const fn times(scenario: &'static str, metric: Metric, factor: f64, peer: Peer) -> Target {
    Target { scenario, metric, limit: Limit::Times(factor, peer) }
}

const fn at_most(scenario: &'static str, metric: Metric, value: f64) -> Target {
    Target { scenario, metric, limit: Limit::AtMost(value) }
}

const TARGETS: &[Target] = &[
    times("http1-hop", Metric::CpuPerRequest, 0.85, Peer::HaProxy),
    times("http1-hop", Metric::CpuPerRequest, 0.22, Peer::Envoy),
    times("http2-hop", Metric::CpuPerRequest, 1.0, Peer::HaProxy),
    times("http2-hop", Metric::CpuPerRequest, 0.25, Peer::Envoy),
    times("mtls-pair", Metric::CpuPerRequest, 0.7, Peer::HaProxy),
    times("mtls-pair", Metric::CpuPerRequest, 0.2, Peer::Envoy),
    times("mtls-pair", Metric::AddedP50, 1.0, Peer::HaProxy),
    times("mtls-pair", Metric::AddedP99, 1.0, Peer::HaProxy),
    times("mtls-pair", Metric::AddedP50, 0.3, Peer::Envoy),
    times("mtls-pair", Metric::AddedP99, 0.3, Peer::Envoy),
    times("chain5", Metric::AddedP50, 1.0, Peer::HaProxy),
    times("chain5", Metric::AddedP99, 1.0, Peer::HaProxy),
    times("chain5", Metric::AddedP50, 0.3, Peer::Envoy),
    times("chain5", Metric::AddedP99, 0.3, Peer::Envoy),
    times("body-1mib", Metric::CpuPerRequest, 1.0, Peer::TcpRelay),
    at_most("services-1", Metric::Resident, 8.0),
    at_most("services-1000", Metric::Resident, 16.0),
    at_most("services-5000", Metric::Resident, 40.0),
    at_most("services-5000", Metric::Ready, 500.0),
    at_most("idle-4000", Metric::PerConnection, 2.0),
    at_most("idle-15000", Metric::PerConnection, 2.0),
    // "Memory goes back": most of it does.
    at_most("idle-4000", Metric::LeftOver, 25.0),
    at_most("idle-15000", Metric::LeftOver, 25.0),
];

/// What the samples of a scenario say of its targets. No error is a target everywhere.
pub fn judge(scenario: &'static str, samples: &Samples) -> Vec<Verdict> {
    let own = TARGETS.iter().filter(|target| target.scenario == scenario).copied();
    let errors = at_most(scenario, Metric::Errors, 0.0);
    own.chain([errors]).filter_map(|target| target.judge(samples)).collect()
}

impl Target {
    /// Nothing, where the run has no figure for it.
    fn judge(self, samples: &Samples) -> Option<Verdict> {
        let (found, limit) = match self.limit {
            Limit::Times(factor, peer) => (samples.ratio(self.metric, peer)?, factor),
            Limit::AtMost(limit) => (samples.value(Peer::Lateen, self.metric)?, limit),
        };
        Some(Verdict { target: self, found, met: found <= limit * TOLERANCE })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verdict { target: Target { scenario, metric, limit }, found, met } = self;
        let verdict = if *met { "met   " } else { "MISSED" };
        let title = metric.title();
        match limit {
            Limit::Times(factor, peer) => {
                write!(f, "{verdict} {scenario}: {title} {found:.2}x {peer}, target at most {factor}x")
            }
            Limit::AtMost(limit) => {
                write!(f, "{verdict} {scenario}: {title} {}, target at most {limit}", metric.show(*found))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(ours: f64, haproxy: f64) -> Samples {
        let mut samples = Samples::default();
        samples.add(Peer::Lateen, Metric::CpuPerRequest, ours);
        samples.add(Peer::Lateen, Metric::Errors, 0.0);
        samples.add(Peer::HaProxy, Metric::CpuPerRequest, haproxy);
        samples
    }

    #[test]
    fn a_target_is_a_ratio_with_five_percent_of_tolerance() {
        let met =
            |samples| judge("http1-hop", &samples).iter().map(|verdict| verdict.met).collect::<Vec<_>>();
        // The one against Envoy is not judged without Envoy; that of errors always is.
        assert_eq!(met(samples(0.89, 1.0)), [true, true]);
        assert_eq!(met(samples(0.9, 1.0)), [false, true]);
        let mut failed = samples(0.1, 1.0);
        failed.add(Peer::Lateen, Metric::Errors, 1.0);
        assert_eq!(met(failed), [true, false]);
    }
}
