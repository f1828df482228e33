//! Which endpoint of a cluster takes the next request or connection: [`engine::balance`] with what is
//! known at the moment.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use engine::Dice;
use engine::balance::{Ask, Availability, Balancer, Criteria, EndpointSet, Seen, Settings};
use engine::outlier::Outcome;
use ir::lb::SlowStart;
use ir::{Address, LbPolicy, OutlierDetection};
use upstream::{Destination, health};

use crate::config::checks;
use crate::config::lazy::Membership;
use crate::config::snapshot::Cluster;
use crate::worker::Worker;

/// How a cluster decides.
#[derive(Clone)]
pub enum Balance {
    /// Nothing changes until the next configuration.
    Fixed(Arc<Balancer>),
    /// Endpoints are ejected, or warm up.
    Live(Arc<Live>),
}

/// A balancer that is made anew when the state of the endpoints has changed.
pub struct Live {
    current: ArcSwap<Current>,
    /// Held by the worker that makes the next one; the others go on with this one.
    making: Mutex<()>,
}

struct Current {
    /// Of [`health::Health::version`].
    version: u32,
    /// Of [`health::now`]: weights have changed by then.
    until: Duration,
    balancer: Balancer,
}

/// So often weights change while endpoints warm up.
const STEPS: u32 = 50;

impl Balance {
    pub fn new(config: &ir::Cluster, set: &EndpointSet, destinations: &[Destination]) -> Self {
        let watched = config.outlier.is_some() || !config.health_checks.is_empty();
        if !config.health_checks.is_empty() {
            let checked = set.endpoints().iter().zip(destinations).filter(|(it, _)| checks::is_checked(it));
            checked.for_each(|(_, to)| to.endpoint.expect_checks());
        }
        if !watched && slow_start(config).is_none() {
            let settings = Settings::of(config);
            return Balance::Fixed(Arc::new(balancer(config, set, &settings, &|it| set.configured(it))));
        }
        if let (Some(outlier), Some(first)) = (&config.outlier, destinations.first()) {
            first.cluster.watch(outlier, destinations.iter().map(|to| &*to.endpoint));
        }
        let current = make(config, set, destinations);
        Balance::Live(Arc::new(Live { current: ArcSwap::from_pointee(current), making: Mutex::new(()) }))
    }
}

fn slow_start(config: &ir::Cluster) -> Option<SlowStart> {
    let warms = matches!(config.lb_policy, LbPolicy::RoundRobin | LbPolicy::LeastRequest);
    config.slow_start.filter(|it| warms && !it.window.is_zero())
}

fn balancer(
    config: &ir::Cluster,
    set: &EndpointSet,
    settings: &Settings,
    seen: &dyn Fn(usize) -> Seen,
) -> Balancer {
    let balancer = Balancer::compile(set, settings, seen);
    match &config.subsets {
        Some(subsets) => balancer.with_subsets(set, settings, subsets, seen),
        None => balancer,
    }
}

/// A balancer for the endpoints as they are now.
fn make(config: &ir::Cluster, set: &EndpointSet, destinations: &[Destination]) -> Current {
    let version = destinations.first().map_or(0, |to| to.cluster.health_version());
    let warming = slow_start(config);
    let warms = |to: &Destination| warming.is_some_and(|it| to.endpoint.age() < it.window);
    let until = match warming {
        Some(it) if destinations.iter().any(warms) => health::now() + it.window / STEPS,
        _ => Duration::MAX,
    };
    let seen = |index: usize| now(config, set, destinations, index);
    Current { version, until, balancer: balancer(config, set, &Settings::of(config), &seen) }
}

/// An endpoint as it is now.
fn now(config: &ir::Cluster, set: &EndpointSet, destinations: &[Destination], index: usize) -> Seen {
    let mut seen = set.configured(index);
    let Some(to) = destinations.get(index) else { return seen };
    seen.availability = availability(config, &set.endpoints()[index], to);
    if let Some(it) = slow_start(config) {
        seen.share = engine::balance::warm_up(&it, to.endpoint.age());
    }
    seen
}

/// How an endpoint is at the moment, as discovery, outlier detection and health checks have it.
pub fn availability(config: &ir::Cluster, endpoint: &ir::Endpoint, to: &Destination) -> Availability {
    let ejected = config.outlier.is_some() && to.endpoint.is_ejected();
    let checked = !config.health_checks.is_empty() && checks::is_checked(endpoint);
    let checked = checked.then(|| to.endpoint.checked());
    if checked.is_some_and(|it| it.pending) && config.common_lb.ignore_new_hosts_until_first_hc {
        return Availability::Excluded;
    }
    match Availability::of(endpoint.health) {
        _ if ejected || checked.is_some_and(|it| it.failed) => Availability::Unhealthy,
        Availability::Healthy if checked.is_some_and(|it| it.degraded) => Availability::Degraded,
        other => other,
    }
}

impl Live {
    fn refresh(&self, cluster: &Cluster, dice: &mut dyn Dice) -> arc_swap::Guard<Arc<Current>> {
        if let Some(health) = cluster.state.health().filter(|_| cluster.config.outlier.is_some()) {
            health.tick(&cluster.state, dice);
        }
        let current = self.current.load();
        let version = cluster.state.health_version();
        let stale =
            current.version != version || (current.until != Duration::MAX && current.until <= health::now());
        if !stale {
            return current;
        }
        let Ok(_making) = self.making.try_lock() else { return current };
        self.current.store(Arc::new(make(&cluster.config, &cluster.endpoints, &cluster.destinations)));
        self.current.load()
    }
}

/// What of a request matters to a pick.
#[derive(Clone, Copy, Default)]
pub struct Asked<'a> {
    /// For balancers that hash.
    pub hash: Option<u64>,
    /// For clusters with subsets.
    pub criteria: Option<&'a Criteria>,
    /// Priorities that nothing is to be taken from.
    pub avoid: &'a [u32],
}

/// A pick, and how it came about.
pub struct Pick {
    /// Of the cluster's destinations.
    pub index: usize,
    /// Unhealthy endpoints were in the draw.
    pub panic: bool,
}

impl Cluster {
    fn members(&self) -> impl Iterator<Item = (&ir::Endpoint, &Destination)> {
        self.endpoints.endpoints().iter().zip(&self.destinations)
    }

    /// How many endpoints there are, and how they are at the moment.
    pub fn membership(&self) -> Membership {
        let mut members = Membership::default();
        for (endpoint, to) in self.members() {
            members.count(availability(&self.config, endpoint, to));
        }
        members
    }

    /// Some endpoint has never been checked, and is going to be.
    pub fn awaits_checks(&self) -> bool {
        let checked = !self.config.health_checks.is_empty();
        checked && self.members().any(|(it, to)| checks::is_checked(it) && to.endpoint.checked().pending)
    }

    /// Whether some endpoint is available that is of none of these priorities.
    pub fn has_others(&self, priorities: &[u32]) -> bool {
        (0..self.destinations.len()).any(|index| {
            let other = self.endpoints.place(index).is_some_and(|(_, of)| !priorities.contains(&of));
            let seen = || now(&self.config, &self.endpoints, &self.destinations, index).availability;
            other && matches!(seen(), Availability::Healthy | Availability::Degraded)
        })
    }

    /// The balancer of the moment, as if these priorities had no endpoints. Made for a retry that leaves
    /// them, and for no other request.
    fn without(&self, priorities: &[u32]) -> Balancer {
        let seen = |index: usize| {
            let seen = now(&self.config, &self.endpoints, &self.destinations, index);
            match self.endpoints.place(index) {
                Some((_, of)) if priorities.contains(&of) => {
                    Seen { availability: Availability::Excluded, ..seen }
                }
                _ => seen,
            }
        };
        balancer(&self.config, &self.endpoints, &Settings::of(&self.config), &seen)
    }

    /// Picks an endpoint; one that was tried before only if there is no other.
    pub fn pick(&self, worker: &Worker, asked: Asked<'_>, tried: &[Address]) -> Option<Pick> {
        let Asked { hash, criteria, avoid } = asked;
        worker.with_cursor(&self.config.name, |cursor, dice| {
            let (live, elsewhere);
            let balancer: &Balancer = match &self.balance {
                _ if !avoid.is_empty() => {
                    elsewhere = self.without(avoid);
                    &elsewhere
                }
                Balance::Fixed(balancer) => balancer,
                Balance::Live(it) => {
                    live = it.refresh(self, dice);
                    &live.balancer
                }
            };
            let load = |index: usize| self.destinations.get(index).map_or(0, |to| to.endpoint.load());
            let fresh = |index: usize| tried.contains(self.endpoints.address(index));
            let ask =
                Ask { cursor: &mut *cursor, hash, criteria, load: &load, skip: &fresh, dice: &mut *dice };
            let found = match balancer.pick(ask) {
                None if !tried.is_empty() => {
                    balancer.pick(Ask { cursor, hash, criteria, load: &load, skip: &|_| false, dice })
                }
                found => found,
            };
            found.map(|index| Pick { index, panic: balancer.in_panic() })
        })
    }

    /// Tells outlier detection how a request at an endpoint ended.
    pub fn report(
        &self,
        worker: &Worker,
        config: &OutlierDetection,
        to: &Destination,
        outcome: Option<Outcome>,
    ) {
        if let (Some(outcome), Some(health)) = (outcome, self.state.health()) {
            worker.with_dice(|dice| health.report(config, &to.endpoint, outcome, dice));
        }
    }

    /// The hash of a TCP connection.
    pub fn hash_of_client(&self, client: IpAddr) -> Option<u64> {
        self.config.lb_policy.hashes().then(|| engine::hash::of_address(client))
    }
}
