//! Istio's metrics as Prometheus reads them, added up over workers.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use super::WorkerStats;
use super::export::lock;
use super::histogram::{self, Counts, Histogram};
use super::istio::{HttpSeries, Series};

/// Appends all series in Prometheus' text format.
pub fn prometheus(workers: &[Arc<WorkerStats>], out: &mut String) {
    let mut all: HashMap<String, Vec<Arc<Series>>> = HashMap::new();
    for worker in workers {
        for series in lock(&worker.istio).iter() {
            all.entry(series.labels.clone()).or_default().push(series.clone());
        }
    }
    let mut all: Vec<(String, Vec<Arc<Series>>)> = all.into_iter().collect();
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    let http =
        |wanted: bool| move |(_, series): &&(String, Vec<Arc<Series>>)| series[0].http.is_some() == wanted;
    counter(out, "istio_requests_total", all.iter().filter(http(true)), |s| {
        s.http.as_ref().map_or(0, |http| http.requests.get())
    });
    let histograms: [(&str, fn(&HttpSeries) -> &Histogram); 3] = [
        ("istio_request_duration_milliseconds", |http| &http.duration),
        ("istio_request_bytes", |http| &http.request_bytes),
        ("istio_response_bytes", |http| &http.response_bytes),
    ];
    for (name, of) in histograms {
        histogram(out, name, all.iter().filter(http(true)), of);
    }
    let tcp: [(&str, fn(&Series) -> u64); 4] = [
        ("istio_tcp_connections_opened_total", |s| s.opened.get()),
        ("istio_tcp_connections_closed_total", |s| s.closed.get()),
        ("istio_tcp_sent_bytes_total", |s| s.sent.get()),
        ("istio_tcp_received_bytes_total", |s| s.received.get()),
    ];
    for (name, of) in tcp {
        counter(out, name, all.iter().filter(http(false)), of);
    }
}

fn counter<'a>(
    out: &mut String,
    name: &str,
    all: impl Iterator<Item = &'a (String, Vec<Arc<Series>>)>,
    value: impl Fn(&Series) -> u64,
) {
    let mut first = true;
    for (labels, series) in all {
        if std::mem::take(&mut first) {
            let _ = writeln!(out, "# TYPE {name} counter");
        }
        let sum: u64 = series.iter().map(|s| value(s)).sum();
        let _ = writeln!(out, "{name}{{{labels}}} {sum}");
    }
}

fn histogram<'a>(
    out: &mut String,
    name: &str,
    all: impl Iterator<Item = &'a (String, Vec<Arc<Series>>)>,
    of: fn(&HttpSeries) -> &Histogram,
) {
    let mut first = true;
    for (labels, series) in all {
        if std::mem::take(&mut first) {
            let _ = writeln!(out, "# TYPE {name} histogram");
        }
        let histograms: Vec<&Histogram> = series.iter().filter_map(|s| s.http.as_deref().map(of)).collect();
        let mut sum = Counts::default();
        histograms.iter().for_each(|histogram| histogram.add_to(&mut sum));
        histogram::prometheus(name, labels, &sum, out);
    }
}
