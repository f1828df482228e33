//! What all workers share about clusters and endpoints. Outlives every snapshot.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use identity::{HandshakeStats, TlsError, TlsInfo};
use ir::cluster::Thresholds;
use ir::route::RoutingPriority;
use ir::{Address, OutlierDetection};
use stdx::Str;

use crate::EndpointState;
use crate::health::Health;
use crate::probe::CheckStats;
use crate::recent::Recent;

/// All states, by cluster name and address. Asked when a snapshot is made, never per request.
#[derive(Default)]
pub struct Registry {
    clusters: Mutex<HashMap<Str, Arc<ClusterState>>>,
}

impl Registry {
    /// The state of a cluster, made on first use.
    pub fn cluster(&self, name: &Str) -> Arc<ClusterState> {
        let mut clusters = self.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        clusters.entry(name.clone()).or_insert_with(|| Arc::new(ClusterState::new(name.clone()))).clone()
    }

    /// Forgets what nobody but the registry holds. Call it after old snapshots are freed.
    pub fn collect(&self) {
        let mut clusters = self.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        clusters.retain(|_, cluster| {
            let mut endpoints = cluster.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
            endpoints.retain(|_, endpoint| Arc::strong_count(endpoint) > 1);
            Arc::strong_count(cluster) > 1 || !endpoints.is_empty()
        });
    }
}

/// A number that several workers write, alone on its cache lines.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Padded(pub(crate) AtomicU32);

impl Padded {
    pub(crate) fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What circuit breakers limit.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    connections: Padded,
    /// Requests that wait for a connection.
    pending: Padded,
    requests: Padded,
    retries: Padded,
    /// Where the retry budget looks back.
    recent: OnceLock<Box<Recent>>,
}

impl Counts {
    /// Requests that a share of is the retry budget.
    fn considered(&self, interval: Option<Duration>) -> u64 {
        match interval {
            Some(interval) => self.recent.get().map_or(0, |recent| recent.count(interval)),
            None => u64::from(self.requests.get()) + u64::from(self.pending.get()),
        }
    }
}

/// What is counted for a whole cluster, against its circuit breakers.
#[derive(Debug)]
pub struct ClusterState {
    pub name: Str,
    default: Counts,
    /// Of routes with the priority HIGH, of which most clusters have none.
    high: OnceLock<Box<Counts>>,
    health: OnceLock<Box<Health>>,
    checks: OnceLock<Box<CheckStats>>,
    handshakes: OnceLock<Box<HandshakeStats>>,
    /// Another one whenever an active health check has changed what is known of an endpoint.
    checked: AtomicU32,
    /// There was a connection for a request.
    used: AtomicBool,
    /// How often no connection could be made because of `max_connections`.
    pub overflowed: AtomicU64,
    endpoints: Mutex<HashMap<Address, Arc<EndpointState>>>,
}

impl ClusterState {
    /// State that no registry knows, for connections that are not the cluster's own.
    pub fn new(name: Str) -> Self {
        ClusterState {
            name,
            default: Counts::default(),
            high: OnceLock::new(),
            health: OnceLock::new(),
            checks: OnceLock::new(),
            handshakes: OnceLock::new(),
            checked: AtomicU32::new(0),
            used: AtomicBool::new(false),
            overflowed: AtomicU64::new(0),
            endpoints: Mutex::default(),
        }
    }

    /// The state of an endpoint, made on first use. Takes a lock: call it when a snapshot is
    /// made, or once per connection for original destinations.
    pub fn endpoint(&self, address: &Address) -> Arc<EndpointState> {
        let mut endpoints = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(endpoint) = endpoints.get(address) {
            return endpoint.clone();
        }
        let endpoint = Arc::new(EndpointState::new(address.clone()));
        endpoints.insert(address.clone(), endpoint.clone());
        endpoint
    }

    /// All endpoints of now and of a while ago.
    pub(crate) fn endpoints(&self) -> Vec<Arc<EndpointState>> {
        let endpoints = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
        endpoints.values().cloned().collect()
    }

    /// Begins outlier detection, or gives it new settings and endpoints.
    pub fn watch<'e>(
        &self,
        config: &OutlierDetection,
        endpoints: impl Iterator<Item = &'e EndpointState> + Clone,
    ) {
        self.health.get_or_init(|| Box::new(Health::new(*config))).update(*config, endpoints);
    }

    /// As [`watch`](Self::watch), with all endpoints that there are: those of names that requests bring
    /// along come one by one.
    pub fn watch_all(&self, config: &OutlierDetection) {
        let endpoints = self.endpoints();
        self.watch(config, endpoints.iter().map(|endpoint| &**endpoint));
    }

    /// The detector, if there ever was outlier detection.
    pub fn health(&self) -> Option<&Health> {
        self.health.get().map(|health| &**health)
    }

    /// Differs from before whenever an endpoint was found to be well or not, by whomever.
    pub fn health_version(&self) -> u32 {
        let ejected = self.health().map_or(0, Health::version);
        self.checked.load(Ordering::Acquire).wrapping_add(ejected)
    }

    /// Of active health checks: `cluster.<name>.health_check.…`
    pub fn checks(&self) -> &CheckStats {
        self.checks.get_or_init(Box::default)
    }

    /// Of TLS with the endpoints: `cluster.<name>.ssl.…`; `None`: there was none yet.
    pub fn handshakes(&self) -> Option<&HandshakeStats> {
        self.handshakes.get().map(|stats| &**stats)
    }

    /// Once per connection; next to a handshake an addition that workers share is nothing.
    pub(crate) fn note_handshake(&self, outcome: Result<&TlsInfo, &TlsError>) {
        self.handshakes.get_or_init(Box::default).note(outcome);
    }

    pub(crate) fn note_checked(&self) {
        self.checked.fetch_add(1, Ordering::Release);
    }

    /// Whether there ever was a connection for a request: until then checks have time.
    pub(crate) fn was_used(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }

    pub(crate) fn counts(&self, priority: RoutingPriority) -> &Counts {
        match priority {
            RoutingPriority::Default => &self.default,
            RoutingPriority::High => self.high.get_or_init(Box::default),
        }
    }

    /// Open connections.
    pub fn connections(&self) -> u32 {
        self.sum(|counts| &counts.connections)
    }

    /// Requests in flight.
    pub fn requests(&self) -> u32 {
        self.sum(|counts| &counts.requests)
    }

    /// Retries in flight.
    pub fn retries(&self) -> u32 {
        self.sum(|counts| &counts.retries)
    }

    /// Requests that wait for a connection.
    pub fn pending(&self) -> u32 {
        self.sum(|counts| &counts.pending)
    }

    fn sum(&self, of: fn(&Counts) -> &Padded) -> u32 {
        let high = self.high.get().map_or(0, |counts| of(counts).get());
        of(&self.default).get() + high
    }

    /// What is in flight of one priority, and how much of it is allowed.
    pub fn breakers(&self, limits: &Limits<'_>) -> [(Breaker, u32, u32); 4] {
        let counts = self.counts(limits.priority);
        [
            (Breaker::Connections, counts.connections.get(), limits.connections()),
            (Breaker::Pending, counts.pending.get(), limits.pending()),
            (Breaker::Requests, counts.requests.get(), limits.requests()),
            (Breaker::Retries, counts.retries.get(), limits.retries(self)),
        ]
    }

    /// Counts a retry for as long as the guard lives; `None`: too many are in flight already (`UO`).
    pub fn start_retry(self: &Arc<Self>, limits: &Limits<'_>) -> Option<InFlight> {
        let max = limits.retries(self);
        InFlight::start(self, limits.priority, |counts| &counts.retries, max)
    }

    pub(crate) fn start_request(self: &Arc<Self>, limits: &Limits<'_>) -> Option<InFlight> {
        let started = InFlight::start(self, limits.priority, |counts| &counts.requests, limits.requests())?;
        if let Some(interval) = limits.budget_interval() {
            let counts = self.counts(limits.priority);
            counts.recent.get_or_init(|| Box::new(Recent::new())).note(interval);
        }
        Some(started)
    }

    pub(crate) fn start_pending(self: &Arc<Self>, limits: &Limits<'_>) -> Option<InFlight> {
        InFlight::start(self, limits.priority, |counts| &counts.pending, limits.pending())
    }

    pub(crate) fn start_connection(
        self: &Arc<Self>,
        limits: &Limits<'_>,
        endpoint: &Arc<EndpointState>,
    ) -> Option<InFlight> {
        if !self.was_used() {
            self.used.store(true, Ordering::Relaxed);
        }
        self.count_connection(limits, endpoint, limits.connections())
    }

    /// One more than there may be.
    pub(crate) fn start_connection_beyond(
        self: &Arc<Self>,
        limits: &Limits<'_>,
        endpoint: &Arc<EndpointState>,
    ) -> Option<InFlight> {
        self.count_connection(limits, endpoint, u32::MAX)
    }

    fn count_connection(
        self: &Arc<Self>,
        limits: &Limits<'_>,
        endpoint: &Arc<EndpointState>,
        max: u32,
    ) -> Option<InFlight> {
        let mut counted = InFlight::start(self, limits.priority, |counts| &counts.connections, max)?;
        endpoint.traffic().connections.begin();
        counted.endpoint = Some(Arc::downgrade(endpoint));
        Some(counted)
    }
}

/// What a circuit breaker limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breaker {
    Connections,
    Pending,
    Requests,
    Retries,
}

/// Circuit breakers of one priority, with Envoy's defaults.
#[derive(Clone, Copy, Debug)]
pub struct Limits<'a> {
    config: Option<&'a Thresholds>,
    priority: RoutingPriority,
}

impl<'a> Limits<'a> {
    pub fn of(cluster: &'a ir::Cluster, priority: RoutingPriority) -> Self {
        let config = match priority {
            RoutingPriority::Default => Some(&cluster.thresholds),
            RoutingPriority::High => cluster.high_thresholds.as_ref(),
        };
        Limits { config, priority }
    }

    /// Connections, requests that wait, requests and retries; without regard to a retry budget.
    pub fn configured(&self) -> [u32; 4] {
        let retries = self.or(|it| it.max_retries, 3);
        [self.connections(), self.pending(), self.requests(), retries]
    }

    /// Retries are counted in proportion to requests.
    pub fn have_retry_budget(&self) -> bool {
        self.config.is_some_and(|it| it.retry_budget.is_some())
    }

    fn or(&self, of: fn(&Thresholds) -> Option<u32>, default: u32) -> u32 {
        self.config.and_then(of).unwrap_or(default)
    }

    fn connections(&self) -> u32 {
        self.or(|it| it.max_connections, 1024)
    }

    fn pending(&self) -> u32 {
        self.or(|it| it.max_pending_requests, 1024)
    }

    fn requests(&self) -> u32 {
        self.or(|it| it.max_requests, 1024)
    }

    fn budget_interval(&self) -> Option<Duration> {
        self.config?.retry_budget?.interval.filter(|interval| !interval.is_zero())
    }

    /// With a budget, a share of what is in flight or was begun of late.
    fn retries(&self, cluster: &ClusterState) -> u32 {
        let Some(budget) = self.config.and_then(|it| it.retry_budget) else {
            return self.or(|it| it.max_retries, 3);
        };
        let active = cluster.counts(self.priority).considered(self.budget_interval());
        let share = budget.budget.map_or(200_000, |share| u64::from(share.parts_per_million));
        let allowed = u32::try_from(active * share / 1_000_000).unwrap_or(u32::MAX);
        allowed.max(budget.min_retry_concurrency.unwrap_or(3))
    }
}

/// Counts one against a limit of a cluster until it is dropped.
#[derive(Debug)]
pub struct InFlight {
    cluster: Arc<ClusterState>,
    priority: RoutingPriority,
    counter: fn(&Counts) -> &Padded,
    /// Of a connection, which must not keep alive what no configuration names any more.
    endpoint: Option<Weak<EndpointState>>,
}

impl InFlight {
    /// The endpoint has refused us after its own handshake was over.
    pub(crate) fn note_refused(&self, error: &TlsError) {
        self.cluster.note_handshake(Err(error));
    }

    fn start(
        cluster: &Arc<ClusterState>,
        priority: RoutingPriority,
        counter: fn(&Counts) -> &Padded,
        max: u32,
    ) -> Option<Self> {
        let count = &counter(cluster.counts(priority)).0;
        if count.fetch_add(1, Ordering::Relaxed) >= max {
            count.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(InFlight { cluster: cluster.clone(), priority, counter, endpoint: None })
    }

    /// No configuration names the connection's endpoint any more: only its cluster's state knows it.
    pub(crate) fn is_orphaned(&self) -> bool {
        self.endpoint.as_ref().is_some_and(|endpoint| endpoint.strong_count() <= 1)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        (self.counter)(self.cluster.counts(self.priority)).0.fetch_sub(1, Ordering::Relaxed);
        if let Some(endpoint) = self.endpoint.as_ref().and_then(Weak::upgrade) {
            endpoint.traffic().connections.end();
        }
    }
}
