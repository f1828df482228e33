//! Which labels of a client rules look at: only by these may proxies of one namespace differ in
//! what they are told.

use istio_api::networking::{DestinationRule, LoadBalancerSettings, TrafficPolicy, VirtualService};
use istio_api::{Document, Kind};
use model::{Labels, Str};

use crate::{Delta, Key, Snapshot};

/// Brings the counts up to date with one object that changed.
pub(crate) fn count(
    next: &mut Snapshot,
    before: Option<&Document>,
    after: Option<&Document>,
    delta: &mut Delta,
) {
    let mut touched = false;
    for key in after.map(keys_of).unwrap_or_default() {
        let uses = next.client_labels.entry(key).or_default();
        *uses += 1;
        touched |= *uses == 1;
    }
    for key in before.map(keys_of).unwrap_or_default() {
        let left = next.client_labels.get(&key).map_or(0, |uses| uses.saturating_sub(1));
        if left == 0 {
            touched = true;
            next.client_labels.remove(&key);
        } else {
            next.client_labels.insert(key, left);
        }
    }
    if touched {
        delta.insert(Key::ClientLabels);
    }
}

/// Of a client's labels, those that some rule looks at.
pub(crate) fn relevant(snapshot: &Snapshot, labels: &Labels) -> Labels {
    let mesh = snapshot.mesh.locality_lb_setting.iter().flat_map(|setting| &setting.failover_priority);
    let mesh: Vec<&str> = mesh.map(|label| key_of(label)).collect();
    let relevant = |key: &Str| snapshot.client_labels.contains_key(key) || mesh.contains(&key.as_str());
    Labels(labels.0.iter().filter(|(key, _)| relevant(key)).map(|(k, v)| (k.clone(), v.clone())).collect())
}

/// Each use of a label, so that they can be counted.
fn keys_of(document: &Document) -> Vec<Str> {
    match &document.body {
        Kind::VirtualService(spec) => of_virtual_service(spec),
        Kind::DestinationRule(spec) => of_rule(spec),
        _ => Vec::new(),
    }
}

fn of_virtual_service(spec: &VirtualService) -> Vec<Str> {
    let http = spec.http.iter().flat_map(|rule| &rule.matches).map(|m| &m.source_labels);
    let tls = spec.tls.iter().flat_map(|rule| &rule.matches).map(|m| &m.source_labels);
    let tcp = spec.tcp.iter().flat_map(|rule| &rule.matches).map(|m| &m.source_labels);
    http.chain(tls).chain(tcp).flat_map(|labels| labels.0.keys()).cloned().collect()
}

fn of_rule(spec: &DestinationRule) -> Vec<Str> {
    let mut keys: Vec<Str> =
        spec.workload_selector.iter().flat_map(|selector| selector.match_labels.0.keys()).cloned().collect();
    let policies = spec.subsets.iter().filter_map(|subset| subset.traffic_policy.as_ref());
    for policy in spec.traffic_policy.iter().chain(policies) {
        keys.extend(of_policy(policy));
    }
    keys
}

fn of_policy(policy: &TrafficPolicy) -> Vec<Str> {
    let ports = policy.ports.iter().filter_map(|port| port.load_balancer_settings.as_ref());
    let settings = policy.load_balancer_settings.iter().chain(ports);
    let priorities = |settings: &LoadBalancerSettings| {
        let of_locality = settings.locality_lb_setting.iter().flat_map(|setting| &setting.failover_priority);
        let of_zones = settings.zone_aware_lb_setting.iter().flat_map(|setting| &setting.failover_priority);
        of_locality.chain(of_zones).map(|label| Str::from(key_of(label))).collect::<Vec<_>>()
    };
    settings.flat_map(priorities).collect()
}

/// `KEY` of `KEY` or `KEY=VALUE`.
fn key_of(label: &str) -> &str {
    label.split_once('=').map_or(label, |(key, _)| key)
}
