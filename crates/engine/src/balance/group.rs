//! Endpoints among which one is picked: round robin, random, least request, or by hash.

use ir::LbPolicy;

use super::bound::Bound;
use super::table::Table;
use super::{Ask, Balancer, EndpointSet, Settings};
use crate::dice;

/// Longest round robin schedule. Weights are scaled down to fit.
const ROTATION: u64 = 4096;

/// One endpoint and its weight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    pub index: u32,
    pub weight: u64,
}

/// What gets one share of the load.
#[derive(Debug)]
pub(super) struct Pool {
    /// By locality where these have weights, else one.
    groups: Box<[Group]>,
    /// As the groups; empty if there is one.
    weights: Box<[u32]>,
    /// Where the policy hashes.
    table: Option<Table>,
    /// Where no endpoint is to get much more than its part.
    bound: Option<Bound>,
    pub panic: bool,
}

#[derive(Debug)]
struct Group {
    members: Box<[u32]>,
    /// As `members`; empty when all are equal.
    weights: Box<[u32]>,
    /// Members in an order that spreads each by its weight.
    rotation: Box<[u32]>,
}

impl Pool {
    /// No group is empty.
    pub fn new(set: &EndpointSet, settings: &Settings, groups: Vec<(u64, Vec<Member>)>, panic: bool) -> Self {
        let table = Table::compile(set, settings, &groups);
        let bound = settings.common.hash_balance_factor.filter(|_| table.is_some());
        let bound = bound.map(|factor| Bound::new(factor, set, settings, &groups));
        let rotates = matches!(settings.policy, LbPolicy::RoundRobin | LbPolicy::ClusterProvided);
        let most = groups.iter().map(|(weight, _)| *weight).max().unwrap_or(1);
        let scale = most.div_ceil(u64::from(u32::MAX)).max(1);
        let weights: Box<[u32]> = match groups.len() {
            1 => Box::default(),
            _ => groups.iter().map(|(weight, _)| (*weight / scale).max(1) as u32).collect(),
        };
        let groups = groups.iter().map(|(_, members)| Group::new(members, rotates)).collect();
        Pool { groups, weights, table, bound, panic }
    }

    pub fn pick(&self, balancer: &Balancer, ask: &mut Ask<'_>) -> Option<usize> {
        if let Some(table) = &self.table {
            let hash = ask.hash.unwrap_or_else(|| ask.dice.roll());
            let found = table.pick(hash, ask.skip)?;
            return Some(self.bound.as_ref().map_or(found, |bound| bound.pick(found, hash, ask)));
        }
        let first = match self.weights.is_empty() {
            true => 0,
            false => dice::weighted(ask.dice, self.weights.iter().copied()).unwrap_or(0),
        };
        let found = self.groups[first].pick(balancer, ask);
        found.or_else(|| self.groups.iter().find_map(|group| group.pick(balancer, ask)))
    }
}

impl Group {
    fn new(members: &[Member], rotates: bool) -> Self {
        let indices: Box<[u32]> = members.iter().map(|member| member.index).collect();
        let even = members.iter().all(|member| member.weight == members[0].weight);
        if even {
            let rotation = if rotates { indices.clone() } else { Box::default() };
            return Group { members: indices, weights: Box::default(), rotation };
        }
        let most = members.iter().map(|member| member.weight).max().unwrap_or(1);
        let scale = most.div_ceil(u64::from(u32::MAX)).max(1);
        let weights = members.iter().map(|member| (member.weight / scale).max(1) as u32).collect();
        let rotation = if rotates { spread(members) } else { Box::default() };
        Group { members: indices, weights, rotation }
    }

    fn pick(&self, balancer: &Balancer, ask: &mut Ask<'_>) -> Option<usize> {
        match balancer.policy {
            LbPolicy::RoundRobin | LbPolicy::ClusterProvided => self.round_robin(ask),
            LbPolicy::LeastRequest => self.least_request(balancer, ask),
            LbPolicy::Random | LbPolicy::RingHash(_) | LbPolicy::Maglev(_) => {
                self.random(ask).map(|at| self.members[at] as usize)
            }
        }
    }

    fn round_robin(&self, ask: &mut Ask<'_>) -> Option<usize> {
        let len = self.rotation.len() as u64;
        (0..len).find_map(|_| {
            let index = self.rotation[(ask.cursor.0 % len) as usize] as usize;
            ask.cursor.0 = ask.cursor.0.wrapping_add(1);
            (!(ask.skip)(index)).then_some(index)
        })
    }

    /// A place in `members`.
    fn random(&self, ask: &mut Ask<'_>) -> Option<usize> {
        // A few tries hit nearly always; then look at everything once.
        let free = |at: &usize| !(ask.skip)(self.members[*at] as usize);
        for _ in 0..4 {
            let at = match self.weights.is_empty() {
                true => dice::below(ask.dice, self.members.len() as u64) as usize,
                false => dice::weighted(ask.dice, self.weights.iter().copied()).unwrap_or(0),
            };
            if free(&at) {
                return Some(at);
            }
        }
        (0..self.members.len()).find(free)
    }

    /// The least busy of some. Weights count twice, in who is looked at and in how busy it may be:
    /// without load each gets its share, and with much load each has its share of it.
    fn least_request(&self, balancer: &Balancer, ask: &mut Ask<'_>) -> Option<usize> {
        let load = |at: usize| (ask.load)(self.members[at] as usize);
        let mut best = self.random(ask)?;
        let mut least = load(best);
        for _ in 1..balancer.choices {
            let at = self.random(ask)?;
            let other = load(at);
            let better = match self.weights.is_empty() {
                true => other < least,
                false => {
                    let busy = |load: u32, at: usize| {
                        f64::from(load).powf(balancer.bias) / f64::from(self.weights[at])
                    };
                    busy(other, at) < busy(least, best)
                }
            };
            if better {
                (best, least) = (at, other);
            }
        }
        Some(self.members[best] as usize)
    }
}

/// nginx's smooth weighted round robin, one full turn.
fn spread(members: &[Member]) -> Box<[u32]> {
    let divisor = members.iter().fold(0, |divisor, member| gcd(divisor, member.weight)).max(1);
    let total: u64 = members.iter().map(|member| member.weight / divisor).sum();
    let scale = |weight: u64| match total <= ROTATION {
        true => (weight / divisor) as i64,
        false => (u128::from(weight / divisor) * u128::from(ROTATION) / u128::from(total)).max(1) as i64,
    };
    let weights: Vec<i64> = members.iter().map(|member| scale(member.weight)).collect();
    let total: i64 = weights.iter().sum();
    let mut current = vec![0i64; weights.len()];
    (0..total)
        .map(|_| {
            let mut best = 0;
            for (i, weight) in weights.iter().enumerate() {
                current[i] += weight;
                if current[i] > current[best] {
                    best = i;
                }
            }
            current[best] -= total;
            members[best].index
        })
        .collect()
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
