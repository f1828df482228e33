//! How a cluster's endpoints are chosen.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use stdx::Str;

use crate::Fraction;
use crate::bootstrap::Json;

/// How an endpoint is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LbPolicy {
    RoundRobin,
    /// The least busy of some random ones: see [`LeastRequest`].
    LeastRequest,
    Random,
    /// Consistent hashing (ketama).
    RingHash(RingHash),
    /// Consistent hashing with a table that costs less to look up and more to build.
    Maglev(Maglev),
    /// With [`crate::ClusterDiscovery::OriginalDst`].
    ClusterProvided,
}

impl LbPolicy {
    /// Looks at the hash of a request.
    pub fn hashes(self) -> bool {
        matches!(self, LbPolicy::RingHash(_) | LbPolicy::Maglev(_))
    }
}

/// A number that is not negative, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millionths(pub u64);

impl Millionths {
    pub const ONE: Millionths = Millionths(1_000_000);

    pub fn as_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }
}

/// Settings of [`LbPolicy::LeastRequest`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeastRequest {
    /// Endpoints that are compared, at least 2. `None` is 2.
    pub choice_count: Option<u32>,
    /// Where weights differ, an endpoint counts as its weight divided by its requests, plus one, to
    /// this power. `None` is 1.
    pub active_request_bias: Option<Millionths>,
}

/// Settings of [`LbPolicy::RingHash`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RingHash {
    /// Places on the ring, at least. `None` is 1,024; 8 Mi at most.
    pub minimum_size: Option<u64>,
    /// `None` is 8 Mi, which is the most.
    pub maximum_size: Option<u64>,
    pub function: HashFunction,
}

/// What places endpoints on a ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HashFunction {
    #[default]
    XxHash,
    MurmurHash2,
}

/// Settings of [`LbPolicy::Maglev`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Maglev {
    /// A prime number up to 5,000,011. `None` is 65,537.
    pub table_size: Option<u64>,
}

/// Endpoints that are new get less at first (Istio's warm-up).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlowStart {
    /// Until an endpoint has its full weight.
    pub window: Duration,
    /// The share grows with time to the power of its inverse. `None` is 1: evenly.
    pub aggression: Option<Millionths>,
    /// The least share. `None` is 10 %.
    pub min_weight: Option<Fraction>,
}

/// `envoy.config.cluster.v3.Cluster.CommonLbConfig`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommonLb {
    /// Below this share of healthy endpoints all are used. `None` is 50 %, zero is off.
    pub healthy_panic_threshold: Option<Fraction>,
    /// Localities get their share by [`crate::LocalityEndpoints::weight`]; without it that has no
    /// effect.
    pub locality_weighted: bool,
    /// Connections of TCP and of requests are closed when an endpoint leaves the cluster.
    pub close_connections_on_host_set_change: bool,
    /// What is new is not used before it was checked.
    pub ignore_new_hosts_until_first_hc: bool,
    /// Hash host names in place of addresses.
    pub use_hostname_for_hashing: bool,
    /// No endpoint gets more than this share, in percent, of the average load; at least 100.
    /// `None`: no bound.
    pub hash_balance_factor: Option<u32>,
}

/// `envoy.config.cluster.v3.Cluster.LbSubsetConfig`: endpoints by their metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LbSubsets {
    pub selectors: Vec<SubsetSelector>,
    /// For what no subset fits.
    pub fallback: SubsetFallback,
    /// Of [`SubsetFallback::DefaultSubset`].
    pub default_subset: BTreeMap<Str, Json>,
    /// Localities keep their weights within subsets.
    pub locality_weight_aware: bool,
    /// By how much of a locality is in the subset.
    pub scale_locality_weight: bool,
    /// In a panic any endpoint of the cluster will do.
    pub panic_mode_any: bool,
    /// An endpoint whose value is a list is in the subset of each.
    pub list_as_any: bool,
}

/// `LbSubsetFallbackPolicy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SubsetFallback {
    /// None: the request fails.
    #[default]
    NoFallback,
    AnyEndpoint,
    DefaultSubset,
}

/// Endpoints that have the same values for these keys are a subset.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubsetSelector {
    pub keys: BTreeSet<Str>,
    /// `None`: that of [`LbSubsets`].
    pub fallback: Option<SelectorFallback>,
}

/// `LbSubsetSelectorFallbackPolicy`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SelectorFallback {
    NoFallback,
    AnyEndpoint,
    DefaultSubset,
    /// Look again with these keys only, a part of the selector's.
    Keys(BTreeSet<Str>),
}
