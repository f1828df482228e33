//! HTTPRoute, HTTPRouteDestination and HTTPRetry of a VirtualService.

use std::time::Duration;

use model::Str;

use super::{Fault, HttpMatch, fault, http_match};
use crate::codes;
use crate::reader::{Fields, Item};
use crate::validate;

/// A rule of a VirtualService.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HttpRoute {
    pub name: Option<Str>,
    /// One of these must match; empty: every request does.
    pub matches: Vec<HttpMatch>,
    /// Where to; weights add up to what was written, not to 100.
    pub routes: Vec<RouteDestination>,
    /// `None`: no limit, which is Istio's default.
    pub timeout: Option<Duration>,
    /// `None`: the mesh's default retries.
    pub retries: Option<Retries>,
    pub fault: Option<Fault>,
    /// The field path of an action other than `routes` that cannot be taken yet (`redirect`,
    /// `directResponse`, `delegate`). Such a rule never matches.
    pub unsupported_action: Option<Str>,
    /// Field path of this rule: `spec.http[0]`.
    pub path: Str,
}

/// A destination and its share of the requests.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteDestination {
    pub destination: Destination,
    /// `None`: 100 when it is the only destination, else 0.
    pub weight: Option<u32>,
    /// Field path: `spec.http[0].route[1]`.
    pub path: Str,
}

/// A service, and what of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// As written: a short name belongs to the object's namespace.
    pub host: Str,
    /// `None`: the service's only port, else the port that the request came for.
    pub port: Option<u16>,
    pub subset: Option<Str>,
}

/// HTTPRetry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retries {
    /// Retries after the first attempt; 0 switches them off.
    pub attempts: u32,
    pub per_try_timeout: Option<Duration>,
    /// Envoy's conditions and HTTP statuses, as written, comma separated. `None`: the default.
    pub retry_on: Option<Str>,
}

pub(crate) fn read_all(item: &Item<'_>) -> Vec<HttpRoute> {
    let routes = item.objects(|fields| Some(read(fields)));
    // Whatever follows a rule without conditions is never reached.
    if let Some(first) = routes.iter().position(|r| r.matches.is_empty() && r.unsupported_action.is_none()) {
        for rule in item.list().iter().skip(first + 1) {
            let message =
                format!("is never reached: spec.http[{first}] has no match and takes every request");
            rule.report(model::Level::Warning, codes::SURPRISE, message);
        }
    }
    routes
}

fn read(fields: Fields<'_>) -> HttpRoute {
    let destinations = fields.get("route");
    let route = HttpRoute {
        path: fields.path(),
        name: fields.get("name").and_then(|item| item.str()),
        matches: fields.get("match").map(|item| http_match::read_all(&item)).unwrap_or_default(),
        routes: destinations.as_ref().map(read_destinations).unwrap_or_default(),
        timeout: fields.get("timeout").and_then(|item| item.duration()),
        retries: fields.get("retries").and_then(|item| item.object()).map(read_retries),
        fault: fields.get("fault").and_then(|item| item.object()).map(fault::read),
        unsupported_action: None,
    };
    let actions = ["redirect", "directResponse", "delegate"].map(|name| fields.get(name));
    let mut actions = actions.into_iter().flatten();
    let action = actions.next();
    match (&action, &destinations) {
        (Some(action), Some(_)) => action.invalid("cannot stand beside route".into()),
        (None, None) => fields.item().invalid("needs route, redirect, directResponse or delegate".into()),
        _ => {}
    }
    if let Some(second) = actions.next() {
        second.invalid("only one of route, redirect, directResponse and delegate is possible".into());
    }
    let unsupported_action = action.map(|item| {
        let message = "has no effect yet: this rule is skipped";
        item.report(model::Level::Warning, codes::NO_EFFECT, message.into());
        item.path()
    });
    fields.no_effect(&[
        "rewrite",
        "mirror",
        "mirrors",
        "mirrorPercentage",
        "mirrorPercent",
        "mirror_percent",
    ]);
    fields.no_effect(&["corsPolicy", "headers"]);
    fields.finish();
    HttpRoute { unsupported_action, ..route }
}

fn read_destinations(item: &Item<'_>) -> Vec<RouteDestination> {
    let routes = item.objects(|fields| {
        let destination = fields.require("destination").and_then(|d| read_destination(&d));
        let weight = fields.get("weight").and_then(|w| w.int(0, i64::from(i32::MAX)));
        fields.no_effect(&["headers"]);
        let path = fields.path();
        fields.finish();
        let weight = weight.and_then(|w| u32::try_from(w).ok());
        Some(RouteDestination { destination: destination?, weight, path })
    });
    let total: u64 = routes.iter().map(|r| u64::from(r.weight.unwrap_or(0))).sum();
    if total > u64::from(u32::MAX) {
        item.invalid("the weights add up to more than 4294967295".into());
    } else if routes.len() > 1 && total == 0 {
        item.invalid("the weights add up to 0".into());
    } else if routes.is_empty() {
        item.invalid("needs at least one destination".into());
    } else if let [only] = routes.as_slice()
        && only.weight == Some(0)
    {
        let message = "the only destination gets every request, whatever its weight";
        item.report(model::Level::Info, codes::SURPRISE, message.into());
    }
    routes
}

/// Judges the destinations of a `tls` or `tcp` rule, which has no effect yet.
pub(crate) fn check_other(rule: &Item<'_>) {
    let Some(fields) = rule.object() else { return };
    if let Some(item) = fields.require("route") {
        read_destinations(&item);
    }
}

pub(crate) fn read_destination(item: &Item<'_>) -> Option<Destination> {
    let fields = item.object()?;
    let host = fields.require("host").and_then(|h| validate::destination_host(&h));
    let port = fields.get("port").and_then(|p| p.object()).and_then(|port| {
        let number = port.get("number").and_then(|n| n.port());
        port.finish();
        number
    });
    let subset = fields.get("subset").and_then(|s| s.str()).filter(|s| !s.is_empty());
    fields.finish();
    Some(Destination { host: host?, port, subset })
}

pub(crate) fn read_retries(fields: Fields<'_>) -> Retries {
    let attempts = fields.get("attempts");
    let retries = Retries {
        attempts: attempts.as_ref().and_then(|a| a.int(0, i64::from(i32::MAX))).map_or(0, |a| a as u32),
        per_try_timeout: fields.get("perTryTimeout").and_then(|t| t.duration()),
        retry_on: fields.get("retryOn").and_then(|on| validate::retry_on(&on)),
    };
    // Envoy counts in milliseconds.
    if retries.per_try_timeout.is_some_and(|t| t.subsec_nanos() % 1_000_000 != 0) {
        fields.item().invalid("perTryTimeout must be whole milliseconds".into());
    }
    let tuned = ["perTryTimeout", "retryOn", "retryRemoteLocalities"].iter().any(|n| fields.get(n).is_some());
    if attempts.is_some() && retries.attempts == 0 && tuned {
        fields.item().invalid("attempts is 0, so no other retry setting is possible".into());
    }
    fields.no_effect(&["retryRemoteLocalities", "retryIgnorePreviousHosts", "backoff"]);
    fields.finish();
    retries
}
