//! Endpoints whose share of successes is far from the others', or too low.

use std::sync::atomic::{AtomicU32, Ordering};

use ir::OutlierDetection;

use super::{Cause, Tally};

/// Requests of one interval at one endpoint.
struct Rate {
    id: u64,
    total: u32,
    /// Percent.
    success: f64,
}

/// Mean and threshold, in percent.
type Average = Option<(f64, f64)>;

/// Who is to be ejected, and why; with the averages of responses and of local origin. Begins new counts.
pub(super) fn outliers(
    config: &OutlierDetection,
    tallies: &[(u64, &Tally)],
    ejected: impl Fn(u64) -> bool,
) -> (Vec<(u64, Cause)>, [Average; 2]) {
    let external = rates(tallies, |tally| &tally.external, &ejected);
    let (mut found, average) = judge(config, &external, Cause::SuccessRate, Cause::FailurePercentage);
    note(tallies, 0, &external, config, average);
    let local = rates(tallies, |tally| &tally.local, &ejected);
    let mut averages = [average, None];
    if config.split_external_local_origin_errors {
        let causes = (Cause::LocalOriginSuccessRate, Cause::LocalOriginFailurePercentage);
        let (more, average) = judge(config, &local, causes.0, causes.1);
        found.extend(more);
        averages[1] = average;
    }
    note(tallies, 1, &local, config, averages[1]);
    (found, averages)
}

/// Keeps the rates that were judged, for whoever asks.
fn note(
    tallies: &[(u64, &Tally)],
    which: usize,
    rates: &[Rate],
    config: &OutlierDetection,
    average: Average,
) {
    let volume = config.success_rate_request_volume.unwrap_or(100);
    for (id, tally) in tallies {
        let rate = rates.iter().find(|rate| rate.id == *id && rate.total >= volume);
        tally.rates[which].set(rate.filter(|_| average.is_some()).map(|rate| rate.success));
    }
}

fn rates(
    tallies: &[(u64, &Tally)],
    counts: impl Fn(&Tally) -> &(AtomicU32, AtomicU32),
    ejected: &impl Fn(u64) -> bool,
) -> Vec<Rate> {
    let take = |(id, tally): &(u64, &Tally)| {
        let (success, total) = counts(tally);
        let (success, total) = (success.swap(0, Ordering::Relaxed), total.swap(0, Ordering::Relaxed));
        let percent = if total == 0 { 100.0 } else { f64::from(success) * 100.0 / f64::from(total) };
        Rate { id: *id, total, success: percent.min(100.0) }
    };
    tallies.iter().map(take).filter(|rate| rate.total > 0 && !ejected(rate.id)).collect()
}

fn judge(
    config: &OutlierDetection,
    rates: &[Rate],
    low: Cause,
    failing: Cause,
) -> (Vec<(u64, Cause)>, Average) {
    let (mut found, mut average) = (Vec::new(), None);
    let volume = config.success_rate_request_volume.unwrap_or(100);
    let valid: Vec<&Rate> = rates.iter().filter(|rate| rate.total >= volume).collect();
    let enough = |count: usize, least: Option<u32>| count > 0 && count >= least.unwrap_or(5) as usize;
    if enough(valid.len(), config.success_rate_minimum_hosts) {
        let (mean, threshold) = threshold(&valid, config.success_rate_stdev_factor.unwrap_or(1900));
        average = Some((mean, threshold));
        found.extend(valid.iter().filter(|rate| rate.success < threshold).map(|rate| (rate.id, low)));
    }
    let volume = config.failure_percentage_request_volume.unwrap_or(50);
    let valid: Vec<&Rate> = rates.iter().filter(|rate| rate.total >= volume).collect();
    if enough(valid.len(), config.failure_percentage_minimum_hosts) {
        let most = f64::from(config.failure_percentage_threshold.unwrap_or(85));
        let bad = valid.iter().filter(|rate| 100.0 - rate.success >= most);
        found.extend(bad.map(|rate| (rate.id, failing)));
    }
    (found, average)
}

/// The mean, and so many thousandths of a standard deviation below it.
fn threshold(rates: &[&Rate], factor: u32) -> (f64, f64) {
    let count = rates.len() as f64;
    let mean = rates.iter().map(|rate| rate.success).sum::<f64>() / count;
    let variance = rates.iter().map(|rate| (rate.success - mean).powi(2)).sum::<f64>() / count;
    (mean, mean - f64::from(factor) / 1000.0 * variance.sqrt())
}
