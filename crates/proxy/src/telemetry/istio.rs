//! Istio's standard metrics.
//! See <https://istio.io/latest/docs/reference/config/metrics/>.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Write;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ir::bootstrap::BootstrapNode;
use ir::cluster::ServiceRef;
use ir::filter::Reporter;
use stdx::Str;

use super::export::{escape, lock};
use super::histogram::Histogram;
use super::peer::{self, Peer};
use super::{Counter, WorkerStats};
use crate::access_log::record::Flags;
use crate::http::context::Context;
use crate::tcp::TcpSession;

/// Series per worker; what comes on top is counted together.
const MAX_SERIES: usize = 1000;
/// Peers per worker that are told apart.
const MAX_PEERS: usize = 1000;

/// What our own side of every series says.
#[derive(Clone, Debug, Default)]
pub struct LocalLabels {
    pub peer: Peer,
    /// For `x-envoy-peer-metadata` and `-id`.
    pub metadata: String,
    pub id: Str,
    /// `node.cluster`.
    pub cluster: Str,
}

impl LocalLabels {
    pub fn new(node: &BootstrapNode) -> Self {
        let (id, cluster) = (node.id.clone(), node.cluster.clone());
        LocalLabels { peer: Peer::local(node), metadata: peer::encode(node), id, cluster }
    }
}

/// Numbers of one set of labels.
#[derive(Debug, Default)]
pub struct Series {
    pub(super) labels: String,
    pub(super) http: Option<Box<HttpSeries>>,
    pub opened: Counter,
    pub closed: Counter,
    pub sent: Counter,
    pub received: Counter,
}

#[derive(Debug, Default)]
pub(super) struct HttpSeries {
    pub(super) requests: Counter,
    pub(super) duration: Histogram,
    pub(super) request_bytes: Histogram,
    pub(super) response_bytes: Histogram,
}

/// All series of a worker, as the admin thread sees them.
pub type SharedSeries = Mutex<Vec<Arc<Series>>>;

/// What tells series apart.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    reporter: Reporter,
    remote: Option<Peer>,
    local_principal: Option<Str>,
    remote_principal: Option<Str>,
    service: Service,
    protocol: &'static str,
    status: u16,
    grpc_status: Option<u32>,
    flags: Flags,
    security: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Service {
    Known(Arc<ServiceRef>),
    /// `PassthroughCluster` and the like; with the host that the client asked for.
    Cluster(Str, Option<Str>),
}

/// A worker's own side.
pub struct IstioStats {
    shared: Arc<WorkerStats>,
    series: RefCell<HashMap<Key, Arc<Series>, foldhash::fast::RandomState>>,
    overflow: RefCell<Option<Arc<Series>>>,
    peers: RefCell<HashMap<Box<[u8]>, Rc<Peer>>>,
}

impl IstioStats {
    pub fn new(shared: Arc<WorkerStats>) -> Self {
        IstioStats {
            shared,
            series: RefCell::default(),
            overflow: RefCell::default(),
            peers: RefCell::default(),
        }
    }

    /// The peer that a header's value tells of. Read once per value.
    pub fn peer(&self, value: &[u8]) -> Option<Rc<Peer>> {
        if let Some(found) = self.peers.borrow().get(value) {
            return Some(found.clone());
        }
        let mut peers = self.peers.borrow_mut();
        if peers.len() >= MAX_PEERS {
            return None;
        }
        let peer = Rc::new(Peer::decode(value)?);
        peers.insert(value.into(), peer.clone());
        Some(peer)
    }

    fn series(&self, key: Key, local: &Peer) -> Arc<Series> {
        if let Some(found) = self.series.borrow().get(&key) {
            return found.clone();
        }
        let mut all = self.series.borrow_mut();
        if all.len() >= MAX_SERIES {
            let mut overflow = self.overflow.borrow_mut();
            return overflow.get_or_insert_with(|| self.register(overflow_labels(), true)).clone();
        }
        let series = self.register(labels(&key, local), key.protocol != "tcp");
        all.insert(key, series.clone());
        series
    }

    fn register(&self, labels: String, http: bool) -> Arc<Series> {
        let http = http.then(Box::default);
        let series = Arc::new(Series { labels, http, ..Series::default() });
        lock(&self.shared.istio).push(series.clone());
        series
    }
}

/// Counts a request that is over.
pub fn report_request(ctx: &Context, reporter: Reporter, elapsed: Duration) {
    let worker = &ctx.conn.worker;
    let (peer, own) = ctx.conn.info.principals();
    let server = reporter == Reporter::Destination;
    let key = Key {
        reporter,
        remote: match server {
            true => ctx.downstream_peer.as_deref().cloned(),
            false => ctx
                .upstream_peer
                .as_deref()
                .cloned()
                .or_else(|| ctx.endpoint_workload.as_deref().map(Peer::of_endpoint)),
        },
        local_principal: if server { own } else { ctx.local_principal.clone() },
        remote_principal: if server { peer } else { ctx.upstream_principal.clone() },
        service: match (&ctx.service, &ctx.record.cluster) {
            (Some(service), _) => Service::Known(service.clone()),
            (None, Some(cluster)) => {
                let authority = engine::Request::authority(&ctx.head);
                let host = (!server).then(|| String::from_utf8_lossy(authority).into_owned().into());
                Service::Cluster(cluster.clone(), host)
            }
            (None, None) => Service::Cluster("unknown".into(), None),
        },
        protocol: if ctx.is_grpc { "grpc" } else { "http" },
        status: ctx.record.status,
        grpc_status: ctx.record.grpc_status.filter(|_| ctx.is_grpc),
        flags: ctx.record.flags,
        security: security(server, ctx.conn.info.is_mutual()),
    };
    let series = worker.stats.istio.series(key, &worker.shared.local.peer);
    if let Some(http) = &series.http {
        http.requests.inc();
        http.duration.add_time(elapsed);
        http.request_bytes.add(ctx.record.bytes_received);
        http.response_bytes.add(ctx.record.bytes_sent);
    }
}

/// The series of a TCP connection, if the chain counts them.
pub fn tcp_series(session: &TcpSession) -> Option<Arc<Series>> {
    let reporter = session.tcp.istio_stats?;
    let (peer, own) = session.info.principals();
    let server = reporter == Reporter::Destination;
    let remote = if server { None } else { session.workload.as_deref().map(Peer::of_endpoint) };
    let key = Key {
        reporter,
        remote,
        local_principal: if server { own } else { session.local_principal.clone() },
        remote_principal: if server { peer } else { session.upstream_principal.clone() },
        service: match (&session.service, &session.record.cluster) {
            (Some(service), _) => Service::Known(service.clone()),
            (None, Some(cluster)) => Service::Cluster(cluster.clone(), None),
            (None, None) => Service::Cluster("unknown".into(), None),
        },
        protocol: "tcp",
        status: 0,
        grpc_status: None,
        flags: session.record.flags,
        security: security(server, session.info.is_mutual()),
    };
    Some(session.worker.stats.istio.series(key, &session.worker.shared.local.peer))
}

fn security(server: bool, mutual: bool) -> &'static str {
    match (server, mutual) {
        (true, true) => "mutual_tls",
        (true, false) => "none",
        (false, _) => "unknown",
    }
}

/// Labels in Istio's order.
fn labels(key: &Key, local: &Peer) -> String {
    let server = key.reporter == Reporter::Destination;
    let unknown = Peer::default();
    let remote = key.remote.as_ref().unwrap_or(&unknown);
    let (source, destination) = if server { (remote, local) } else { (local, remote) };
    let (source_principal, destination_principal) = match server {
        true => (&key.remote_principal, &key.local_principal),
        false => (&key.local_principal, &key.remote_principal),
    };
    let (host, name, namespace): (&str, &str, &str) = match &key.service {
        Service::Known(service) => (&service.host, &service.name, &service.namespace),
        Service::Cluster(cluster, host) => {
            (host.as_deref().unwrap_or(cluster), cluster, &destination.namespace)
        }
    };
    let (status, flags) = (key.status.to_string(), key.flags.to_string());
    let grpc = key.grpc_status.map(|s| s.to_string()).unwrap_or_default();
    let (source_principal, destination_principal) =
        (source_principal.as_deref().unwrap_or(""), destination_principal.as_deref().unwrap_or(""));
    let mut all: Vec<(&str, &str)> = vec![
        ("reporter", if server { "destination" } else { "source" }),
        ("source_workload", &source.workload),
        ("source_canonical_service", &source.canonical_name),
        ("source_canonical_revision", &source.canonical_revision),
        ("source_workload_namespace", namespace_of(source, source_principal)),
        ("source_principal", source_principal),
        ("source_app", &source.app),
        ("source_version", &source.version),
        ("source_cluster", &source.cluster),
        ("destination_workload", &destination.workload),
        ("destination_workload_namespace", namespace_of(destination, destination_principal)),
        ("destination_principal", destination_principal),
        ("destination_app", &destination.app),
        ("destination_version", &destination.version),
        ("destination_service", host),
        ("destination_canonical_service", &destination.canonical_name),
        ("destination_canonical_revision", &destination.canonical_revision),
        ("destination_service_name", name),
        ("destination_service_namespace", namespace),
        ("destination_cluster", &destination.cluster),
        ("request_protocol", key.protocol),
    ];
    if key.protocol != "tcp" {
        all.push(("response_code", &status));
        all.push(("grpc_response_status", &grpc));
    }
    all.push(("response_flags", &flags));
    all.push(("connection_security_policy", key.security));
    join(&all)
}

/// A peer that tells nothing of itself still has a verified namespace.
fn namespace_of<'a>(peer: &'a Peer, principal: &'a str) -> &'a str {
    if !peer.namespace.is_empty() {
        return &peer.namespace;
    }
    principal.split_once("/ns/").and_then(|(_, rest)| rest.split('/').next()).unwrap_or("")
}

fn join(all: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (name, value) in all {
        let value = if value.is_empty() && *name != "grpc_response_status" { "unknown" } else { value };
        let separator = if text.is_empty() { "" } else { "," };
        let _ = write!(text, "{separator}{name}=\"{}\"", escape(value));
    }
    text
}

fn overflow_labels() -> String {
    join(&[("reporter", "overflow")])
}
