//! What the agent counts, under Istio's names.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use identity::SecretStore;

/// Counts since the start of the process.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    pub scrapes: AtomicU64,
    pub scrape_failures: AtomicU64,
    pub certificate_requests: AtomicU64,
    pub certificate_failures: AtomicU64,
    pub dns_requests: AtomicU64,
    pub dns_upstream_requests: AtomicU64,
    pub dns_upstream_failures: AtomicU64,
    pub proxy_restarts: AtomicU64,
}

impl Metrics {
    pub(crate) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Prometheus' text format. `now`: Unix seconds.
    pub(crate) fn exposition(&self, secrets: &SecretStore, now: i64) -> String {
        let mut out = String::new();
        let mut counter = |name: &str, value: &AtomicU64| {
            let value = value.load(Ordering::Relaxed);
            let _ = writeln!(out, "# TYPE istio_agent_{name} counter\nistio_agent_{name} {value}");
        };
        counter("scrapes_total", &self.scrapes);
        counter("scrape_failures_total", &self.scrape_failures);
        counter("num_outgoing_requests", &self.certificate_requests);
        counter("num_failed_outgoing_requests", &self.certificate_failures);
        counter("dns_requests_total", &self.dns_requests);
        counter("dns_upstream_requests_total", &self.dns_upstream_requests);
        counter("dns_upstream_failures_total", &self.dns_upstream_failures);
        counter("proxy_restarts_total", &self.proxy_restarts);
        out.push_str("# TYPE istio_agent_cert_expiry_seconds gauge\n");
        for (name, certificate) in secrets.certificates() {
            let left = certificate.names.not_after - now;
            let _ = writeln!(out, "istio_agent_cert_expiry_seconds{{resource_name=\"{name}\"}} {left}");
        }
        out
    }
}
