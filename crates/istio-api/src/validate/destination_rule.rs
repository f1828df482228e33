//! DestinationRule and its traffic policies.

use std::collections::BTreeSet;

use super::common::{Exported, duration_text, labels, port, selector, visibility};
use super::names::{domain, ip_address, is_label, wildcard_domain};
use super::{About, connection, locality, tls};
use crate::reader::Item;

pub(super) fn check(spec: &Item<'_>, about: &About<'_>) {
    if let Some(host) = spec.field("host") {
        host.judge(wildcard_domain(host.text()));
    }
    policy(spec, about);
    let mut names = BTreeSet::new();
    for subset in spec.each("subsets") {
        let name = subset.field_text("name");
        if subset.has("name") && !is_label(name) {
            let message = format!("{name:?} is no DNS label (letters, digits and -, at most 63)");
            subset.field_or_self("name").invalid(message);
        }
        if subset.has("name") && !names.insert(name) {
            subset.field_or_self("name").invalid(format!("the subset {name} is given twice"));
        }
        labels(&subset, "labels");
        policy(&subset, about);
    }
    let selects = spec.has("workloadSelector");
    visibility(spec, about.namespace, Exported::DestinationRule { selects });
    selector(spec, "workloadSelector", "matchLabels");
}

const PARTS: [&str; 8] = [
    "outlierDetection",
    "connectionPool",
    "loadBalancer",
    "tls",
    "portLevelSettings",
    "tunnel",
    "proxyProtocol",
    "retryBudget",
];

/// `trafficPolicy` of a rule or a subset.
fn policy(at: &Item<'_>, about: &About<'_>) {
    let Some(policy) = at.field("trafficPolicy") else { return };
    if !PARTS.iter().any(|part| policy.has(part)) {
        return policy.invalid("must not be empty".into());
    }
    if policy.has("tunnel") && policy.has("proxyProtocol") {
        policy.invalid("tunnel and proxyProtocol cannot be set together".into());
    }
    common(&policy, about);
    for level in policy.each("portLevelSettings") {
        if !level.has("port") {
            level.invalid("port is required".into());
        }
        if !PARTS[..4].iter().any(|part| level.has(part)) {
            level.invalid("has a port and nothing to be set for it".into());
        }
        common(&level, about);
    }
    if let Some(budget) = policy.field("retryBudget") {
        duration_text(&budget, "budgetInterval");
    }
    if let Some(tunnel) = policy.field("tunnel") {
        check_tunnel(&tunnel);
    }
}

/// What a policy has for all ports and for single ones.
fn common(policy: &Item<'_>, about: &About<'_>) {
    if let Some(detection) = policy.field("outlierDetection") {
        connection::outlier_detection(&detection);
    }
    connection::pool(policy, "connectionPool");
    if let Some(balancer) = policy.field("loadBalancer") {
        connection::load_balancer(&balancer);
        locality::check(&balancer, policy.has("outlierDetection"));
    }
    if let Some(settings) = policy.field("tls") {
        tls::client(&settings, about.namespace);
    }
}

fn check_tunnel(tunnel: &Item<'_>) {
    if !matches!(tunnel.field_text("protocol"), "" | "CONNECT" | "POST") {
        tunnel.field_or_self("protocol").invalid("must be CONNECT or POST".into());
    }
    if let Some(host) = tunnel.field("targetHost")
        && domain(host.text()).is_err()
        && ip_address(host.text()).is_err()
    {
        host.invalid(format!("{:?} is neither a full host name nor an IP address", host.text()));
    }
    if tunnel.has("targetPort") {
        port(tunnel, "targetPort", false);
    }
}
