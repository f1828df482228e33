//! Which localities get requests: `localityLbSetting` and `zoneAwareLbSetting`.

use std::collections::BTreeSet;

use crate::reader::Item;

/// Labels that localities have by themselves.
const TOPOLOGY: [&str; 3] =
    ["topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone"];

pub(super) fn check(balancer: &Item<'_>, outlier_detection: bool) {
    let (locality, zone) = (balancer.field("localityLbSetting"), balancer.field("zoneAwareLbSetting"));
    if let (Some(_), Some(zone)) = (&locality, &zone) {
        zone.invalid("cannot stand beside localityLbSetting".into());
    }
    for (setting, zone_aware) in [(locality, false), (zone, true)] {
        let Some(setting) = setting else { continue };
        if !zone_aware {
            check_distribution(&setting);
        }
        check_priority(&setting, zone_aware);
        let fails_over = setting.has_some("failover") || setting.has_some("failoverPriority");
        if fails_over && !outlier_detection {
            setting.warn("failover needs outlierDetection: without it no host counts as failed");
        }
        setting.each("failover").iter().for_each(check_failover);
    }
}

fn check_distribution(setting: &Item<'_>) {
    if setting.has_some("distribute") && setting.has_some("failover") {
        setting.invalid("only one of distribute and failover can be set".into());
        return;
    }
    let rules = setting.each("distribute");
    for rule in &rules {
        let shares = rule.each_entry("to");
        let weights: Vec<i64> = shares.iter().map(|(_, item)| item.text().parse().unwrap_or(0)).collect();
        if weights.iter().any(|weight| !(1..=100).contains(weight)) {
            rule.field_or_self("to").invalid("each share must be from 1 to 100".into());
        } else if weights.iter().sum::<i64>() != 100 {
            let total = weights.iter().sum::<i64>();
            rule.field_or_self("to").invalid(format!("the shares add up to {total}, not 100"));
        }
        check_overlap(shares.iter().map(|(name, item)| (*name, item)));
    }
    let froms: Vec<Item<'_>> = rules.iter().map(|rule| rule.field_or_self("from")).collect();
    check_overlap(rules.iter().zip(&froms).map(|(rule, from)| (rule.field_text("from"), from)));
}

/// `REGION/ZONE/SUBZONE` or a part of it, where `*` may stand at the end; none within another.
fn check_overlap<'i>(localities: impl Iterator<Item = (&'i str, &'i Item<'i>)>) {
    let mut seen: BTreeSet<Vec<&str>> = BTreeSet::new();
    for (locality, item) in localities {
        let stars = locality.matches('*').count();
        let parts: Vec<&str> = locality.splitn(3, '/').collect();
        if stars > 1 || stars == 1 && !locality.ends_with('*') {
            item.invalid(format!("{locality:?}: a wildcard may stand at the end only"));
        } else if parts.iter().any(|part| part.is_empty()) {
            item.invalid(format!("{locality:?} has an empty region, zone or subzone"));
        } else {
            let area: Vec<&str> = parts.into_iter().filter(|part| *part != "*").collect();
            let overlaps = |other: &Vec<&str>| other.starts_with(&area) || area.starts_with(other);
            if seen.iter().any(overlaps) {
                item.invalid(format!("{locality:?} overlaps with an earlier one"));
            }
            seen.insert(area);
        }
    }
}

fn check_priority(setting: &Item<'_>, zone_aware: bool) {
    for item in setting.each("failoverPriority") {
        if TOPOLOGY.contains(&item.text()) && (zone_aware || setting.has_some("failover")) {
            let why = if zone_aware { "zoneAwareLbSetting" } else { "failover" };
            item.invalid(format!("{} cannot stand beside {why}, which sees to it", item.text()));
        }
    }
}

fn check_failover(failover: &Item<'_>) {
    let (from, to) = (failover.field_text("from"), failover.field_text("to"));
    if from == to {
        failover.invalid("from and to must be different regions".into());
    }
    if [from, to].iter().any(|region| region.contains(['/', '*'])) {
        failover.invalid("from and to are regions, without zones and wildcards".into());
    }
}
