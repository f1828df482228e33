//! Prometheus' text format. The names are Istio's to the letter, and some of its counters do not
//! end in `_total`, which the OpenMetrics libraries would add.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

/// Label values of one series, in the order of the family's label names.
type Values = Vec<String>;

/// A counter or gauge with labels.
#[derive(Debug, Default)]
pub struct Family {
    series: Mutex<BTreeMap<Values, f64>>,
}

impl Family {
    /// Series beyond this number are put together under `overflow`: labels come from outside.
    const MOST: usize = 1000;

    pub fn add(&self, values: &[&str], amount: f64) {
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key: Values = values.iter().map(|value| (*value).to_owned()).collect();
        if !series.contains_key(&key) && series.len() >= Self::MOST {
            key.iter_mut().for_each(|value| *value = "overflow".into());
        }
        *series.entry(key).or_default() += amount;
    }

    fn read(&self) -> Vec<(Values, f64)> {
        let series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        series.iter().map(|(values, number)| (values.clone(), *number)).collect()
    }
}

/// A histogram without labels.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [f64],
    state: Mutex<(Vec<u64>, f64)>,
}

impl Histogram {
    pub fn new(bounds: &'static [f64]) -> Self {
        Histogram { bounds, state: Mutex::new((vec![0; bounds.len() + 1], 0.0)) }
    }

    pub fn observe(&self, value: f64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = self.bounds.iter().position(|bound| value <= *bound).unwrap_or(self.bounds.len());
        if let Some(count) = state.0.get_mut(bucket) {
            *count += 1;
        }
        state.1 += value;
    }
}

/// Writes one exposition.
#[derive(Debug, Default)]
pub struct Text(String);

impl Text {
    pub fn counter(&mut self, name: &str, help: &str, value: f64) {
        self.head(name, help, "counter");
        self.line(name, &[], &[], value);
    }

    pub fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.head(name, help, "gauge");
        self.line(name, &[], &[], value);
    }

    /// `kind`: counter or gauge.
    pub fn family(&mut self, name: &str, help: &str, kind: &str, labels: &[&str], family: &Family) {
        self.head(name, help, kind);
        for (values, number) in family.read() {
            self.line(name, labels, &values, number);
        }
    }

    pub fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        let (counts, sum) = histogram.state.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.head(name, help, "histogram");
        let mut total = 0;
        let bounds = histogram.bounds.iter().map(ToString::to_string).chain(["+Inf".to_owned()]);
        for (bound, count) in bounds.zip(counts) {
            total += count;
            self.line(&format!("{name}_bucket"), &["le"], &[bound], total as f64);
        }
        self.line(&format!("{name}_sum"), &[], &[], sum);
        self.line(&format!("{name}_count"), &[], &[], total as f64);
    }

    pub fn finish(self) -> String {
        self.0
    }

    fn head(&mut self, name: &str, help: &str, kind: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn line(&mut self, name: &str, labels: &[&str], values: &[String], number: f64) {
        self.0.push_str(name);
        if !labels.is_empty() {
            let pairs =
                labels.iter().zip(values).map(|(label, value)| format!("{label}=\"{}\"", escape(value)));
            let _ = write!(self.0, "{{{}}}", pairs.collect::<Vec<_>>().join(","));
        }
        let _ = writeln!(self.0, " {number}");
    }
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_prometheus() {
        let family = Family::default();
        family.add(&["cds", "a \"b\"\n"], 1.0);
        family.add(&["cds", "a \"b\"\n"], 2.0);
        let histogram = Histogram::new(&[0.1, 1.0]);
        [0.05, 0.5, 0.5, 7.0].into_iter().for_each(|value| histogram.observe(value));
        let mut text = Text::default();
        text.gauge("up", "Up.", 1.0);
        text.family("rejects", "Rejects.", "counter", &["type", "err"], &family);
        text.histogram("time", "Time.", &histogram);
        let expected = "# HELP up Up.\n# TYPE up gauge\nup 1\n\
            # HELP rejects Rejects.\n# TYPE rejects counter\nrejects{type=\"cds\",err=\"a \\\"b\\\"\\n\"} 3\n\
            # HELP time Time.\n# TYPE time histogram\n\
            time_bucket{le=\"0.1\"} 1\ntime_bucket{le=\"1\"} 3\ntime_bucket{le=\"+Inf\"} 4\ntime_sum 8.05\ntime_count 4\n";
        assert_eq!(text.finish(), expected);
    }

    #[test]
    fn series_are_bounded() {
        let family = Family::default();
        (0..5000).for_each(|number| family.add(&[&number.to_string()], 1.0));
        assert_eq!(family.read().len(), Family::MOST + 1);
    }
}
