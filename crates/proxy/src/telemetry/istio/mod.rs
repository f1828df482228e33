//! Istio's standard metrics.
//! See <https://istio.io/latest/docs/reference/config/metrics/>.

mod key;
mod labels;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ir::bootstrap::BootstrapNode;
use ir::filter::Reporter;
use stdx::Str;

use key::{Key, KeyRef, PeerRef, ServiceOf};
use labels::{join, labels};

use super::export::lock;
use super::histogram::Histogram;
use super::peer::{self, Peer};
use super::{Counter, WorkerStats};
use crate::connection::ConnInfo;
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

/// A worker's own side.
pub struct IstioStats {
    shared: Arc<WorkerStats>,
    series: RefCell<hashbrown::HashMap<Key, Arc<Series>, foldhash::fast::RandomState>>,
    overflow: RefCell<Option<Arc<Series>>>,
    /// Headers of some hundred bytes, and each request has one.
    peers: RefCell<HashMap<Box<[u8]>, Rc<Peer>, foldhash::quality::RandomState>>,
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

    /// Shows the series to `count`.
    fn with_series<T>(&self, key: KeyRef<'_>, local: &Peer, count: impl FnOnce(&Arc<Series>) -> T) -> T {
        if let Some(found) = self.series.borrow().get(&key) {
            return count(found);
        }
        let mut all = self.series.borrow_mut();
        if all.len() >= MAX_SERIES {
            let mut overflow = self.overflow.borrow_mut();
            return count(overflow.get_or_insert_with(|| self.register(overflow_labels(), true)));
        }
        let series = self.register(labels(&key, local), key.protocol != "tcp");
        count(all.entry(key.to_key()).or_insert(series))
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
    let server = reporter == Reporter::Destination;
    let upstream = (ctx.upstream_principal.as_deref(), ctx.local_principal.as_deref());
    let (remote_principal, local_principal) = principals(server, &ctx.conn.info, upstream);
    let endpoint = || ctx.endpoint_workload.as_deref().map(PeerRef::from);
    let remote = match server {
        true => ctx.downstream_peer.as_deref().map(PeerRef::from),
        false => ctx.upstream_peer.as_deref().map(PeerRef::from).or_else(endpoint),
    };
    let key = KeyRef {
        reporter,
        remote: remote.unwrap_or_default(),
        local_principal,
        remote_principal,
        service: match (&ctx.service, &ctx.record.cluster) {
            (Some(service), _) => (&**service).into(),
            (None, Some(cluster)) => {
                let authority = engine::Request::authority(&ctx.head);
                ServiceOf::Cluster { name: cluster, host: (!server).then_some(authority) }
            }
            (None, None) => NO_CLUSTER,
        },
        protocol: if ctx.is_grpc { "grpc" } else { "http" },
        status: ctx.record.status,
        grpc_status: ctx.record.grpc_status.filter(|_| ctx.is_grpc),
        flags: ctx.record.flags,
        security: security(server, ctx.conn.info.is_mutual()),
    };
    worker.stats.istio.with_series(key, &worker.shared.local.peer, |series| {
        if let Some(http) = &series.http {
            http.requests.inc();
            http.duration.add_time(elapsed);
            http.request_bytes.add(ctx.record.bytes_received);
            http.response_bytes.add(ctx.record.bytes_sent);
        }
    });
}

const NO_CLUSTER: ServiceOf<'static> = ServiceOf::Cluster { name: "unknown", host: None };

/// The series of a TCP connection, if the chain counts them.
pub fn tcp_series(session: &TcpSession) -> Option<Arc<Series>> {
    let reporter = session.tcp.istio_stats?;
    let server = reporter == Reporter::Destination;
    let upstream = (session.upstream_principal.as_deref(), session.local_principal.as_deref());
    let (remote_principal, local_principal) = principals(server, &session.info, upstream);
    let remote = session.workload.as_deref().filter(|_| !server).map(PeerRef::from);
    let key = KeyRef {
        reporter,
        remote: remote.unwrap_or_default(),
        local_principal,
        remote_principal,
        service: match (&session.service, &session.record.cluster) {
            (Some(service), _) => (&**service).into(),
            (None, Some(cluster)) => ServiceOf::Cluster { name: cluster, host: None },
            (None, None) => NO_CLUSTER,
        },
        protocol: "tcp",
        status: 0,
        grpc_status: None,
        flags: session.record.flags,
        security: security(server, session.info.is_mutual()),
    };
    Some(session.worker.stats.istio.with_series(key, &session.worker.shared.local.peer, Arc::clone))
}

/// The other side's and our own: towards a client those of its connection.
fn principals<'a>(
    server: bool,
    info: &'a ConnInfo,
    upstream: (Option<&'a str>, Option<&'a str>),
) -> (&'a str, &'a str) {
    let (remote, local) = if server { info.principals() } else { upstream };
    (remote.unwrap_or_default(), local.unwrap_or_default())
}

fn security(server: bool, mutual: bool) -> &'static str {
    match (server, mutual) {
        (true, true) => "mutual_tls",
        (true, false) => "none",
        (false, _) => "unknown",
    }
}

fn overflow_labels() -> String {
    join(&[("reporter", "overflow")])
}
