//! AuthorizationPolicy.

use super::common::{selector, targets};
use super::names::{Verdict, subnet};
use crate::reader::Item;

pub(super) fn check(spec: &Item<'_>) {
    selector(spec, "selector", "matchLabels");
    targets(spec);
    let action = spec.field_choice("action", &["ALLOW", "DENY", "AUDIT", "CUSTOM"]);
    if matches!(action, "DENY" | "CUSTOM") && !spec.has("rules") {
        spec.invalid(format!("{action} without rules never applies; add an empty rule to match everything"));
    }
    match (action, spec.field("provider")) {
        ("CUSTOM", provider) if spec.has("rules") => {
            if !provider.is_some_and(|provider| provider.has_some("name")) {
                spec.invalid("CUSTOM needs provider.name".into());
            }
        }
        ("CUSTOM", _) | (_, None) => {}
        (_, Some(provider)) => provider.invalid(format!("only CUSTOM takes a provider, not {action}")),
    }
    for rule in spec.each("rules") {
        if action == "CUSTOM" {
            check_custom(&rule);
        }
        check_rule(&rule, action);
    }
}

/// Conditions that an external authorizer's filter cannot have, since they are known only later.
const NOT_CUSTOM: [&str; 10] = [
    "namespaces",
    "notNamespaces",
    "serviceAccounts",
    "notServiceAccounts",
    "trustDomains",
    "notTrustDomains",
    "principals",
    "notPrincipals",
    "requestPrincipals",
    "notRequestPrincipals",
];

fn check_custom(rule: &Item<'_>) {
    for source in rule.each("from").iter().filter_map(|from| from.field("source")) {
        for name in NOT_CUSTOM.iter().filter(|name| source.has_some(name)) {
            source.field_or_self(name).invalid("is not supported with CUSTOM".into());
        }
    }
    for condition in rule.each("when") {
        let key = condition.field_text("key");
        let peer = ["source.namespace", "source.serviceAccount", "source.trustDomain", "source.principal"];
        if peer.contains(&key) || key.starts_with("request.auth.") {
            condition.field_or_self("key").invalid(format!("{key} is not supported with CUSTOM"));
        }
    }
}

/// Fields of a source that mean something without HTTP.
const OF_TCP: [&str; 10] = [
    "principals",
    "notPrincipals",
    "namespaces",
    "notNamespaces",
    "ipBlocks",
    "notIpBlocks",
    "remoteIpBlocks",
    "notRemoteIpBlocks",
    "serviceAccounts",
    "notServiceAccounts",
];

fn check_rule(rule: &Item<'_>, action: &str) {
    for name in ["from", "to"].iter().filter(|name| rule.has(name) && !rule.has_some(name)) {
        rule.field_or_self(name).invalid("must not be empty".into());
    }
    for (list, inner) in [("from", "source"), ("to", "operation")] {
        for part in rule.each(list) {
            match part.field(inner) {
                None => part.invalid(format!("{inner} is required")),
                Some(item) if inner == "source" => check_source(&item),
                Some(item) => check_operation(&item),
            }
        }
    }
    rule.each("when").iter().for_each(check_condition);
    let inner = |list: &str, inner: &str, names: &[&str]| {
        let parts: Vec<Item<'_>> = rule.each(list).iter().filter_map(|part| part.field(inner)).collect();
        (!parts.is_empty(), parts.iter().any(|part| names.iter().any(|name| part.has(name))))
    };
    let (has_from, tcp_from) = inner("from", "source", &OF_TCP);
    let (has_to, tcp_to) = inner("to", "operation", &["ports", "notPorts"]);
    if action == "DENY" && (has_from && !has_to && !tcp_from || has_to && !tcp_to) {
        rule.warn(
            "uses only attributes of HTTP, so it denies all traffic to ports of TCP that the policy selects; \
             name the ports",
        );
    }
}

fn check_source(source: &Item<'_>) {
    if !source.node().entries().iter().any(|entry| !entry.node.items().is_empty()) {
        source.invalid("must not be empty".into());
    }
    for name in ["ipBlocks", "notIpBlocks", "remoteIpBlocks", "notRemoteIpBlocks"] {
        source.each(name).iter().for_each(|item| item.judge(subnet(item.text())));
    }
    for name in ["principals", "requestPrincipals", "namespaces"] {
        not_empty(source, name);
    }
    for name in ["notPrincipals", "notRequestPrincipals", "notNamespaces"] {
        not_empty(source, name);
    }
    for name in ["serviceAccounts", "notServiceAccounts"] {
        source.each(name).iter().for_each(|item| item.judge(service_account(item.text())));
    }
    for name in ["trustDomains", "notTrustDomains"] {
        source.each(name).iter().for_each(|item| item.judge(trust_domain(item.text())));
    }
}

fn check_operation(operation: &Item<'_>) {
    if !operation.node().entries().iter().any(|entry| !entry.node.items().is_empty()) {
        operation.invalid("must not be empty".into());
    }
    for name in ["ports", "notPorts"] {
        operation.each(name).iter().for_each(|item| item.judge(port(item.text())));
    }
    for name in ["methods", "notMethods", "hosts", "notHosts", "paths", "notPaths"] {
        not_empty(operation, name);
    }
    for name in ["paths", "notPaths"] {
        operation.each(name).iter().for_each(|item| item.judge(path(item.text())));
    }
}

/// An empty value would match what is not there.
fn not_empty(at: &Item<'_>, name: &str) {
    for item in at.each(name).iter().filter(|item| item.text().is_empty()) {
        item.invalid("must not be empty".into());
    }
}

/// `ACCOUNT` or `NAMESPACE/ACCOUNT`, without wildcards.
fn service_account(text: &str) -> Verdict {
    let (namespace, account) = text.split_once('/').unwrap_or(("-", text));
    if text.contains('*') || namespace.is_empty() || account.is_empty() || account.contains('/') {
        return Err(format!("{text:?} is not of the form ACCOUNT or NAMESPACE/ACCOUNT, without wildcards"));
    }
    Ok(())
}

/// Exact, `PREFIX*`, `*SUFFIX` or `*`.
fn wildcard(text: &str) -> Verdict {
    let stars = text.matches('*').count();
    let at_end = text.starts_with('*') || text.ends_with('*');
    match text {
        "" => Err("must not be empty".into()),
        _ if stars > 1 || stars == 1 && !at_end => {
            Err(format!("{text:?}: one wildcard is possible, at the beginning or the end"))
        }
        _ => Ok(()),
    }
}

fn trust_domain(text: &str) -> Verdict {
    wildcard(text)?;
    if text.contains('/') { Err(format!("{text:?} is no trust domain")) } else { Ok(()) }
}

fn port(text: &str) -> Verdict {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if digits && text.parse::<u16>().is_ok() { Ok(()) } else { Err(format!("{text:?} is no port")) }
}

/// A path, in which `{*}` stands for a segment and `{**}`, at last, for any number of them.
fn path(text: &str) -> Verdict {
    let is_template = text.contains("{*}") || text.contains("{**}");
    let mut rest_taken = false;
    for segment in text.trim_matches('/').split('/') {
        match segment {
            "{*}" | "{**}" if rest_taken => {
                return Err(format!("{text:?}: {{**}} must be the last operator"));
            }
            "{*}" => {}
            "{**}" => rest_taken = true,
            _ if segment.contains(['{', '}']) => {
                return Err(format!("{text:?}: only {{*}} and {{**}} are possible, as whole segments"));
            }
            _ if is_template && !is_literal(segment) => {
                return Err(format!("{text:?}: {segment:?} cannot stand in a template"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Characters of a path's segment (RFC 3986, section 3.3), without `*`.
fn is_literal(segment: &str) -> bool {
    !segment.is_empty()
        && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%!$&'()+,;:@=".contains(&b))
}

/// `when`: a key that Istio knows, with values in its form. See
/// <https://istio.io/latest/docs/reference/config/security/conditions/>.
fn check_condition(condition: &Item<'_>) {
    let key = condition.field_text("key");
    let at = condition.field_or_self("key");
    if condition.has("key") && key.is_empty() {
        return at.invalid("must not be empty".into());
    }
    if !condition.has_some("values") && !condition.has_some("notValues") {
        return condition.invalid("needs values or notValues".into());
    }
    let judge: fn(&str) -> Verdict = match key {
        "source.ip" | "remote.ip" | "destination.ip" => subnet,
        "destination.port" => port,
        "source.serviceAccount" => service_account,
        "source.trustDomain" => wildcard,
        _ => {
            at.judge(condition_key(key));
            |text| if text.is_empty() { Err("must not be empty".into()) } else { Ok(()) }
        }
    };
    for name in ["values", "notValues"] {
        condition.each(name).iter().for_each(|item| item.judge(judge(item.text())));
    }
}

/// Keys whose values may be any text.
const KEYS: [&str; 6] = [
    "source.namespace",
    "source.principal",
    "request.auth.principal",
    "request.auth.audiences",
    "request.auth.presenter",
    "connection.sni",
];

/// Keys that name something in brackets.
const BRACKETED: [&str; 3] = ["request.headers", "request.auth.claims", "experimental.envoy.filters."];

fn condition_key(key: &str) -> Verdict {
    if KEYS.contains(&key) {
        return Ok(());
    }
    if BRACKETED.iter().any(|prefix| key.starts_with(prefix)) {
        let inner = key.find('[').filter(|open| *open > 0).map(|open| &key[open + 1..]);
        let good = inner.is_some_and(|inner| inner.len() > 1 && inner.ends_with(']'));
        return if good { Ok(()) } else { Err(format!("{key:?} is not of the form NAME[KEY]")) };
    }
    Err(match key {
        "destination.namespace" => {
            "destination.namespace is not needed: a policy is of its own namespace".into()
        }
        _ if key.starts_with("destination.labels") => "destination.labels is replaced by the selector".into(),
        _ => format!("{key:?} is no attribute that a condition can be on"),
    })
}
