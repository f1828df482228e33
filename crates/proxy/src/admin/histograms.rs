//! Histograms in `/stats`.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::telemetry::histogram::{BOUNDS, BUCKETS, Counts, QUANTILES, bound};
use crate::telemetry::{HistogramSample, Scope};

/// Envoy's `stats_flush_interval`: what it calls an interval.
const INTERVAL: Duration = Duration::from_secs(5);

/// How `histogram_buckets` wants them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Summary,
    Cumulative,
    Disjoint,
    Detailed,
}

impl Mode {
    /// Reads the parameter; none, or `none`, is a summary.
    pub fn parse(text: Option<&str>) -> Option<Self> {
        Some(match text {
            None | Some("" | "none" | "summary") => Mode::Summary,
            Some("cumulative") => Mode::Cumulative,
            Some("disjoint") => Mode::Disjoint,
            Some("detailed") => Mode::Detailed,
            Some(_) => return None,
        })
    }
}

/// A histogram: since the last interval began, and in all.
pub struct Shown {
    pub name: String,
    interval: Counts,
    total: Counts,
}

/// What there was when an interval began.
#[derive(Default)]
pub struct Intervals(Mutex<Option<(Instant, HashMap<(Scope, &'static str), Counts>)>>);

impl Intervals {
    /// Adds what is new. Nothing runs for it between two readers: an interval begins with the first of them
    /// after the last one is over, and is as long as it takes them to come back.
    pub fn show(&self, samples: Vec<HistogramSample>) -> Vec<Shown> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, before) = held.get_or_insert_with(|| (Instant::now(), HashMap::new()));
        let none = Counts::default();
        let shown = samples.iter().map(|sample| {
            let before = before.get(&(sample.scope.clone(), sample.name)).unwrap_or(&none);
            let interval = sample.counts.since(before);
            Shown { name: sample.full_name(), interval, total: sample.counts.clone() }
        });
        let shown: Vec<Shown> = shown.collect();
        if held.as_ref().is_some_and(|(begin, _)| begin.elapsed() >= INTERVAL) {
            let now = samples.into_iter().map(|it| ((it.scope, it.name), it.counts)).collect();
            *held = Some((Instant::now(), now));
        }
        shown
    }
}

/// A histogram as a line, or several.
pub fn text(shown: &Shown, mode: Mode, out: &mut String) {
    let Shown { name, interval, total } = shown;
    let _ = match (total.count(), mode) {
        (0, _) => writeln!(out, "{name}: No recorded values"),
        (_, Mode::Summary) => writeln!(out, "{name}: {}", summary(interval, total)),
        (_, Mode::Cumulative) => {
            writeln!(out, "{name}: {}", buckets(&interval.cumulative(), &total.cumulative()))
        }
        (_, Mode::Disjoint) => writeln!(out, "{name}: {}", buckets(&interval.buckets, &total.buckets)),
        (_, Mode::Detailed) => writeln!(
            out,
            "{name}:\n  totals={}\n  intervals={}\n  summary={}",
            detailed(total),
            detailed(interval),
            summary(interval, total)
        ),
    };
}

fn summary(interval: &Counts, total: &Counts) -> String {
    let value = |of: &Counts, percent| of.quantile(percent).map_or("nan".to_owned(), |it| it.to_string());
    let one = |percent: &f64| format!("P{percent}({},{})", value(interval, *percent), value(total, *percent));
    QUANTILES.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn buckets(interval: &[u64; BUCKETS], total: &[u64; BUCKETS]) -> String {
    let all = std::iter::zip(BOUNDS, std::iter::zip(interval, total));
    let all = all.map(|(upper, (interval, total))| format!("B{}({interval},{total})", bound(upper)));
    all.collect::<Vec<_>>().join(" ")
}

/// `from,width:count` of every bucket that has values.
fn detailed(counts: &Counts) -> String {
    let lower = std::iter::once(0.0).chain(BOUNDS);
    let upper = BOUNDS.iter().copied().chain([f64::INFINITY]);
    let all = std::iter::zip(std::iter::zip(lower, upper), counts.buckets).filter(|(_, count)| *count > 0);
    all.map(|((lower, upper), count)| format!("{lower},{}:{count}", upper - lower))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Histograms as JSON.
pub fn to_json(all: &[Shown], mode: Mode) -> Value {
    match mode {
        Mode::Summary => json!({
            "supported_quantiles": QUANTILES.map(number),
            "computed_quantiles": all.iter().map(quantiles).collect::<Vec<_>>(),
        }),
        Mode::Cumulative => bucket_lists(all, |counts| counts.cumulative()),
        Mode::Disjoint | Mode::Detailed => bucket_lists(all, |counts| counts.buckets),
    }
}

fn quantiles(shown: &Shown) -> Value {
    let value = |of: &Counts, percent| of.quantile(percent).map_or(Value::Null, number);
    let one = |percent: f64| json!({"interval": value(&shown.interval, percent), "cumulative": value(&shown.total, percent)});
    json!({"name": shown.name, "values": QUANTILES.map(one)})
}

fn bucket_lists(all: &[Shown], of: fn(&Counts) -> [u64; BUCKETS]) -> Value {
    let one = |shown: &Shown| {
        let counts = std::iter::zip(of(&shown.interval), of(&shown.total));
        let buckets = std::iter::zip(BOUNDS, counts).map(|(upper, (interval, total))| {
            json!({"upper_bound": number(upper), "interval": interval, "cumulative": total})
        });
        json!({"name": shown.name, "buckets": buckets.collect::<Vec<_>>()})
    };
    Value::Array(all.iter().map(one).collect())
}

/// Whole numbers without a fraction, as Envoy writes them.
fn number(value: f64) -> Value {
    if value.fract() == 0.0 { json!(value as u64) } else { json!(value) }
}
