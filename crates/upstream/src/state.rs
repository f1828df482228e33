//! What all workers share about clusters and endpoints. Outlives every snapshot.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ir::Address;
use stdx::Str;

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
struct Padded(AtomicU32);

/// What is counted for a whole cluster, against its circuit breakers.
#[derive(Debug)]
pub struct ClusterState {
    pub name: Str,
    connections: Padded,
    requests: Padded,
    retries: Padded,
    endpoints: Mutex<HashMap<Address, Arc<EndpointState>>>,
}

impl ClusterState {
    fn new(name: Str) -> Self {
        ClusterState {
            name,
            connections: Padded::default(),
            requests: Padded::default(),
            retries: Padded::default(),
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

    /// Open connections.
    pub fn connections(&self) -> u32 {
        self.connections.0.load(Ordering::Relaxed)
    }

    /// Requests in flight.
    pub fn requests(&self) -> u32 {
        self.requests.0.load(Ordering::Relaxed)
    }

    /// Retries in flight.
    pub fn retries(&self) -> u32 {
        self.retries.0.load(Ordering::Relaxed)
    }

    /// Counts a retry for as long as the guard lives; `None`: `max` are in flight already (`UO`).
    pub fn start_retry(self: &Arc<Self>, max: u32) -> Option<InFlight> {
        InFlight::start(self, |cluster| &cluster.retries, max)
    }

    pub(crate) fn start_request(self: &Arc<Self>, max: u32) -> Option<InFlight> {
        InFlight::start(self, |cluster| &cluster.requests, max)
    }

    pub(crate) fn start_connection(self: &Arc<Self>, max: u32) -> Option<InFlight> {
        InFlight::start(self, |cluster| &cluster.connections, max)
    }
}

/// What is counted for one endpoint.
#[derive(Debug)]
pub struct EndpointState {
    pub address: Address,
    /// Never used twice in a process: names the endpoint in pools.
    pub(crate) id: u64,
    requests: Padded,
}

impl EndpointState {
    fn new(address: Address) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        EndpointState { address, id: NEXT.fetch_add(1, Ordering::Relaxed), requests: Padded::default() }
    }

    /// Requests (or TCP connections) in flight, for least-request balancing.
    pub fn load(&self) -> u32 {
        self.requests.0.load(Ordering::Relaxed)
    }

    /// Counts one for as long as the guard lives.
    pub fn start(self: &Arc<Self>) -> InFlightAt {
        self.requests.0.fetch_add(1, Ordering::Relaxed);
        InFlightAt(self.clone())
    }
}

/// Counts one against a limit of a cluster until it is dropped.
#[derive(Debug)]
pub struct InFlight {
    cluster: Arc<ClusterState>,
    counter: fn(&ClusterState) -> &Padded,
}

impl InFlight {
    fn start(cluster: &Arc<ClusterState>, counter: fn(&ClusterState) -> &Padded, max: u32) -> Option<Self> {
        let count = &counter(cluster).0;
        if count.fetch_add(1, Ordering::Relaxed) >= max {
            count.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(InFlight { cluster: cluster.clone(), counter })
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        (self.counter)(&self.cluster).0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts one at an endpoint until it is dropped.
#[derive(Debug)]
pub struct InFlightAt(Arc<EndpointState>);

impl Drop for InFlightAt {
    fn drop(&mut self) {
        self.0.requests.0.fetch_sub(1, Ordering::Relaxed);
    }
}
