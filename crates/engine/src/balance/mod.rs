//! Which endpoint: priorities, panic, localities, and the balancers of Envoy.
//! See <https://www.envoyproxy.io/docs/envoy/v1.40.0/intro/arch_overview/upstream/load_balancing/overview>.
//!
//! An [`EndpointSet`] is what configuration says. A [`Balancer`] is made from it and from who is
//! well at the moment; it decides without looking at anything else.

mod bound;
mod group;
mod loads;
mod subsets;
mod table;

#[cfg(test)]
mod tests;

use std::time::Duration;

use ir::endpoint::{Address, Health};
use ir::lb::{CommonLb, LbSubsets, LeastRequest, SlowStart};
use ir::{Cluster, Endpoint, LbPolicy, LoadAssignment};

use crate::Dice;
use group::Pool;
pub use subsets::Criteria;
use subsets::Subsets;

/// The endpoints of a cluster, flattened.
#[derive(Debug, Default)]
pub struct EndpointSet {
    endpoints: Box<[Endpoint]>,
    localities: Box<[Locality]>,
    overprovisioning: Option<u32>,
}

#[derive(Debug)]
struct Locality {
    place: model::Locality,
    priority: u32,
    weight: u32,
    /// Indices into the endpoints: from, to.
    members: (u32, u32),
}

/// Where round robin stands. Kept by the caller, per worker and cluster, across snapshots.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cursor(pub u64);

/// How an endpoint is at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Availability {
    Healthy,
    /// Used when the healthy ones are not enough.
    Degraded,
    /// Used in a panic only.
    Unhealthy,
    /// As that, and not there when a panic is looked for: it is new.
    Excluded,
}

impl Availability {
    /// As discovery says.
    pub fn of(health: Health) -> Self {
        match health {
            Health::Unknown | Health::Healthy => Availability::Healthy,
            Health::Degraded => Availability::Degraded,
            Health::Unhealthy | Health::Draining => Availability::Unhealthy,
        }
    }
}

/// An endpoint as a [`Balancer`] is made with it.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    pub availability: Availability,
    /// Of its weight, in millionths: less while it warms up.
    pub share: u32,
}

/// What of a cluster's settings matters here.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub policy: LbPolicy,
    pub least_request: LeastRequest,
    pub common: CommonLb,
}

impl Settings {
    pub fn of(cluster: &Cluster) -> Self {
        Settings {
            policy: cluster.lb_policy,
            least_request: cluster.least_request,
            common: cluster.common_lb,
        }
    }

    /// Envoy's defaults.
    pub fn new(policy: LbPolicy) -> Self {
        Settings { policy, least_request: LeastRequest::default(), common: CommonLb::default() }
    }
}

impl EndpointSet {
    /// Flattens an assignment.
    pub fn compile(assignment: &LoadAssignment) -> Self {
        let mut endpoints = Vec::new();
        let mut localities = Vec::with_capacity(assignment.localities.len());
        for locality in &assignment.localities {
            let from = endpoints.len() as u32;
            endpoints.extend(locality.endpoints.iter().cloned());
            localities.push(Locality {
                place: locality.locality.clone(),
                priority: locality.priority,
                weight: locality.weight.unwrap_or(0),
                members: (from, endpoints.len() as u32),
            });
        }
        EndpointSet {
            endpoints: endpoints.into(),
            localities: localities.into(),
            overprovisioning: assignment.overprovisioning_factor,
        }
    }

    /// All endpoints, healthy or not; a pick is an index into this.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// The address behind a pick.
    pub fn address(&self, index: usize) -> &Address {
        &self.endpoints[index].address
    }

    /// Where an endpoint is, and its priority.
    pub fn place(&self, index: usize) -> Option<(&model::Locality, u32)> {
        let index = index as u32;
        let found = self.localities.iter().find(|it| (it.members.0..it.members.1).contains(&index))?;
        Some((&found.place, found.priority))
    }

    /// As configured, with nothing known from elsewhere.
    pub fn configured(&self, index: usize) -> Seen {
        Seen { availability: Availability::of(self.endpoints[index].health), share: 1_000_000 }
    }
}

/// Of an endpoint's weight, in millionths, when it is so old.
/// See <https://www.envoyproxy.io/docs/envoy/v1.40.0/intro/arch_overview/upstream/load_balancing/slow_start>.
pub fn warm_up(config: &SlowStart, age: Duration) -> u32 {
    let window = config.window.as_secs_f64();
    if age >= config.window || window <= 0.0 {
        return 1_000_000;
    }
    let aggression = config.aggression.map_or(1.0, |it| it.as_f64()).max(1e-6);
    let grown = (age.as_secs_f64() / window).powf(1.0 / aggression);
    let least = config.min_weight.map_or(100_000, |it| it.parts_per_million);
    ((grown * 1e6) as u32).clamp(least, 1_000_000)
}

/// Decides, for one state of the endpoints' health.
#[derive(Debug)]
pub struct Balancer {
    policy: LbPolicy,
    choices: u32,
    bias: f64,
    /// Parts of the load that add up to 100, each with the pool that gets it.
    shares: Box<[(u32, u32)]>,
    pools: Box<[Pool]>,
    subsets: Option<Box<Subsets>>,
}

/// What a pick is made from.
pub struct Ask<'a> {
    pub cursor: &'a mut Cursor,
    /// Of the request, for balancers that hash. `None`: any endpoint.
    pub hash: Option<u64>,
    /// Of the request's route, for clusters with subsets.
    pub criteria: Option<&'a Criteria>,
    /// Requests in flight at an endpoint.
    pub load: &'a dyn Fn(usize) -> u32,
    /// Endpoints not to take (tried before).
    pub skip: &'a dyn Fn(usize) -> bool,
    pub dice: &'a mut dyn Dice,
}

impl Balancer {
    /// `seen` says of each endpoint of `set` how it is.
    pub fn compile(set: &EndpointSet, settings: &Settings, seen: &dyn Fn(usize) -> Seen) -> Self {
        Self::with(settings, loads::pools(set, settings, seen, &loads::Part::WHOLE))
    }

    /// With a balancer for each subset as well.
    pub fn with_subsets(
        self,
        set: &EndpointSet,
        settings: &Settings,
        config: &LbSubsets,
        seen: &dyn Fn(usize) -> Seen,
    ) -> Self {
        let subsets = Subsets::compile(set, settings, config, seen);
        Balancer { subsets: Some(Box::new(subsets)), ..self }
    }

    /// Of some endpoints only.
    fn of_part(
        set: &EndpointSet,
        settings: &Settings,
        seen: &dyn Fn(usize) -> Seen,
        takes: &dyn Fn(usize) -> bool,
        config: &LbSubsets,
    ) -> Self {
        let mut settings = *settings;
        settings.common.locality_weighted &= config.locality_weight_aware;
        let part = loads::Part { takes, scale: config.scale_locality_weight };
        Self::with(&settings, loads::pools(set, &settings, seen, &part))
    }

    fn with(settings: &Settings, (shares, pools): (Box<[(u32, u32)]>, Box<[Pool]>)) -> Self {
        let bias = settings.least_request.active_request_bias;
        Balancer {
            policy: settings.policy,
            choices: settings.least_request.choice_count.unwrap_or(2),
            bias: bias.map_or(1.0, |bias| bias.as_f64()),
            shares,
            pools,
            subsets: None,
        }
    }

    /// Picks an endpoint. If everything is skipped, nothing is picked; the caller decides whether to
    /// ask again without `skip`.
    pub fn pick(&self, mut ask: Ask<'_>) -> Option<usize> {
        match &self.subsets {
            None => self.pick_whole(&mut ask),
            Some(subsets) => subsets.pick(self, ask),
        }
    }

    fn pick_whole(&self, ask: &mut Ask<'_>) -> Option<usize> {
        let first = self.pool(ask)?;
        if let Some(found) = self.pools[first].pick(self, ask) {
            return Some(found);
        }
        let mut others = (0..self.pools.len()).filter(|other| *other != first);
        others.find_map(|other| self.pools[other].pick(self, ask))
    }

    /// Some priority is in a panic: its unhealthy endpoints are used like the others.
    pub fn in_panic(&self) -> bool {
        self.pools.iter().any(|pool| pool.panic)
    }

    /// Whether no endpoint can be picked at all.
    pub fn is_empty(&self) -> bool {
        self.pools.is_empty()
    }

    fn pool(&self, ask: &mut Ask<'_>) -> Option<usize> {
        if self.shares.len() <= 1 {
            return self.shares.first().map(|(_, pool)| *pool as usize);
        }
        let mut at = match ask.hash.filter(|_| self.policy.hashes()) {
            Some(hash) => (hash % 100) as u32,
            None => crate::dice::below(ask.dice, 100) as u32,
        };
        let found = self.shares.iter().find(|(share, _)| match at.checked_sub(*share) {
            Some(rest) => {
                at = rest;
                false
            }
            None => true,
        });
        found.map(|(_, pool)| *pool as usize)
    }
}
