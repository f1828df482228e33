//! Which endpoint: round robin, least request, random. Priorities in order, weights kept.

use ir::endpoint::{Address, Health};
use ir::{Endpoint, LbPolicy, LoadAssignment};

use crate::{Dice, dice};

/// The endpoints of a cluster, flattened and ready to be picked from.
#[derive(Debug, Default)]
pub struct EndpointSet {
    endpoints: Box<[Endpoint]>,
    /// Per priority, ascending: the usable endpoints, and the schedule of round robin.
    priorities: Box<[Priority]>,
}

#[derive(Debug)]
struct Priority {
    /// Indices into `endpoints`.
    usable: Box<[u32]>,
    /// Weights of `usable`; empty when all are equal.
    weights: Box<[u32]>,
    /// `usable` in an order that spreads each endpoint by its weight.
    rotation: Box<[u32]>,
}

/// Longest round robin schedule. Weights are scaled down to fit.
const ROTATION: u64 = 4096;

/// Where round robin stands. Kept by the caller, per worker and cluster, across snapshots.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cursor(pub u64);

impl EndpointSet {
    /// Flattens an assignment. Unhealthy and draining endpoints are left out of the schedule.
    pub fn compile(assignment: &LoadAssignment) -> Self {
        let mut endpoints = Vec::new();
        let mut groups: std::collections::BTreeMap<u32, Vec<(u32, u64)>> = Default::default();
        for locality in &assignment.localities {
            let group = groups.entry(locality.priority).or_default();
            for endpoint in &locality.endpoints {
                let index = endpoints.len() as u32;
                endpoints.push(endpoint.clone());
                if !matches!(endpoint.health, Health::Unhealthy | Health::Draining) {
                    group.push((index, u64::from(endpoint.weight.unwrap_or(1).max(1))));
                }
            }
        }
        let priorities = groups.into_values().filter(|group| !group.is_empty());
        EndpointSet {
            endpoints: endpoints.into(),
            priorities: priorities.map(|g| Priority::of(&g)).collect(),
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

    /// Picks an endpoint. `load` gives its requests in flight, `skip` says which ones not to
    /// take (tried before, ejected). If everything is skipped in every priority, nothing is
    /// picked; the caller decides whether to ask again without `skip`.
    pub fn pick(
        &self,
        policy: LbPolicy,
        cursor: &mut Cursor,
        load: impl Fn(usize) -> u32,
        skip: impl Fn(usize) -> bool,
        dice: &mut dyn Dice,
    ) -> Option<usize> {
        self.priorities.iter().find_map(|priority| match policy {
            LbPolicy::RoundRobin | LbPolicy::ClusterProvided => priority.round_robin(cursor, &skip),
            LbPolicy::Random => priority.random(&skip, dice),
            LbPolicy::LeastRequest => priority.least_request(&load, &skip, dice),
        })
    }

    /// Whether some endpoint can be picked at all.
    pub fn is_empty(&self) -> bool {
        self.priorities.is_empty()
    }
}

impl Priority {
    fn of(group: &[(u32, u64)]) -> Self {
        let total: u64 = group.iter().map(|(_, w)| w).sum();
        let usable = group.iter().map(|(i, _)| *i).collect();
        if group.iter().all(|(_, w)| *w == group[0].1) {
            let rotation: Box<[u32]> = group.iter().map(|(i, _)| *i).collect();
            return Priority { usable, weights: Box::default(), rotation };
        }
        let scale = |w: u64| if total <= ROTATION { w } else { (w * ROTATION / total).max(1) };
        let rotation = spread(&group.iter().map(|(i, w)| (*i, scale(*w))).collect::<Vec<_>>());
        let weights = group.iter().map(|(_, w)| u32::try_from(*w).unwrap_or(u32::MAX)).collect();
        Priority { usable, weights, rotation }
    }

    fn round_robin(&self, cursor: &mut Cursor, skip: &dyn Fn(usize) -> bool) -> Option<usize> {
        let len = self.rotation.len() as u64;
        (0..len).find_map(|_| {
            let index = self.rotation[(cursor.0 % len) as usize] as usize;
            cursor.0 = cursor.0.wrapping_add(1);
            (!skip(index)).then_some(index)
        })
    }

    fn random(&self, skip: &dyn Fn(usize) -> bool, dice: &mut dyn Dice) -> Option<usize> {
        // A few tries hit nearly always; then look at everything once.
        (0..4)
            .map(|_| self.roll(dice))
            .find(|index| !skip(*index))
            .or_else(|| self.usable.iter().map(|i| *i as usize).find(|index| !skip(*index)))
    }

    fn least_request(
        &self,
        load: &dyn Fn(usize) -> u32,
        skip: &dyn Fn(usize) -> bool,
        dice: &mut dyn Dice,
    ) -> Option<usize> {
        let first = self.random(skip, dice)?;
        let second = self.random(skip, dice)?;
        Some(if load(second) < load(first) { second } else { first })
    }

    fn roll(&self, dice: &mut dyn Dice) -> usize {
        let at = if self.weights.is_empty() {
            dice::below(dice, self.usable.len() as u64) as usize
        } else {
            dice::weighted(dice, self.weights.iter().copied()).unwrap_or(0)
        };
        self.usable[at] as usize
    }
}

/// nginx's smooth weighted round robin, one full turn.
fn spread(weights: &[(u32, u64)]) -> Box<[u32]> {
    let total: i64 = weights.iter().map(|(_, w)| *w as i64).sum();
    let mut current = vec![0i64; weights.len()];
    (0..total)
        .map(|_| {
            let mut best = 0;
            for (i, (_, weight)) in weights.iter().enumerate() {
                current[i] += *weight as i64;
                if current[i] > current[best] {
                    best = i;
                }
            }
            current[best] -= total;
            weights[best].0
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::SplitMix;

    fn set(weights: &[(u32, Option<u32>, Health)]) -> EndpointSet {
        let localities = weights.iter().enumerate().map(|(i, (priority, weight, health))| {
            let address = Address::Socket(([10, 0, 0, i as u8], 80).into());
            let endpoint = Endpoint { weight: *weight, health: *health, ..Endpoint::new(address) };
            ir::LocalityEndpoints {
                locality: Default::default(),
                weight: None,
                priority: *priority,
                endpoints: vec![endpoint],
            }
        });
        EndpointSet::compile(&LoadAssignment { cluster_name: "c".into(), localities: localities.collect() })
    }

    fn spread_of(set: &EndpointSet, policy: LbPolicy, load: impl Fn(usize) -> u32 + Copy) -> Vec<u32> {
        let (mut cursor, mut dice) = (Cursor::default(), SplitMix(3));
        let mut hits = vec![0; set.endpoints().len()];
        for _ in 0..1200 {
            hits[set.pick(policy, &mut cursor, load, |_| false, &mut dice).unwrap()] += 1;
        }
        hits
    }

    #[test]
    fn round_robin_is_even_and_weighted() {
        let even = set(&[(0, None, Health::Unknown); 3]);
        assert_eq!(spread_of(&even, LbPolicy::RoundRobin, |_| 0), [400, 400, 400]);
        let weighted = set(&[(0, Some(1), Health::Unknown), (0, Some(3), Health::Unknown)]);
        assert_eq!(spread_of(&weighted, LbPolicy::RoundRobin, |_| 0), [300, 900]);
    }

    #[test]
    fn unhealthy_and_lower_priorities_wait() {
        let set =
            set(&[(1, None, Health::Healthy), (0, None, Health::Unhealthy), (0, None, Health::Healthy)]);
        assert_eq!(spread_of(&set, LbPolicy::RoundRobin, |_| 0), [0, 0, 1200]);
        let skipped = set.pick(LbPolicy::Random, &mut Cursor::default(), |_| 0, |i| i == 2, &mut SplitMix(1));
        assert_eq!(skipped, Some(0));
    }

    #[test]
    fn least_request_prefers_the_idle() {
        let set = set(&[(0, None, Health::Unknown); 2]);
        let hits = spread_of(&set, LbPolicy::LeastRequest, |i| if i == 0 { 9 } else { 0 });
        assert!(hits[1] > 800, "{hits:?}");
    }

    #[test]
    fn nothing_to_pick() {
        let none = |set: &EndpointSet, policy| {
            set.pick(policy, &mut Cursor::default(), |_| 0, |_| true, &mut SplitMix(1))
        };
        for policy in [LbPolicy::RoundRobin, LbPolicy::Random, LbPolicy::LeastRequest] {
            assert_eq!(none(&set(&[]), policy), None);
            assert_eq!(none(&set(&[(0, None, Health::Unknown); 3]), policy), None);
        }
    }
}
