//! Adding up what workers counted, and writing it as Envoy's text, JSON or Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};

use stdx::Str;

use super::histogram::{self, Counts};
use super::{Group, Kind, Scopes, WorkerStats};

/// Whose number it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    Cluster(Str),
    Http(Str),
    Listener(Str),
    Tcp(Str),
    ConnectionLimit(Str),
    /// `<stat prefix>.http_local_rate_limit`.
    RateLimit(Str),
    /// Of a filter: `http.<prefix>.ext_authz`; of a route: `vhost.<name>.route.<prefix>`.
    Filter(Str),
    Server,
    ClusterManager,
    ListenerManager,
}

/// A number summed over all workers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    pub scope: Scope,
    pub name: &'static str,
    pub kind: Kind,
    pub value: u64,
}

/// A histogram of all workers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistogramSample {
    pub scope: Scope,
    pub name: &'static str,
    pub counts: Counts,
}

/// Every histogram, those without values included, in a fixed order.
pub fn collect_histograms(workers: &[Arc<WorkerStats>]) -> Vec<HistogramSample> {
    let mut sums = BTreeMap::new();
    for worker in workers {
        add_histograms(&mut sums, &worker.clusters, Scope::Cluster);
        add_histograms(&mut sums, &worker.routes, Scope::Filter);
        add_histograms(&mut sums, &worker.http, Scope::Http);
    }
    sums.into_iter().map(|((scope, name), counts)| HistogramSample { scope, name, counts }).collect()
}

fn add_histograms<G: Group>(
    sums: &mut BTreeMap<(Scope, &'static str), Counts>,
    scopes: &Scopes<G>,
    scope: impl Fn(Str) -> Scope,
) {
    for (name, group) in &*lock(scopes) {
        group.each_histogram(&mut |label, histogram| {
            histogram.add_to(sums.entry((scope(name.clone()), label)).or_default());
        });
    }
}

/// Everything that was counted, in a fixed order.
pub fn collect(workers: &[Arc<WorkerStats>]) -> Vec<Sample> {
    let mut sums = BTreeMap::new();
    for worker in workers {
        add(&mut sums, &worker.clusters, Scope::Cluster);
        add(&mut sums, &worker.routes, Scope::Filter);
        add(&mut sums, &worker.http, Scope::Http);
        add(&mut sums, &worker.listeners, Scope::Listener);
        add(&mut sums, &worker.tcp, Scope::Tcp);
        add(&mut sums, &worker.connection_limits, Scope::ConnectionLimit);
        add(&mut sums, &worker.rate_limits, Scope::RateLimit);
        add(&mut sums, &worker.authz, Scope::Filter);
        add(&mut sums, &worker.jwt, Scope::Filter);
        add(&mut sums, &worker.compressors, Scope::Filter);
        add(&mut sums, &worker.compressions, Scope::Filter);
        add(&mut sums, &worker.handshakes, Scope::Listener);
    }
    let sample = |((scope, name), (kind, value))| Sample { scope, name, kind, value };
    sums.into_iter().map(sample).collect()
}

fn add<G: Group>(
    sums: &mut BTreeMap<(Scope, &'static str), (Kind, u64)>,
    scopes: &Scopes<G>,
    scope: impl Fn(Str) -> Scope,
) {
    for (name, group) in &*lock(scopes) {
        group.each(&mut |counter, kind, value| {
            let sum = sums.entry((scope(name.clone()), counter)).or_insert((kind, 0));
            sum.1 = sum.1.wrapping_add(value);
        });
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sample {
    /// `cluster.outbound|80||a.upstream_rq_total`
    pub fn full_name(&self) -> String {
        full_name(&self.scope, self.name)
    }

    /// Name and labels as Envoy's Prometheus output has them.
    fn prometheus(&self) -> (String, String) {
        if let Scope::Filter(scope) = &self.scope {
            return match scope.strip_prefix("vhost.") {
                Some(rest) => of_route(rest, self.name),
                None => of_filter(scope, self.name),
            };
        }
        let (scope, label) = match &self.scope {
            Scope::Cluster(name) => ("cluster", format!("envoy_cluster_name=\"{}\"", escape(name))),
            Scope::Http(name) => ("http", format!("envoy_http_conn_manager_prefix=\"{}\"", escape(name))),
            Scope::Listener(name) => ("listener", format!("envoy_listener_address=\"{}\"", escape(name))),
            Scope::Tcp(name) => ("tcp", format!("envoy_tcp_prefix=\"{}\"", escape(name))),
            Scope::ConnectionLimit(name) => {
                ("connection_limit", format!("envoy_connection_limit_prefix=\"{}\"", escape(name)))
            }
            Scope::RateLimit(name) => {
                ("http_local_rate_limit", format!("envoy_local_http_ratelimit_prefix=\"{}\"", escape(name)))
            }
            Scope::Filter(_) => ("filter", String::new()),
            Scope::Server => ("server", String::new()),
            Scope::ClusterManager => ("cluster_manager", String::new()),
            Scope::ListenerManager => ("listener_manager", String::new()),
        };
        if let Some((family, agreed, value)) = agreed(&self.scope, self.name) {
            return (format!("envoy_{scope}_ssl_{family}"), format!("{agreed}=\"{value}\",{label}"));
        }
        of_class(&format!("envoy_{scope}"), &self.name.replace(['.', '-'], "_"), label)
    }
}

/// `upstream_rq_2xx` is one family with the class as a label.
fn of_class(scope: &str, name: &str, label: String) -> (String, String) {
    match name.strip_suffix("xx").and_then(|n| n.split_at_checked(n.len().saturating_sub(1))) {
        Some((stem, class)) if class.chars().all(|c| c.is_ascii_digit()) && !class.is_empty() => {
            (format!("{scope}_{stem}xx"), format!("envoy_response_code_class=\"{class}\",{label}"))
        }
        _ => (format!("{scope}_{name}"), label),
    }
}

/// `<virtual host>.route.<prefix>`: Envoy takes what is before the first dot for the host's name.
fn of_route(scope: &str, name: &str) -> (String, String) {
    let (host, rest) = scope.split_once('.').unwrap_or((scope, ""));
    let rest = rest.replace(|c: char| !c.is_ascii_alphanumeric() && c != '_', "_");
    of_class(&format!("envoy_vhost_{rest}"), name, format!("envoy_virtual_host=\"{}\"", escape(host)))
}

/// What peers have agreed on is a label: the family, the label's name, its value.
fn agreed<'a>(scope: &Scope, name: &'a str) -> Option<(&'static str, &'static str, &'a str)> {
    let cipher = if matches!(scope, Scope::Cluster(_)) { "cipher_suite" } else { "envoy_ssl_cipher" };
    let families = [
        ("ssl.ciphers.", "ciphers", cipher),
        ("ssl.versions.", "versions", "envoy_ssl_version"),
        ("ssl.curves.", "curves", "envoy_ssl_curve"),
    ];
    let of = |(prefix, family, label)| Some((family, label, name.strip_prefix(prefix)?));
    families.into_iter().find_map(of)
}

/// `cluster.outbound|80||a.upstream_rq_total`
fn full_name(scope: &Scope, name: &str) -> String {
    match scope {
        Scope::Cluster(cluster) => format!("cluster.{cluster}.{name}"),
        Scope::Http(prefix) => format!("http.{prefix}.{name}"),
        Scope::Listener(address) => format!("listener.{address}.{name}"),
        Scope::Tcp(prefix) => format!("tcp.{prefix}.{name}"),
        Scope::ConnectionLimit(prefix) => format!("connection_limit.{prefix}.{name}"),
        Scope::RateLimit(prefix) => format!("{prefix}.http_local_rate_limit.{name}"),
        Scope::Filter(scope) => format!("{scope}.{name}"),
        Scope::Server => format!("server.{name}"),
        Scope::ClusterManager => format!("cluster_manager.{name}"),
        Scope::ListenerManager => format!("listener_manager.{name}"),
    }
}

impl HistogramSample {
    /// `cluster.outbound|80||a.upstream_rq_time`
    pub fn full_name(&self) -> String {
        full_name(&self.scope, self.name)
    }
}

/// Appends histograms in Prometheus' text format.
pub fn prometheus_histograms(samples: &[HistogramSample], out: &mut String) {
    let mut families: BTreeMap<String, Vec<(String, &Counts)>> = BTreeMap::new();
    for sample in samples {
        let HistogramSample { scope, name, counts } = sample;
        // The name and the labels of a number of this scope.
        let number = Sample { scope: scope.clone(), name, kind: Kind::Counter, value: 0 };
        let (name, labels) = number.prometheus();
        families.entry(name).or_default().push((labels, counts));
    }
    for (name, series) in families {
        let _ = writeln!(out, "# TYPE {name} histogram");
        for (labels, counts) in series {
            histogram::prometheus(&name, &labels, counts, out);
        }
    }
}

/// `http.<prefix>.<rest>` and `cluster.<name>.<rest>`: the name in the middle is a label.
fn of_filter(scope: &str, name: &str) -> (String, String) {
    let flat = |text: &str| text.replace(['.', '-'], "_");
    let (kind, label) = match scope.split_once('.') {
        Some(("http", rest)) => (("http", rest), "envoy_http_conn_manager_prefix"),
        Some(("cluster", rest)) => (("cluster", rest), "envoy_cluster_name"),
        _ => return (format!("envoy_{}_{name}", flat(scope)), String::new()),
    };
    let (kind, rest) = kind;
    let filters = [".ext_authz", ".jwt_authn", ".compressor"];
    let at = filters.iter().find_map(|filter| rest.find(filter)).unwrap_or(rest.len());
    let (owner, filter) = rest.split_at(at);
    (format!("envoy_{kind}{}_{}", flat(filter), flat(name)), format!("{label}=\"{}\"", escape(owner)))
}

/// Appends all samples in Prometheus' text format.
pub fn prometheus(samples: &[Sample], out: &mut String) {
    let mut families: BTreeMap<String, (Kind, Vec<(String, u64)>)> = BTreeMap::new();
    for sample in samples {
        let (name, labels) = sample.prometheus();
        families.entry(name).or_insert((sample.kind, Vec::new())).1.push((labels, sample.value));
    }
    for (name, (kind, series)) in families {
        let kind = if kind == Kind::Gauge { "gauge" } else { "counter" };
        let _ = writeln!(out, "# TYPE {name} {kind}");
        for (labels, value) in series {
            let _ = writeln!(out, "{name}{{{labels}}} {value}");
        }
    }
}

/// A label's value in Prometheus' text format.
pub fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Stats;

    #[test]
    fn workers_are_added_up() {
        let workers: Vec<Arc<WorkerStats>> = (0..2).map(|_| Arc::default()).collect();
        for worker in &workers {
            let stats = Stats::new(worker.clone());
            let cluster = stats.cluster(&"a".into());
            cluster.rq_total.add(2);
            cluster.response(204);
            cluster.rq_active.inc();
            cluster.rq_active.dec();
            stats.cluster(&"a".into()).rq_total.inc();
        }
        let samples = collect(&workers);
        let value = |name: &str| samples.iter().find(|s| s.full_name() == name).map(|s| s.value);
        assert_eq!(value("cluster.a.upstream_rq_total"), Some(6));
        assert_eq!(value("cluster.a.upstream_rq_2xx"), Some(2));
        assert_eq!(value("cluster.a.upstream_rq_active"), Some(0));
        let mut text = String::new();
        prometheus(&samples, &mut text);
        assert!(text.contains("envoy_cluster_upstream_rq_total{envoy_cluster_name=\"a\"} 6"), "{text}");
        let class =
            "envoy_cluster_upstream_rq_xx{envoy_response_code_class=\"2\",envoy_cluster_name=\"a\"} 2";
        assert!(text.contains(class), "{text}");
    }
}
