//! Which localities a client's requests go to: shares (`distribute`), and who takes over when the
//! nearest endpoints fail (`failover`, `failoverPriority`). See
//! <https://istio.io/latest/docs/reference/config/networking/destination-rule/#LocalityLoadBalancerSetting>.

use std::collections::BTreeMap;

use istio_api::networking::load_balancer::{Distribute, Failover, LocalityLbSetting};
use model::{Labels, Locality};

use crate::unit::ScopeKey;

/// What holds for a client of a cluster. `None`: localities do not matter.
pub fn effective<'a>(
    mesh: Option<&'a LocalityLbSetting>,
    rule: Option<&'a LocalityLbSetting>,
) -> Option<&'a LocalityLbSetting> {
    rule.or(mesh).filter(|setting| setting.enabled != Some(false))
}

/// Whether Envoy is to weigh localities at all; else it would change what balancers do. `fails`:
/// endpoints that fail are found out, without which nobody would ever take over.
pub fn is_weighted(setting: Option<&LocalityLbSetting>, fails: bool) -> bool {
    setting.is_some_and(|setting| {
        let failover = !setting.failover.is_empty() || !setting.failover_priority.is_empty();
        !setting.distribute.is_empty() || fails && failover
    })
}

/// The endpoints of a locality that have the same priority.
#[derive(Clone, Debug, PartialEq)]
pub struct Group<T> {
    pub locality: Locality,
    /// Of all its endpoints; at least 1.
    pub weight: u32,
    /// 0 is used first.
    pub priority: u32,
    pub endpoints: Vec<T>,
}

/// An endpoint, as far as it matters where it is.
pub struct Placed<T> {
    pub locality: Locality,
    pub labels: Labels,
    pub weight: u32,
    pub endpoint: T,
}

/// Groups endpoints by locality and priority for the client of the scope.
pub fn groups<T>(
    placed: Vec<Placed<T>>,
    setting: Option<&LocalityLbSetting>,
    fails: bool,
    scope: &ScopeKey,
) -> Vec<Group<T>> {
    let Some(setting) = setting else { return by_locality(placed, |_| 0) };
    if !setting.distribute.is_empty() {
        return distribute(by_locality(placed, |_| 0), &setting.distribute, &scope.locality);
    }
    if !fails {
        return by_locality(placed, |_| 0);
    }
    let labels = &setting.failover_priority;
    let mut groups = by_locality(placed, |placed| label_priority(labels, placed, scope));
    if labels.is_empty() || !setting.failover.is_empty() {
        for group in &mut groups {
            let place = place_priority(&scope.locality, &group.locality, &setting.failover);
            group.priority = group.priority.saturating_mul(5).saturating_add(place);
        }
    }
    contiguous(&mut groups);
    groups
}

fn by_locality<T>(placed: Vec<Placed<T>>, priority: impl Fn(&Placed<T>) -> u32) -> Vec<Group<T>> {
    let mut groups: BTreeMap<(Locality, u32), Group<T>> = BTreeMap::new();
    for placed in placed {
        let priority = priority(&placed);
        let group = groups.entry((placed.locality.clone(), priority)).or_insert_with(|| Group {
            locality: placed.locality.clone(),
            weight: 0,
            priority,
            endpoints: Vec::new(),
        });
        group.weight = group.weight.saturating_add(placed.weight.max(1));
        group.endpoints.push(placed.endpoint);
    }
    groups.into_values().collect()
}

/// Each locality's share, split among the localities that a pattern stands for by their weights.
/// What no pattern names gets nothing.
fn distribute<T>(mut groups: Vec<Group<T>>, all: &[Distribute], from: &Locality) -> Vec<Group<T>> {
    let Some(shares) = all.iter().find(|distribute| matches(from, &distribute.from)) else { return groups };
    let mut patterns: Vec<(&str, u32)> = shares.to.iter().map(|(to, share)| (to.as_str(), *share)).collect();
    // What is more specific takes its localities first.
    patterns.sort_by_key(|(pattern, _)| (pattern.contains('*'), std::cmp::Reverse(pattern.len())));
    let mut taken = vec![false; groups.len()];
    for (pattern, share) in patterns {
        let named: Vec<usize> = (0..groups.len())
            .filter(|index| !taken.get(*index).copied().unwrap_or(true))
            .filter(|index| groups.get(*index).is_some_and(|group| matches(&group.locality, pattern)))
            .collect();
        let weight = |index: &usize| groups.get(*index).map_or(0, |group| u64::from(group.weight));
        let total: u64 = named.iter().map(weight).sum::<u64>().max(1);
        for index in named {
            if let (Some(group), Some(taken)) = (groups.get_mut(index), taken.get_mut(index)) {
                let part = (u64::from(group.weight) * u64::from(share)).div_ceil(total);
                group.weight = u32::try_from(part).unwrap_or(u32::MAX);
                *taken = share > 0;
            }
        }
    }
    let mut keep = taken.into_iter();
    groups.retain(|_| keep.next().unwrap_or(false));
    groups
}

/// Whether a locality is meant by `REGION/ZONE/SUBZONE`, in which `*` or an end stands for the rest.
fn matches(locality: &Locality, pattern: &str) -> bool {
    let parts = [&locality.region, &locality.zone, &locality.sub_zone];
    for (index, wanted) in pattern.split('/').enumerate() {
        if wanted == "*" {
            return true;
        }
        if parts.get(index).is_none_or(|part| **part != *wanted) {
            return false;
        }
    }
    true
}

/// How many of the labels, most important first, an endpoint does not share with the client: all
/// from the first one that differs.
fn label_priority<T>(wanted: &[model::Str], placed: &Placed<T>, scope: &ScopeKey) -> u32 {
    let differs = wanted.iter().position(|label| {
        let (key, value) = label.split_once('=').map_or((label.as_str(), None), |(k, v)| (k, Some(v)));
        let own = value.or_else(|| label_of(key, &scope.labels, &scope.locality));
        own != label_of(key, &placed.labels, &placed.locality)
    });
    differs.map_or(0, |index| u32::try_from(wanted.len().saturating_sub(index)).unwrap_or(u32::MAX))
}

/// A label, or what the locality says in its place.
fn label_of<'a>(key: &str, labels: &'a Labels, locality: &'a Locality) -> Option<&'a str> {
    let place = |text: &'a model::Str| Some(text.as_str()).filter(|text| !text.is_empty());
    labels.get(key).or_else(|| match key {
        "topology.kubernetes.io/region" => place(&locality.region),
        "topology.kubernetes.io/zone" => place(&locality.zone),
        "topology.istio.io/subzone" => place(&locality.sub_zone),
        _ => None,
    })
}

/// 0: the same place; then the same zone, the same region, the region that takes over, any other.
fn place_priority(client: &Locality, other: &Locality, failover: &[Failover]) -> u32 {
    if client.region != other.region {
        let takes_over = failover.iter().find(|failover| failover.from == client.region);
        return if takes_over.is_none_or(|failover| failover.to == other.region) { 3 } else { 4 };
    }
    match (client.zone == other.zone, client.sub_zone == other.sub_zone) {
        (true, true) => 0,
        (true, false) => 1,
        (false, _) => 2,
    }
}

/// Envoy wants priorities without gaps.
fn contiguous<T>(groups: &mut [Group<T>]) {
    let mut all: Vec<u32> = groups.iter().map(|group| group.priority).collect();
    all.sort_unstable();
    all.dedup();
    for group in groups {
        let rank = all.binary_search(&group.priority).unwrap_or(0);
        group.priority = u32::try_from(rank).unwrap_or(u32::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_end_anywhere() {
        let here = Locality::parse("r/z/s");
        for pattern in ["*", "r", "r/*", "r/z", "r/z/*", "r/z/s"] {
            assert!(matches(&here, pattern), "{pattern}");
        }
        for pattern in ["x", "r/x", "r/z/x", "r/x/*"] {
            assert!(!matches(&here, pattern), "{pattern}");
        }
    }

    #[test]
    fn nearer_is_earlier() {
        let client = Locality::parse("r/z/s");
        let rank = |text: &str, to: &str| {
            let failover = [Failover { from: "r".into(), to: to.into() }];
            place_priority(&client, &Locality::parse(text), &failover)
        };
        let ranks = ["r/z/s", "r/z/t", "r/y/s", "q/z/s", "p/z/s"].map(|text| rank(text, "q"));
        assert_eq!(ranks, [0, 1, 2, 3, 4]);
    }
}
