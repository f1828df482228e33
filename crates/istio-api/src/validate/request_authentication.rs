//! RequestAuthentication.

use super::common::{duration, selector, targets};
use crate::reader::Item;
use crate::yaml::{self, Node};

pub(super) fn check(spec: &Item<'_>) {
    selector(spec, "selector", "matchLabels");
    targets(spec);
    spec.each("jwtRules").iter().for_each(check_rule);
}

fn check_rule(rule: &Item<'_>) {
    if !rule.has_some("issuer") && !rule.has_some("jwksUri") {
        rule.invalid("needs issuer or jwksUri".into());
    }
    if let Some(keys) = rule.field("jwks").filter(|keys| !keys.text().is_empty()) {
        check_keys(&keys);
    }
    duration(rule, "timeout");
}

/// Private members of keys, by type (RFC 7518, section 6).
const PRIVATE: [&str; 2] = ["d", "k"];

/// A set of keys, or a single one (RFC 7517).
fn check_keys(item: &Item<'_>) {
    let loaded = yaml::split(item.text()).first().copied().map(yaml::load);
    let Some(Ok(documents)) = loaded else { return item.invalid("is no JSON".into()) };
    let Some(set) = documents.first() else { return item.invalid("is no JSON".into()) };
    let single = std::slice::from_ref(set);
    let keys = match set.field("keys") {
        Some(keys) => keys.items(),
        None if set.field("kty").is_some() => single,
        None => return item.invalid("is no set of keys: it has neither keys nor kty".into()),
    };
    for (index, key) in keys.iter().enumerate() {
        if let Some(what) = missing(key) {
            item.invalid(format!("the key {index} has no {what}"));
        }
        if PRIVATE.iter().any(|name| key.field(name).is_some()) {
            item.warn(format!(
                "the key {index} has its private part, which is not needed and should not be here"
            ));
        }
    }
}

/// The member that a key lacks.
fn missing(key: &Node) -> Option<&'static str> {
    let needed: &[&'static str] = match key.field("kty").map_or("", Node::text) {
        "RSA" => &["n", "e"],
        "EC" => &["crv", "x", "y"],
        "OKP" => &["crv", "x"],
        "oct" => &["k"],
        _ => return Some("kty of RSA, EC, OKP or oct"),
    };
    needed.iter().copied().find(|name| key.field(name).is_none())
}
