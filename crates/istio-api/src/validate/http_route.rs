//! HTTPRoute of a VirtualService: its conditions, and what goes together.

use super::common::{duration, labels, port};
use super::header::destination;
use super::names::is_label;
use super::{header, headers, http_action, regex, retries, virtual_service};
use crate::reader::Item;

/// Where the VirtualService is applied.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub is_delegate: bool,
    /// Only at gateways, not at sidecars.
    pub at_gateway: bool,
}

pub(super) fn check(route: &Item<'_>, place: Place) {
    check_conflicts(route, place);
    route.each("match").iter().for_each(|condition| check_match(condition, place));
    headers::check(route);
    http_action::check(route);
    if let Some(item) = route.field("retries") {
        retries::check(&item);
    }
    let routes = route.each("route");
    for entry in &routes {
        headers::check(entry);
        if let Some(item) = entry.field("destination") {
            destination(&item);
        }
    }
    weights(route, &routes);
    duration(route, "timeout");
}

/// Which actions go together.
fn check_conflicts(route: &Item<'_>, place: Place) {
    let refuse = |a: &str, b: &str| {
        if route.has(a) && route.has_some(b) {
            route.field_or_self(a).invalid(format!("cannot stand beside {b}"));
        }
    };
    if route.has("delegate") && !place.is_delegate {
        for name in ["redirect", "route"].iter().filter(|name| route.has(name)) {
            route.field_or_self(name).invalid("cannot stand beside delegate".into());
        }
        return;
    }
    if let Some(delegate) = route.field("delegate") {
        delegate.invalid("a delegate cannot have a delegate".into());
    }
    match (route.has("redirect"), route.has("directResponse")) {
        (true, _) => {
            for other in ["route", "fault", "rewrite", "directResponse"] {
                refuse("redirect", other);
            }
        }
        (false, true) => {
            for other in ["route", "fault", "rewrite"] {
                refuse("directResponse", other);
            }
        }
        (false, false) if !route.has_some("route") => {
            route.invalid("needs route, redirect, directResponse or delegate".into());
        }
        _ => {}
    }
    refuse("mirror", "mirrors");
}

fn check_match(condition: &Item<'_>, place: Place) {
    for name in ["headers", "withoutHeaders"] {
        for (key, item) in condition.each_entry(name) {
            let is_claim = header::is_claim(key);
            if is_claim && !place.at_gateway {
                item.invalid("routing by JWT claims is only possible at gateways".into());
            } else if !is_claim {
                item.judge(header::matched_name(key));
            }
            // `*` is no regular expression; here it stands for a header that is present.
            if !(name == "withoutHeaders" && item.field_text("regex") == "*") {
                string_match(&item);
            }
        }
    }
    if let Some(uri) = condition.field("uri") {
        regex_of(&uri);
    }
    for name in ["scheme", "method", "authority"] {
        condition.field(name).iter().for_each(string_match);
    }
    condition.each_entry("queryParams").iter().for_each(|(_, item)| string_match(item));
    port(condition, "port", true);
    labels(condition, "sourceLabels");
    virtual_service::gateway_names(condition);
    let namespace = condition.field_text("sourceNamespace");
    if !namespace.is_empty() && !is_label(namespace) {
        condition.field_or_self("sourceNamespace").invalid(format!("{namespace:?} is no namespace"));
    }
}

fn string_match(item: &Item<'_>) {
    if item.has("prefix") && item.field_text("prefix").is_empty() {
        item.field_or_self("prefix").invalid("must not be empty".into());
    }
    regex_of(item);
}

pub(super) fn regex_of(item: &Item<'_>) {
    if let Some(pattern) = item.field("regex") {
        pattern.judge(regex::check(pattern.text()));
    }
}

/// Weights of several destinations add up to something that Envoy can count.
pub(super) fn weights(route: &Item<'_>, routes: &[Item<'_>]) {
    let weights = || routes.iter().map(|entry| entry.field_int("weight").unwrap_or(0));
    for entry in routes.iter().filter(|entry| entry.field_int("weight").is_some_and(|weight| weight < 0)) {
        entry.field_or_self("weight").invalid("must not be negative".into());
    }
    let total: i128 = weights().map(i128::from).sum();
    if routes.len() > 1 && total == 0 {
        route.field_or_self("route").invalid("the weights add up to 0".into());
    } else if total > i128::from(u32::MAX) {
        route.field_or_self("route").invalid("the weights add up to more than 4294967295".into());
    }
}
