//! What the control plane counts, under istiod's names.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use ir::ResourceType;
use registry::{Delta, Key, Snapshot};

use super::exposition::{Family, Histogram, Text};

const PUSH_TIME: &[f64] = &[0.01, 0.1, 0.5, 1.0, 3.0, 5.0, 10.0, 20.0, 30.0];
const CONVERGENCE: &[f64] = &[0.1, 0.5, 1.0, 3.0, 5.0, 10.0, 20.0, 30.0];
const SIZES: &[f64] = &[1.0, 10_000.0, 1e6, 4e6, 1e7, 4e7];

/// Counters of the process.
#[derive(Debug)]
pub struct Metrics {
    streams: AtomicI64,
    pushes: Family,
    sizes: Histogram,
    rejects: Family,
    /// `pilot_xds_{cds,eds,lds,rds}_reject`, in this order.
    rejects_by_type: [Family; 4],
    expired_nonces: Family,
    triggers: Family,
    send_time: Histogram,
    push_time: Histogram,
    convergence: Histogram,
    internal_errors: AtomicU64,
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics {
            streams: AtomicI64::default(),
            pushes: Family::default(),
            sizes: Histogram::new(SIZES),
            rejects: Family::default(),
            rejects_by_type: Default::default(),
            expired_nonces: Family::default(),
            triggers: Family::default(),
            send_time: Histogram::new(PUSH_TIME),
            push_time: Histogram::new(PUSH_TIME),
            convergence: Histogram::new(CONVERGENCE),
            internal_errors: AtomicU64::default(),
        }
    }
}

impl xds_server::Metrics for Metrics {
    fn streams(&self, change: i64) {
        self.streams.fetch_add(change, Ordering::Relaxed);
    }

    fn pushed(&self, ty: ResourceType, bytes: usize) {
        self.pushes.add(&[&name(ty)], 1.0);
        self.sizes.observe(bytes as f64);
    }

    fn rejected(&self, ty: ResourceType, node: &str, message: &str) {
        self.rejects.add(&[ty.type_url()], 1.0);
        let types =
            [ResourceType::Cluster, ResourceType::Endpoints, ResourceType::Listener, ResourceType::Route];
        if let Some(family) =
            types.iter().position(|known| *known == ty).and_then(|at| self.rejects_by_type.get(at))
        {
            let short: String = message.chars().take(200).collect();
            family.add(&[node, &short], 1.0);
        }
    }

    fn expired_nonce(&self, ty: ResourceType) {
        self.expired_nonces.add(&[&name(ty)], 1.0);
    }

    fn send_time(&self, took: Duration) {
        self.send_time.observe(took.as_secs_f64());
    }

    fn internal_error(&self) {
        self.internal_errors.fetch_add(1, Ordering::Relaxed);
    }
}

impl discovery::Stats for Metrics {
    fn pushed(&self, push: &discovery::Push) {
        self.push_time.observe(push.took.as_secs_f64());
        if push.proxies > 0 {
            self.convergence.observe(push.took.as_secs_f64());
        }
    }

    fn connected(&self, took: Duration) {
        self.triggers.add(&["proxy"], 1.0);
        self.push_time.observe(took.as_secs_f64());
    }

    fn internal_error(&self) {
        self.internal_errors.fetch_add(1, Ordering::Relaxed);
    }
}

impl Metrics {
    /// The registry changed, for these reasons.
    pub fn triggered(&self, delta: &Delta) {
        if delta.is_everything() {
            return self.triggers.add(&["global"], 1.0);
        }
        let mut reasons: Vec<&str> = delta.keys().map(reason).collect();
        reasons.sort_unstable();
        reasons.dedup();
        reasons.into_iter().for_each(|reason| self.triggers.add(&[reason], 1.0));
    }

    /// Everything in Prometheus' text format.
    pub fn write(&self, text: &mut Text, snapshot: &Snapshot, uptime: Duration) {
        let version = env!("CARGO_PKG_VERSION");
        let build = Family::default();
        build.add(&["lateen", version], 1.0);
        text.family("istio_build", "Version of the control plane.", "gauge", &["component", "tag"], &build);
        text.gauge("istiod_uptime_seconds", "Time since the start.", uptime.as_secs_f64());
        let streams = Family::default();
        streams.add(&[version], self.streams.load(Ordering::Relaxed) as f64);
        text.family(
            "pilot_xds",
            "Endpoints connected to this pilot using XDS.",
            "gauge",
            &["version"],
            &streams,
        );
        text.family("pilot_xds_pushes", "Responses sent.", "counter", &["type"], &self.pushes);
        text.family("pilot_push_triggers", "Reasons for pushes.", "counter", &["type"], &self.triggers);
        text.family(
            "pilot_total_xds_rejects",
            "Responses that proxies refused.",
            "counter",
            &["type"],
            &self.rejects,
        );
        for (short, family) in ["cds", "eds", "lds", "rds"].iter().zip(&self.rejects_by_type) {
            let metric = format!("pilot_xds_{short}_reject");
            text.family(&metric, "Responses that proxies refused.", "counter", &["node", "err"], family);
        }
        text.family(
            "pilot_xds_expired_nonce",
            "Answers to outdated responses.",
            "counter",
            &["type"],
            &self.expired_nonces,
        );
        let errors = self.internal_errors.load(Ordering::Relaxed) as f64;
        text.counter("pilot_total_xds_internal_errors", "Failures inside of the control plane.", errors);
        text.histogram("pilot_xds_config_size_bytes", "Sizes of responses.", &self.sizes);
        text.histogram(
            "pilot_xds_push_time",
            "Seconds from a change to what proxies are to have.",
            &self.push_time,
        );
        text.histogram("pilot_xds_send_time", "Seconds a response waited for its client.", &self.send_time);
        text.histogram(
            "pilot_proxy_convergence_time",
            "Seconds of pushes that concerned proxies.",
            &self.convergence,
        );
        let services = snapshot.objects_of("Service").count() + snapshot.objects_of("ServiceEntry").count();
        text.gauge("pilot_services", "Services known.", services as f64);
        let routes = snapshot.objects_of("VirtualService").count();
        text.gauge("pilot_virt_services", "VirtualServices known.", routes as f64);
    }
}

/// istiod's label value: `cds`.
fn name(ty: ResourceType) -> String {
    ty.short().to_ascii_lowercase()
}

/// istiod's reasons.
fn reason(key: &Key) -> &'static str {
    match key {
        Key::Endpoints(_) | Key::Workload(..) | Key::WorkloadAt(_) => "endpoint",
        Key::Services | Key::ServicesOnPort(_) | Key::ServicesIn(_) | Key::Service(_) => "service",
        Key::Mesh => "global",
        Key::Namespace(_) => "namespace",
        _ => "config",
    }
}
