//! Statistics: every worker counts for itself, who scrapes adds up.

pub mod counters;
pub mod export;
pub mod histogram;
pub mod istio;
pub mod istio_export;
pub mod peer;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use identity::HandshakeStats;
use stdx::Str;

pub use counters::{
    AuthzStats, ClusterStats, CompressionStats, CompressorStats, ConnectionLimitStats, Counter, Group,
    HttpStats, JwtStats, Kind, ListenerStats, RateLimitStats, RouteStats, TcpStats,
};
pub use export::{HistogramSample, Sample, Scope, collect, collect_histograms};
pub use istio::{IstioStats, LocalLabels};

/// The scopes of one kind that one worker has used, by name. The lock is the worker's own: it is
/// taken when a scope is used first, and by who scrapes.
type Scopes<G> = Mutex<HashMap<Str, Arc<G>>>;

/// What one worker counts, as the admin thread sees it.
#[derive(Default)]
pub struct WorkerStats {
    pub(crate) clusters: Scopes<ClusterStats>,
    pub(crate) routes: Scopes<RouteStats>,
    pub(crate) http: Scopes<HttpStats>,
    pub(crate) listeners: Scopes<ListenerStats>,
    pub(crate) tcp: Scopes<TcpStats>,
    pub(crate) connection_limits: Scopes<ConnectionLimitStats>,
    pub(crate) rate_limits: Scopes<RateLimitStats>,
    pub(crate) authz: Scopes<AuthzStats>,
    pub(crate) jwt: Scopes<JwtStats>,
    pub(crate) compressors: Scopes<CompressorStats>,
    pub(crate) compressions: Scopes<CompressionStats>,
    pub(crate) handshakes: Scopes<HandshakeStats>,
    pub(crate) istio: istio::SharedSeries,
}

/// A worker's own side: scopes by name without a lock.
pub struct Stats {
    shared: Arc<WorkerStats>,
    clusters: Local<ClusterStats>,
    routes: Local<RouteStats>,
    http: Local<HttpStats>,
    listeners: Local<ListenerStats>,
    tcp: Local<TcpStats>,
    connection_limits: Local<ConnectionLimitStats>,
    rate_limits: Local<RateLimitStats>,
    authz: Local<AuthzStats>,
    jwt: Local<JwtStats>,
    compressors: Local<CompressorStats>,
    compressions: Local<CompressionStats>,
    handshakes: Local<HandshakeStats>,
    pub istio: IstioStats,
}

type Local<G> = RefCell<HashMap<Str, Own<G>, foldhash::fast::RandomState>>;

/// A group as its worker has it. Of a plain `Arc` all workers would count the holders together, with every
/// request.
pub type Own<G> = Rc<Arc<G>>;

impl Stats {
    pub fn new(shared: Arc<WorkerStats>) -> Rc<Self> {
        Rc::new(Stats {
            istio: IstioStats::new(shared.clone()),
            shared,
            clusters: Local::default(),
            routes: Local::default(),
            http: Local::default(),
            listeners: Local::default(),
            tcp: Local::default(),
            connection_limits: Local::default(),
            rate_limits: Local::default(),
            authz: Local::default(),
            jwt: Local::default(),
            compressors: Local::default(),
            compressions: Local::default(),
            handshakes: Local::default(),
        })
    }

    pub fn cluster(&self, name: &Str) -> Own<ClusterStats> {
        own(&self.clusters, &self.shared.clusters, name)
    }

    /// By the whole scope: `vhost.a.example.route.b`.
    pub fn route(&self, scope: &Str) -> Arc<RouteStats> {
        self::scope(&self.routes, &self.shared.routes, scope)
    }

    pub fn http(&self, prefix: &Str) -> Arc<HttpStats> {
        scope(&self.http, &self.shared.http, prefix)
    }

    pub fn listener(&self, address: &Str) -> Arc<ListenerStats> {
        scope(&self.listeners, &self.shared.listeners, address)
    }

    pub fn tcp(&self, prefix: &Str) -> Arc<TcpStats> {
        scope(&self.tcp, &self.shared.tcp, prefix)
    }

    pub fn connection_limit(&self, prefix: &Str) -> Arc<ConnectionLimitStats> {
        scope(&self.connection_limits, &self.shared.connection_limits, prefix)
    }

    pub fn rate_limit(&self, prefix: &Str) -> Arc<RateLimitStats> {
        scope(&self.rate_limits, &self.shared.rate_limits, prefix)
    }

    /// By the whole scope: `http.ingress.ext_authz`.
    pub fn authz(&self, scope: &Str) -> Arc<AuthzStats> {
        self::scope(&self.authz, &self.shared.authz, scope)
    }

    /// By the whole scope: `http.ingress.compressor.gzip.gzip`.
    pub fn compressor(&self, scope: &Str) -> Arc<CompressorStats> {
        self::scope(&self.compressors, &self.shared.compressors, scope)
    }

    /// By the whole scope: `http.ingress.compressor.gzip.gzip.response`.
    pub fn compression(&self, scope: &Str) -> Arc<CompressionStats> {
        self::scope(&self.compressions, &self.shared.compressions, scope)
    }

    /// Of TLS with clients.
    pub fn handshakes(&self, listener: &Str) -> Arc<HandshakeStats> {
        scope(&self.handshakes, &self.shared.handshakes, listener)
    }

    /// By the whole scope: `http.ingress.jwt_authn`.
    pub fn jwt(&self, scope: &Str) -> Arc<JwtStats> {
        self::scope(&self.jwt, &self.shared.jwt, scope)
    }
}

fn scope<G: Group>(local: &Local<G>, shared: &Scopes<G>, name: &Str) -> Arc<G> {
    own(local, shared, name).as_ref().clone()
}

fn own<G: Group>(local: &Local<G>, shared: &Scopes<G>, name: &Str) -> Own<G> {
    if let Some(found) = local.borrow().get(name) {
        return found.clone();
    }
    let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
    let group = Rc::new(shared.entry(name.clone()).or_default().clone());
    local.borrow_mut().insert(name.clone(), group.clone());
    group
}
