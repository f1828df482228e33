//! How the load is split between priorities, and which endpoints of each take part.
//! See <https://www.envoyproxy.io/docs/envoy/v1.40.0/intro/arch_overview/upstream/load_balancing/priority>.

use std::collections::BTreeMap;

use super::group::{Member, Pool};
use super::{Availability, EndpointSet, Seen, Settings};

/// Percent.
const OVERPROVISIONING: u64 = 140;
const PANIC_THRESHOLD: u64 = 50;

/// The endpoints of one priority, by locality: weight of the locality, members, and how they are.
#[derive(Default)]
struct Priority {
    localities: Vec<(u32, Vec<(Member, Availability)>)>,
}

type Shares = Box<[(u32, u32)]>;

pub(super) fn pools(
    set: &EndpointSet,
    settings: &Settings,
    seen: &dyn Fn(usize) -> Seen,
    part: &Part<'_>,
) -> (Shares, Box<[Pool]>) {
    let priorities = priorities(set, seen, part);
    let factor = set.overprovisioning.map_or(OVERPROVISIONING, u64::from);
    let threshold = settings.common.healthy_panic_threshold;
    let threshold =
        threshold.map_or(PANIC_THRESHOLD, |it| (u64::from(it.parts_per_million) + 5_000) / 10_000);
    let mut shares = Vec::new();
    let mut pools = Vec::new();
    for Load { priority, kind, percent } in loads(&priorities, factor, threshold) {
        let takes = |it: Availability| match kind {
            Kind::Healthy => it == Availability::Healthy,
            Kind::Degraded => it == Availability::Degraded,
            Kind::Panic => true,
        };
        if let Some(pool) = priorities[priority].pool(set, settings, factor, kind == Kind::Panic, &takes) {
            shares.push((percent, pools.len() as u32));
            pools.push(pool);
        }
    }
    (shares.into(), pools.into())
}

/// Of the endpoints of a set.
pub(super) struct Part<'a> {
    pub takes: &'a dyn Fn(usize) -> bool,
    /// A locality of which not all takes part has less weight.
    pub scale: bool,
}

impl Part<'_> {
    pub const WHOLE: Part<'static> = Part { takes: &|_| true, scale: false };
}

fn priorities(set: &EndpointSet, seen: &dyn Fn(usize) -> Seen, part: &Part<'_>) -> Vec<Priority> {
    let mut found: BTreeMap<u32, Priority> = BTreeMap::new();
    for locality in &*set.localities {
        let (from, to) = locality.members;
        let member = |index: u32| {
            let Seen { availability, share } = seen(index as usize);
            let weight = set.endpoints[index as usize].weight.unwrap_or(1).max(1);
            (Member { index, weight: scaled(weight, share) }, availability)
        };
        let members: Vec<_> = (from..to).filter(|index| (part.takes)(*index as usize)).map(member).collect();
        let weight = match part.scale {
            true => scaled_down(locality.weight, members.len(), (to - from) as usize),
            false => locality.weight,
        };
        found.entry(locality.priority).or_default().localities.push((weight, members));
    }
    found.into_values().collect()
}

/// A locality's weight where only some of its endpoints take part; not below 1.
fn scaled_down(weight: u32, some: usize, all: usize) -> u32 {
    let scaled = f64::from(weight) * some as f64 / all.max(1) as f64;
    if weight == 0 { 0 } else { (scaled.round() as u32).max(1) }
}

/// Weights in thousandths, so that small ones can grow slowly.
fn scaled(weight: u32, share: u32) -> u64 {
    (u64::from(weight) * u64::from(share) / 1_000).max(1)
}

struct Load {
    priority: usize,
    kind: Kind,
    percent: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Healthy,
    Degraded,
    /// All of them.
    Panic,
}

/// The shares of the load, which add up to 100 where there is an endpoint to use.
fn loads(priorities: &[Priority], factor: u64, threshold: u64) -> Vec<Load> {
    let percent = |count: u64, total: u64| (count * factor).checked_div(total).map_or(0, |it| it.min(100));
    let counts: Vec<_> = priorities.iter().map(Priority::counts).collect();
    let healthy: Vec<u64> = counts.iter().map(|it| percent(it.healthy, it.total)).collect();
    let degraded: Vec<u64> = counts.iter().map(|it| percent(it.degraded, it.total)).collect();
    let available = healthy.iter().chain(&degraded).sum::<u64>().min(100);
    if available == 0 && threshold == 0 {
        return Vec::new();
    }
    let in_panic = |it: &Counts| {
        available < 100 && it.total > 0 && (it.healthy + it.degraded) * 100 < threshold * it.total
    };
    if counts.iter().all(|it| it.total == 0 || in_panic(it)) {
        return in_total_panic(&counts);
    }
    let mut rest = 100;
    let mut loads = Vec::new();
    for (kind, all) in [(Kind::Healthy, &healthy), (Kind::Degraded, &degraded)] {
        for (priority, share) in all.iter().enumerate() {
            let load = rest.min(share * 100 / available);
            rest -= load;
            if load > 0 {
                let kind = if in_panic(&counts[priority]) { Kind::Panic } else { kind };
                loads.push(Load { priority, kind, percent: load as u32 });
            }
        }
    }
    // What rounding left.
    if let Some(first) = loads.first_mut() {
        first.percent += rest as u32;
    }
    loads
}

/// By numbers of endpoints.
fn in_total_panic(counts: &[Counts]) -> Vec<Load> {
    let all: u64 = counts.iter().map(|it| it.total).sum();
    let with_any = counts.iter().enumerate().filter(|(_, it)| it.total > 0);
    let mut loads: Vec<Load> = with_any
        .map(|(priority, it)| Load { priority, kind: Kind::Panic, percent: (it.total * 100 / all) as u32 })
        .collect();
    let given: u32 = loads.iter().map(|load| load.percent).sum();
    if let Some(first) = loads.first_mut() {
        first.percent += 100 - given;
    }
    loads
}

struct Counts {
    total: u64,
    healthy: u64,
    degraded: u64,
}

impl Priority {
    fn counts(&self) -> Counts {
        let all = || self.localities.iter().flat_map(|(_, members)| members);
        let count = |kind| all().filter(|(_, it)| *it == kind).count() as u64;
        Counts {
            total: all().filter(|(_, it)| *it != Availability::Excluded).count() as u64,
            healthy: count(Availability::Healthy),
            degraded: count(Availability::Degraded),
        }
    }

    /// `None`: nobody takes part.
    fn pool(
        &self,
        set: &EndpointSet,
        settings: &Settings,
        factor: u64,
        panic: bool,
        takes: &dyn Fn(Availability) -> bool,
    ) -> Option<Pool> {
        let mut groups: Vec<(u64, Vec<Member>)> = Vec::new();
        for (weight, members) in &self.localities {
            let chosen: Vec<Member> =
                members.iter().filter(|(_, it)| takes(*it)).map(|(member, _)| *member).collect();
            // A locality keeps its weight as long as enough of it takes part.
            let known = members.iter().filter(|(_, it)| *it != Availability::Excluded).count() as u64;
            let part = (chosen.len() as u64 * factor * 10).checked_div(known).unwrap_or(0);
            groups.push((u64::from(*weight) * part.min(1_000), chosen));
        }
        let weighted = settings.common.locality_weighted && groups.iter().any(|(weight, _)| *weight > 0);
        if weighted {
            groups.retain(|(weight, members)| *weight > 0 && !members.is_empty());
        } else {
            let all: Vec<Member> = groups.into_iter().flat_map(|(_, members)| members).collect();
            groups = if all.is_empty() { Vec::new() } else { vec![(1, all)] };
        }
        (!groups.is_empty()).then(|| Pool::new(set, settings, groups, panic))
    }
}
