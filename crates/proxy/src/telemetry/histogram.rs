//! Histograms with Envoy's default buckets. Each worker has its own and is their only writer: a value costs
//! a search among the bounds and two additions. Who scrapes adds them up.

use std::fmt::Write;
use std::sync::OnceLock;
use std::time::Duration;

use super::Counter;

/// Upper bounds of the buckets. See
/// <https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/config/metrics/v3/stats.proto#config-metrics-v3-histogrambucketsettings>.
pub const BOUNDS: [f64; 19] = [
    0.5, 1.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10000.0, 30000.0, 60000.0,
    300000.0, 600000.0, 1800000.0, 3600000.0,
];
/// What is beyond the last bound has a bucket, too.
pub const BUCKETS: usize = BOUNDS.len() + 1;

/// Percentiles that Envoy tells.
pub const QUANTILES: [f64; 10] = [0.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 100.0];

/// What one worker has recorded.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [Counter; BUCKETS],
    sum: Counter,
}

impl Histogram {
    /// Records a value.
    pub fn add(&self, value: u64) {
        // Values are whole: bounds below one have but zero in them.
        let at = BOUNDS.partition_point(|bound| *bound < value as f64);
        if let Some(bucket) = self.buckets.get(at) {
            bucket.inc();
        }
        self.sum.add(value);
    }

    /// Records a time, in milliseconds.
    pub fn add_time(&self, time: Duration) {
        self.add(time.as_secs().saturating_mul(1000).saturating_add(u64::from(time.subsec_millis())));
    }

    /// Adds what was recorded.
    pub fn add_to(&self, counts: &mut Counts) {
        for (count, bucket) in std::iter::zip(&mut counts.buckets, &self.buckets) {
            *count += bucket.get();
        }
        counts.sum = counts.sum.wrapping_add(self.sum.get());
    }
}

/// A histogram that needs memory from its first value on: most scopes of a large mesh have none.
#[derive(Debug, Default)]
pub struct LazyHistogram(OnceLock<Box<Histogram>>);

impl LazyHistogram {
    pub fn add(&self, value: u64) {
        self.0.get_or_init(Box::default).add(value);
    }

    pub fn add_time(&self, time: Duration) {
        self.0.get_or_init(Box::default).add_time(time);
    }

    pub fn add_to(&self, counts: &mut Counts) {
        if let Some(histogram) = self.0.get() {
            histogram.add_to(counts);
        }
    }
}

/// A histogram of all workers, at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub buckets: [u64; BUCKETS],
    pub sum: u64,
}

impl Counts {
    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// What has been recorded since.
    pub fn since(&self, earlier: &Counts) -> Counts {
        let mut counts = self.clone();
        for (count, before) in std::iter::zip(&mut counts.buckets, &earlier.buckets) {
            *count = count.saturating_sub(*before);
        }
        counts.sum = self.sum.saturating_sub(earlier.sum);
        counts
    }

    /// Values up to each bound, the last without one.
    pub fn cumulative(&self) -> [u64; BUCKETS] {
        let mut sum = 0;
        self.buckets.map(|count| {
            sum += count;
            sum
        })
    }

    /// The value below which `percent` of all are, as if those of a bucket were spread evenly over it; none
    /// without values.
    pub fn quantile(&self, percent: f64) -> Option<f64> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let wanted = percent / 100.0 * count as f64;
        let mut below = 0.0;
        for (at, inside) in self.buckets.iter().enumerate().filter(|(_, inside)| **inside > 0) {
            let inside = *inside as f64;
            if below + inside >= wanted {
                let lower = at.checked_sub(1).and_then(|at| BOUNDS.get(at)).copied().unwrap_or(0.0);
                // Nobody knows how far the last bucket goes.
                let upper = BOUNDS.get(at).copied().unwrap_or(lower);
                return Some(lower + (upper - lower) * ((wanted - below) / inside).clamp(0.0, 1.0));
            }
            below += inside;
        }
        BOUNDS.last().copied()
    }
}

/// A bound as Envoy's pages have it, which is C's `%g`.
pub fn bound(value: f64) -> String {
    if value < 1_000_000.0 { value.to_string() } else { format!("{}e+06", value / 1_000_000.0) }
}

/// Appends a histogram in Prometheus' text format.
pub fn prometheus(name: &str, labels: &str, counts: &Counts, out: &mut String) {
    let separator = if labels.is_empty() { "" } else { "," };
    let bounds = BOUNDS.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
    for (bound, count) in std::iter::zip(bounds, counts.cumulative()) {
        let _ = writeln!(out, "{name}_bucket{{{labels}{separator}le=\"{bound}\"}} {count}");
    }
    let count = counts.count();
    let _ = writeln!(out, "{name}_sum{{{labels}}} {}\n{name}_count{{{labels}}} {count}", counts.sum);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(values: &[u64]) -> Counts {
        let histogram = LazyHistogram::default();
        values.iter().for_each(|value| histogram.add(*value));
        let mut counts = Counts::default();
        histogram.add_to(&mut counts);
        counts
    }

    #[test]
    fn values_lie_at_or_below_the_bound_of_their_bucket() {
        let found = counts(&[0, 1, 2, 5, 6, 3_600_000, 3_600_001]);
        assert_eq!(found.buckets[..4], [1, 1, 2, 1]);
        assert_eq!(found.buckets[18..], [1, 1]);
        assert_eq!(found.cumulative()[19], 7);
        assert_eq!((found.count(), found.sum), (7, 7_200_015));
        assert_eq!(found.since(&counts(&[0, 1])).count(), 5);
    }

    #[test]
    fn quantiles_lie_inside_of_their_buckets() {
        let found = counts(&[30, 30, 30, 30, 2000]);
        assert_eq!(found.quantile(0.0), Some(25.0));
        assert_eq!(found.quantile(40.0), Some(37.5));
        assert_eq!(found.quantile(80.0), Some(50.0));
        assert_eq!(found.quantile(100.0), Some(2500.0));
        assert_eq!(counts(&[]).quantile(50.0), None);
        assert_eq!(counts(&[u64::MAX]).quantile(50.0), Some(3_600_000.0));
    }

    #[test]
    fn bounds_are_written_as_envoy_writes_them() {
        let all: Vec<String> = [0.5, 300_000.0, 1_800_000.0].map(bound).into();
        assert_eq!(all, ["0.5", "300000", "1.8e+06"]);
    }
}
