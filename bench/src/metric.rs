//! What is measured, and the samples of a run.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::peers::Peer;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// User and system time of the proxy's processes, in µs for each request.
    CpuPerRequest,
    UserPerRequest,
    SystemPerRequest,
    RequestsPerSecond,
    /// From the time that a request was due, in µs, at a fixed rate.
    P50,
    P99,
    P999,
    /// The same without what the backend takes when it is asked directly.
    AddedP50,
    AddedP99,
    /// Sum over all rounds, not a median.
    Errors,
    /// MiB, after the load.
    Resident,
    Anonymous,
    /// From the start of the process to the first request that is answered, in ms.
    Ready,
    /// From a change being with the xDS server to the first request that meets it, in ms.
    Change,
    SlowestChange,
    /// Anonymous memory that one more idle connection takes, in KiB: HTTP/1, HTTP/1 in TLS, HTTP/2.
    PerConnection,
    PerTlsConnection,
    PerHttp2Connection,
    /// Anonymous memory, in MiB, with few connections, with many, and seconds after they have gone.
    BeforeBurst,
    DuringBurst,
    AfterBurst,
    /// What of the burst's memory was still there afterwards, in percent.
    LeftOver,
}

impl Metric {
    pub fn title(self) -> &'static str {
        match self {
            Metric::CpuPerRequest => "CPU µs/request",
            Metric::UserPerRequest => "user",
            Metric::SystemPerRequest => "system",
            Metric::RequestsPerSecond => "requests/s",
            Metric::P50 => "p50 µs",
            Metric::P99 => "p99 µs",
            Metric::P999 => "p99.9 µs",
            Metric::AddedP50 => "added p50 µs",
            Metric::AddedP99 => "added p99 µs",
            Metric::Errors => "errors",
            Metric::Resident => "RSS MiB",
            Metric::Anonymous => "anonymous MiB",
            Metric::Ready => "ready ms",
            Metric::Change => "change ms",
            Metric::SlowestChange => "slowest change ms",
            Metric::PerConnection => "KiB/connection HTTP/1",
            Metric::PerTlsConnection => "TLS",
            Metric::PerHttp2Connection => "HTTP/2",
            Metric::BeforeBurst => "anonymous MiB before",
            Metric::DuringBurst => "during",
            Metric::AfterBurst => "after",
            Metric::LeftOver => "left over %",
        }
    }

    /// As a table shows it.
    pub fn show(self, value: f64) -> String {
        match self {
            Metric::Errors | Metric::RequestsPerSecond => format!("{value:.0}"),
            Metric::PerConnection | Metric::PerTlsConnection | Metric::PerHttp2Connection => {
                format!("{value:.2}")
            }
            _ if value >= 100.0 => format!("{value:.0}"),
            _ => format!("{value:.1}"),
        }
    }
}

/// What a scenario found.
#[derive(Debug, Default)]
pub struct Measured {
    pub samples: Samples,
    /// What a reader must know to understand the figures.
    pub notes: Vec<String>,
}

/// Samples by peer and metric, in the order of the rounds.
#[derive(Debug, Default)]
pub struct Samples(BTreeMap<(Peer, Metric), Vec<f64>>);

impl Samples {
    pub fn add(&mut self, peer: Peer, metric: Metric, value: f64) {
        self.0.entry((peer, metric)).or_default().push(value);
    }

    pub fn of(&self, peer: Peer, metric: Metric) -> &[f64] {
        self.0.get(&(peer, metric)).map_or(&[], Vec::as_slice)
    }

    /// What is reported: the median, the sum for errors.
    pub fn value(&self, peer: Peer, metric: Metric) -> Option<f64> {
        let samples = self.of(peer, metric);
        match metric {
            Metric::Errors if !samples.is_empty() => Some(samples.iter().sum()),
            _ => median(samples),
        }
    }

    /// Ours divided by a peer's.
    pub fn ratio(&self, metric: Metric, peer: Peer) -> Option<f64> {
        let (ours, theirs) = (self.value(Peer::Lateen, metric)?, self.value(peer, metric)?);
        (theirs > 0.0).then(|| ours / theirs)
    }

    pub fn peers(&self) -> Vec<Peer> {
        let mut peers: Vec<Peer> = self.0.keys().map(|(peer, _)| *peer).collect();
        peers.dedup();
        peers
    }

    pub fn metrics(&self) -> Vec<Metric> {
        let mut metrics: Vec<Metric> = self.0.keys().map(|(_, metric)| *metric).collect();
        metrics.sort_unstable();
        metrics.dedup();
        metrics
    }
}

fn median(samples: &[f64]) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_needs_no_order_and_a_ratio_a_peer() {
        let mut samples = Samples::default();
        for value in [3.0, 1.0, 2.0] {
            samples.add(Peer::Lateen, Metric::CpuPerRequest, value);
        }
        assert_eq!(samples.ratio(Metric::CpuPerRequest, Peer::Envoy), None);
        for value in [8.0, 2.0] {
            samples.add(Peer::Envoy, Metric::CpuPerRequest, value);
            samples.add(Peer::Envoy, Metric::Errors, 1.0);
        }
        assert_eq!(samples.value(Peer::Envoy, Metric::CpuPerRequest), Some(5.0));
        assert_eq!(samples.ratio(Metric::CpuPerRequest, Peer::Envoy), Some(0.4));
        assert_eq!(samples.value(Peer::Envoy, Metric::Errors), Some(2.0));
    }
}
