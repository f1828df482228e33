//! HTTPRoute, HTTPRouteDestination and HTTPRetry of a VirtualService.

use std::time::Duration;

use model::Str;

use super::http_action::{Delegate, DirectResponse, Headers, Mirror, Redirect, Rewrite};
use super::{CorsPolicy, Fault, HttpMatch, fault, http_match};
use crate::codes;
use crate::reader::{Absent, Fields, Item, Read};
use crate::schema::macros::message;
use crate::schema::{boolean, duration, int32, list, object, text, uint32};
use crate::units::{PERCENT, Percent};

message! {
    /// A rule: conditions, and what becomes of the requests that meet them.
    table HTTP_ROUTE {
        "name" = text(),
        /// One of these must match; empty: every request does.
        "match" = list(&object(&http_match::HTTP_MATCH)),
        "route" = list(&object(&ROUTE_DESTINATION)),
        "redirect" = object(&Redirect::MESSAGE),
        "directResponse" = object(&DirectResponse::MESSAGE),
        "delegate" = object(&Delegate::MESSAGE),
        "rewrite" = object(&Rewrite::MESSAGE),
        /// No limit without.
        "timeout" = duration(),
        "retries" = object(&RETRIES),
        "fault" = object(&fault::FAULT),
        "mirror" = object(&DESTINATION),
        "mirrors" = list(&object(&Mirror::MESSAGE)),
        /// Deprecated: see mirrorPercentage.
        "mirrorPercent" = uint32().nullable(),
        /// Deprecated: see mirrorPercentage.
        "mirror_percent" = uint32().nullable(),
        "mirrorPercentage" = object(&PERCENT),
        "corsPolicy" = object(&CorsPolicy::MESSAGE),
        "headers" = object(&Headers::MESSAGE),
    }
}

message! {
    /// A destination, its share of the requests, and changes to their headers.
    table ROUTE_DESTINATION {
        "destination" = object(&DESTINATION).required(),
        "weight" = int32(),
        "headers" = object(&Headers::MESSAGE),
    }
}

message! {
    /// A service, and what of it.
    table DESTINATION {
        /// A short name belongs to the rule's namespace.
        "host" = text().required(),
        "subset" = text(),
        "port" = object(&PORT_SELECTOR),
    }
}

message! {
    /// A port by number.
    table PORT_SELECTOR {
        "number" = uint32(),
    }
}

message! {
    /// When a request is sent again.
    table RETRIES {
        /// Retries after the first attempt; 0 switches them off.
        "attempts" = int32(),
        "perTryTimeout" = duration(),
        /// Envoy's conditions and HTTP statuses, comma separated.
        "retryOn" = text(),
        "retryRemoteLocalities" = boolean().nullable(),
        "retryIgnorePreviousHosts" = boolean().nullable(),
        /// The least time between two attempts; 25ms without.
        "backoff" = duration(),
    }
}

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
    pub redirect: Option<Redirect>,
    pub direct_response: Option<DirectResponse>,
    pub delegate: Option<Delegate>,
    pub rewrite: Option<Rewrite>,
    /// `mirror` with `mirrorPercentage` (or its deprecated forms), and `mirrors`.
    pub mirrors: Vec<Mirror>,
    pub cors_policy: Option<CorsPolicy>,
    pub headers: Option<Headers>,
    /// Field path of this rule: `spec.http[0]`.
    pub path: Str,
}

/// A destination and its share of the requests.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteDestination {
    pub destination: Destination,
    /// `None`: 100 when it is the only destination, else 0.
    pub weight: Option<u32>,
    pub headers: Option<Headers>,
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
    pub retry_remote_localities: Option<bool>,
    pub retry_ignore_previous_hosts: Option<bool>,
    pub backoff: Option<Duration>,
}

pub(crate) fn read_all(item: &Item<'_>) -> Vec<HttpRoute> {
    item.objects(|fields| Some(read(fields)))
}

fn read(fields: Fields<'_>) -> HttpRoute {
    let body = fields.get("directResponse").and_then(|item| item.field("body"));
    if let Some(item) = body.and_then(|body| body.field("bytes")) {
        item.no_effect_as("a body in base64: the answer has none, it");
    }
    let route = HttpRoute {
        path: fields.path(),
        name: Absent::from_item(fields.get("name")),
        matches: fields.get("match").map(|item| http_match::read_all(&item)).unwrap_or_default(),
        routes: fields.get("route").as_ref().map(read_destinations).unwrap_or_default(),
        timeout: Absent::from_item(fields.get("timeout")),
        retries: fields.get("retries").and_then(|item| item.object()).map(read_retries),
        fault: fields.get("fault").and_then(|item| item.object()).map(fault::read),
        redirect: Absent::from_item(fields.get("redirect")),
        direct_response: Absent::from_item(fields.get("directResponse")),
        delegate: Absent::from_item(fields.get("delegate")),
        rewrite: Absent::from_item(fields.get("rewrite")),
        headers: read_headers(&fields),
        mirrors: read_mirrors(&fields),
        cors_policy: Absent::from_item(fields.get("corsPolicy")),
    };
    fields.finish();
    route
}

/// A header with an operator that Envoy does not have is not written.
fn read_headers(fields: &Fields<'_>) -> Option<Headers> {
    for side in ["request", "response"] {
        for operation in ["set", "add"] {
            let item = fields.get("headers").and_then(|item| item.field(side));
            let values = item.and_then(|item| item.field(operation)).map(|item| item.entries());
            for (_, item) in values.unwrap_or_default() {
                if crate::header_value::problem(item.text()).is_some() {
                    item.no_effect_as("an operator that Envoy does not have: the header is not written, it");
                }
            }
        }
    }
    Absent::from_item(fields.get("headers"))
}

fn read_mirrors(fields: &Fields<'_>) -> Vec<Mirror> {
    let mut mirrors: Vec<Mirror> = Absent::from_item(fields.get("mirrors"));
    // Each is Istio's, whether or not there is something to mirror to.
    let deprecated = ["mirrorPercent", "mirror_percent"].map(|name| fields.get(name));
    let written = fields.get("mirrorPercentage");
    if let Some(destination) = fields.get("mirror").and_then(|item| read_destination(&item)) {
        let deprecated = deprecated.into_iter().flatten().next();
        let percentage = match (written, deprecated) {
            (Some(item), _) => Percent::read(&item),
            (None, Some(item)) => item.percent(),
            (None, None) => None,
        };
        mirrors.push(Mirror { destination: Some(destination), percentage });
    }
    mirrors
}

fn read_destinations(item: &Item<'_>) -> Vec<RouteDestination> {
    let routes = item.objects(|fields| {
        let destination = fields.get("destination").and_then(|d| read_destination(&d));
        let weight = fields.get("weight").and_then(|w| w.int(0, i64::from(i32::MAX)));
        let headers = read_headers(&fields);
        let path = fields.path();
        fields.finish();
        let weight = weight.and_then(|w| u32::try_from(w).ok());
        Some(RouteDestination { destination: destination?, weight, headers, path })
    });
    if let [only] = routes.as_slice()
        && only.weight == Some(0)
    {
        let message = "the only destination gets every request, whatever its weight";
        item.report(model::Level::Info, codes::SURPRISE, message.into());
    }
    routes
}

pub(crate) fn read_destination(item: &Item<'_>) -> Option<Destination> {
    let fields = item.object()?;
    let host: Str = Absent::from_item(fields.get("host"));
    let port = fields.get("port").and_then(|p| p.object()).and_then(|port| {
        let number = port.get("number").and_then(|n| n.port());
        port.finish();
        number
    });
    let subset = fields.get("subset").and_then(|s| s.str()).filter(|s| !s.is_empty());
    fields.finish();
    (!host.is_empty()).then_some(Destination { host, port, subset })
}

impl Read for Destination {
    fn read(item: &Item<'_>) -> Option<Self> {
        read_destination(item)
    }
}

pub(crate) fn read_retries(fields: Fields<'_>) -> Retries {
    let attempts = fields.get("attempts");
    let retry_on: Option<Str> = Absent::from_item(fields.get("retryOn"));
    if let (Some(item), Some(on)) = (fields.get("retryOn"), &retry_on)
        && on.split(',').any(|condition| condition.trim() == "retriable-headers")
    {
        item.no_effect_as("retriable-headers");
    }
    let retries = Retries {
        attempts: attempts.and_then(|a| a.int(0, i64::from(i32::MAX))).map_or(0, |a| a as u32),
        per_try_timeout: fields.get("perTryTimeout").and_then(|t| t.duration()),
        retry_on: retry_on.filter(|text| !text.trim().is_empty()),
        retry_remote_localities: Absent::from_item(fields.get("retryRemoteLocalities")),
        retry_ignore_previous_hosts: Absent::from_item(fields.get("retryIgnorePreviousHosts")),
        backoff: Absent::from_item(fields.get("backoff")),
    };
    fields.finish();
    retries
}
