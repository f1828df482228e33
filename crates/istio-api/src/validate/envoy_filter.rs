//! EnvoyFilter, as far as it can be judged without Envoy's own messages.

use super::common::selector;
use super::regex;
use crate::reader::Item;
use crate::yaml::{Node, Scalar, Value};

const APPLY_TO: &[&str] = &[
    "INVALID",
    "LISTENER",
    "FILTER_CHAIN",
    "NETWORK_FILTER",
    "HTTP_FILTER",
    "ROUTE_CONFIGURATION",
    "VIRTUAL_HOST",
    "HTTP_ROUTE",
    "CLUSTER",
    "EXTENSION_CONFIG",
    "BOOTSTRAP",
    "LISTENER_FILTER",
];
const OPERATIONS: &[&str] = &[
    "INVALID",
    "MERGE",
    "ADD",
    "REMOVE",
    "INSERT_BEFORE",
    "INSERT_AFTER",
    "INSERT_FIRST",
    "REPLACE",
    "MERGE_AND_REPLACE_LIST",
];
const CONTEXTS: &[&str] = &["ANY", "SIDECAR_INBOUND", "SIDECAR_OUTBOUND", "GATEWAY", "WAYPOINT"];

pub(super) fn check(spec: &Item<'_>) {
    spec.warn(
        "EnvoyFilter exposes internal implementation details that may change at any time; prefer other resources",
    );
    selector(spec, "workloadSelector", "labels");
    spec.each("configPatches").iter().for_each(check_patch);
}

fn check_patch(config: &Item<'_>) {
    let matched = config.field("match");
    let context = matched.as_ref().map_or("ANY", |m| m.field_choice("context", CONTEXTS));
    if context == "WAYPOINT" {
        return;
    }
    let target = config.field_choice("applyTo", APPLY_TO);
    if target == "INVALID" {
        return config.field_or_self("applyTo").invalid("applyTo is required".into());
    }
    let Some(patch) = config.field("patch") else { return config.invalid("patch is required".into()) };
    let operation = patch.field_choice("operation", OPERATIONS);
    if operation == "INVALID" {
        return patch.field_or_self("operation").invalid("operation is required".into());
    }
    if operation != "REMOVE" && !patch.has("value") {
        return patch.invalid(format!("value is required with {operation}"));
    }
    if let Some(matched) = matched {
        check_match(&matched, target);
    }
    if let Some(value) = patch.field("value") {
        check_value(&value);
    }
}

/// A pattern longer than this is not compiled, and matches nothing.
const MAX_VERSION: usize = 1024;

fn check_match(matched: &Item<'_>, target: &str) {
    if let Some(version) = matched.field("proxy").and_then(|proxy| proxy.field("proxyVersion")) {
        if version.text().len() > MAX_VERSION {
            version.warn(format!("is longer than {MAX_VERSION} characters, and ignored"));
        } else if !version.text().is_empty() {
            version.judge(regex::compiles(version.text()));
        }
    }
    let class = match target {
        "LISTENER" | "FILTER_CHAIN" | "NETWORK_FILTER" | "HTTP_FILTER" => "listener",
        "ROUTE_CONFIGURATION" | "VIRTUAL_HOST" | "HTTP_ROUTE" => "routeConfiguration",
        "CLUSTER" => "cluster",
        _ => return,
    };
    let others = ["listener", "routeConfiguration", "cluster"].iter().filter(|name| **name != class);
    for name in others.filter(|name| matched.has(name)) {
        let message = format!("applyTo {target} takes a match of {class}, not {name}");
        matched.field_or_self(name).invalid(message);
    }
    let filter = matched
        .field("listener")
        .and_then(|listener| listener.field("filterChain"))
        .and_then(|chain| chain.field("filter"));
    if let (Some(filter), "listener") = (filter, class) {
        check_filter(&filter, target);
    }
}

/// Envoy's old names for filters end where `envoy.filters.` begins.
const HCM: [&str; 2] = ["envoy.filters.network.http_connection_manager", "envoy.http_connection_manager"];

fn check_filter(filter: &Item<'_>, target: &str) {
    if matches!(target, "LISTENER" | "FILTER_CHAIN") {
        filter.warn(format!("has no effect with applyTo {target}"));
    }
    let name = filter.field_text("name");
    if name.is_empty() {
        return filter.invalid("name is required".into());
    }
    let sub = filter.field("subFilter");
    if let Some(sub) = &sub {
        if target != "HTTP_FILTER" {
            return sub.invalid(format!("is possible with applyTo HTTP_FILTER only, not {target}"));
        }
        if !HCM.contains(&name) {
            return filter.field_or_self("name").invalid(format!("subFilter needs the filter {}", HCM[0]));
        }
        if !sub.has_some("name") {
            return sub.invalid("name is required".into());
        }
    }
    for at in std::iter::once(filter).chain(&sub) {
        let name = at.field_text("name");
        if name.starts_with("envoy.") && name.matches('.').count() == 1 {
            at.field_or_self("name").warn(format!("{name:?} is a deprecated name of a filter"));
        }
    }
}

/// What can be said of a part of Envoy's configuration: names are texts, and types are of the
/// version 3 of its API, the only one there is.
fn check_value(value: &Item<'_>) {
    if let Some(name) = value.field("name")
        && !matches!(name.node().value, Value::Scalar { ty: Scalar::Str, .. })
    {
        name.invalid(format!("must be a string, not {}", name.node().describe()));
    }
    let mut types = Vec::new();
    collect_types(value.node(), &mut types);
    for node in types {
        let name = node.text().rsplit('/').next().unwrap_or_default();
        if name.starts_with("envoy.")
            && name.split('.').any(|part| part == "v2" || part.starts_with("v2alpha"))
        {
            let at = (node.line, node.column);
            let message = format!("{name} is of Envoy's API version 2, which is gone; use version 3");
            value.cx().invalid(&value.path(), at, message);
        }
    }
}

fn collect_types<'n>(node: &'n Node, types: &mut Vec<&'n Node>) {
    node.items().iter().for_each(|item| collect_types(item, types));
    for entry in node.entries() {
        if &*entry.key == "@type" {
            types.push(&entry.node);
        }
        collect_types(&entry.node, types);
    }
}
