//! HTTPRoute of a VirtualService, with its conditions and retries.

use super::common::{duration, labels, percentage, port};
use super::header::{destination, is_authority};
use super::names::{Verdict, is_label};
use super::{header, headers, regex, virtual_service};
use crate::networking::fault::GRPC;
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
    check_cors(route);
    check_fault(route);
    check_mirrors(route);
    if let Some(redirect) = route.field("redirect") {
        check_redirect(&redirect, &route.each("match"));
    }
    if let Some(response) = route.field("directResponse") {
        check_response(&response);
    }
    if let Some(item) = route.field("retries") {
        retries(&item);
    }
    check_rewrite(route);
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

fn regex_of(item: &Item<'_>) {
    if let Some(pattern) = item.field("regex") {
        pattern.judge(regex::check(pattern.text()));
    }
}

fn check_cors(route: &Item<'_>) {
    let Some(policy) = route.field("corsPolicy") else { return };
    for origin in policy.each("allowOrigins") {
        if !["exact", "prefix", "regex"].iter().any(|name| origin.has_some(name)) {
            origin.invalid("needs one of exact, prefix and regex, not empty".into());
        } else {
            regex_of(&origin);
        }
    }
    for method in policy.each("allowMethods") {
        if !header::is_method(method.text()) {
            method.invalid(format!("{:?} is no method of HTTP", method.text()));
        }
    }
    for item in ["allowHeaders", "exposeHeaders"].iter().flat_map(|name| policy.each(name)) {
        if item.text() != "*" {
            item.judge(header::token(item.text()));
        }
    }
    duration(&policy, "maxAge");
    if let Some(age) = policy.field("maxAge")
        && age.as_duration().is_some_and(|age| age.subsec_millis() != 0)
    {
        age.invalid("must be whole seconds".into());
    }
}

fn check_fault(route: &Item<'_>) {
    let Some(fault) = route.field("fault") else { return };
    if !fault.has("abort") && !fault.has("delay") {
        fault.invalid("needs delay or abort".into());
    }
    if let Some(abort) = fault.field("abort") {
        percentage(&abort, "percentage");
        check_abort(&abort);
    }
    if let Some(delay) = fault.field("delay") {
        percentage(&delay, "percentage");
        duration(&delay, "fixedDelay");
        if let Some(item) = delay.field("exponentialDelay") {
            item.invalid("is not supported yet".into());
        }
    }
}

fn check_abort(abort: &Item<'_>) {
    if let Some(item) = abort.field("http2Error") {
        item.invalid("is not supported yet".into());
    } else if let Some(item) = abort.field("grpcStatus") {
        if !GRPC.iter().any(|(name, _)| *name == item.text()) {
            item.invalid(format!("{:?} is no gRPC status", item.text()));
        }
    } else if abort.has("httpStatus") {
        status(abort, "httpStatus");
    } else {
        abort.warn("names no error, so it does nothing");
    }
}

/// An HTTP status of an answer.
fn status(at: &Item<'_>, name: &str) {
    let value = at.field_int(name).unwrap_or(0);
    if !(200..=600).contains(&value) {
        at.field_or_self(name).invalid(format!("must be a status from 200 to 599, not {value}"));
    }
}

fn check_mirrors(route: &Item<'_>) {
    for name in ["mirrorPercent", "mirror_percent"] {
        let Some(item) = route.field(name).filter(|_| name == "mirrorPercent" || !route.has("mirrorPercent"))
        else {
            continue;
        };
        if route.field_int(name).is_some_and(|value| value > 100) {
            item.invalid("must be from 0 to 100".into());
        }
        item.warn("mirrorPercent is deprecated; use mirrorPercentage");
    }
    share(route, "mirrorPercentage");
    route.field("mirror").iter().for_each(destination);
    for mirror in route.each("mirrors") {
        mirror.field("destination").iter().for_each(destination);
        share(&mirror, "percentage");
    }
}

/// A percentage, however fine.
fn share(at: &Item<'_>, name: &str) {
    if let Some(item) = at.field(name)
        && item.field_number("value").is_some_and(|value| !(0.0..=100.0).contains(&value))
    {
        item.field_or_self("value").invalid("must be from 0 to 100".into());
    }
}

fn check_redirect(redirect: &Item<'_>, conditions: &[Item<'_>]) {
    let prefix = redirect.has_some("prefixRewrite");
    if redirect.has_some("uri") && prefix {
        redirect.invalid("only one of uri and prefixRewrite can be set".into());
    }
    let other = |condition: &Item<'_>| condition.field("uri").is_some_and(|uri| !uri.has("prefix"));
    if prefix && conditions.iter().any(other) {
        redirect.field_or_self("prefixRewrite").invalid("needs matches of uri by prefix only".into());
    }
    let some = ["uri", "prefixRewrite", "authority", "scheme"].iter().any(|name| redirect.has_some(name));
    if !some && !redirect.has("port") && !redirect.has("derivePort") {
        redirect.invalid("needs uri, prefixRewrite, authority, scheme or port".into());
    }
    let code = redirect.field_int("redirectCode").unwrap_or(0);
    if code != 0 && !(300..=399).contains(&code) {
        redirect.field_or_self("redirectCode").invalid(format!("must be from 300 to 399, not {code}"));
    }
    if !matches!(redirect.field_text("scheme"), "" | "http" | "https") {
        redirect.field_or_self("scheme").invalid("must be http or https".into());
    }
    port(redirect, "port", true);
}

/// Bodies are part of the configuration that every proxy gets.
const MAX_BODY: usize = 1 << 20;
const LARGE_BODY: usize = 100 << 10;

fn check_response(response: &Item<'_>) {
    if response.has("status") {
        status(response, "status");
    }
    let Some(body) = response.field("body") else { return };
    // Base64 makes four characters of three bytes.
    let size = body.field_text("string").len().max(body.field_text("bytes").len() / 4 * 3);
    if size > MAX_BODY {
        body.invalid("must be less than 1 MiB".into());
    } else if size > LARGE_BODY {
        body.warn("is large, and every proxy gets it");
    }
}

fn check_rewrite(route: &Item<'_>) {
    let rewrite = route.field("rewrite");
    if let Some(rewrite) = &rewrite {
        let uri = rewrite.has_some("uri");
        if uri && rewrite.has("uriRegexRewrite") {
            rewrite.invalid("only one of uri and uriRegexRewrite can be set".into());
        } else if !uri && !rewrite.has("uriRegexRewrite") && !rewrite.has_some("authority") {
            rewrite.invalid("needs uri, uriRegexRewrite or authority".into());
        }
        if let Some(item) = rewrite.field("uriRegexRewrite") {
            if !item.has_some("match") || !item.has_some("rewrite") {
                item.invalid("needs match and rewrite".into());
            } else {
                item.field_or_self("match").judge(regex::check(item.field_text("match")));
            }
        }
    }
    check_authority(route, rewrite.is_some_and(|rewrite| rewrite.has_some("authority")));
}

/// The authority can be set once only: by the rewrite, or by one header operation.
fn check_authority(route: &Item<'_>, mut is_set: bool) {
    let Some(request) = route.field("headers").and_then(|headers| headers.field("request")) else { return };
    let operations = ["set", "add"].iter().flat_map(|name| request.each_entry(name));
    for (_, item) in operations.filter(|(name, _)| is_authority(name)) {
        if is_set {
            item.invalid("the authority is set more than once".into());
        }
        is_set = true;
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

/// Envoy's conditions for retries:
/// <https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/router_filter>.
const RETRY_ON: [&str; 16] = [
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "connect-failure",
    "envoy-ratelimited",
    "retriable-4xx",
    "refused-stream",
    "retriable-status-codes",
    "retriable-headers",
    "http3-post-connect-failure",
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
];

/// HTTPRetry, which the mesh's configuration has too.
pub(crate) fn retries(item: &Item<'_>) {
    let attempts = item.field_int("attempts").unwrap_or(0);
    if attempts < 0 {
        item.field_or_self("attempts").invalid("must not be negative".into());
    }
    let tuned = item.has("perTryTimeout") || item.has_some("retryOn") || item.has("retryRemoteLocalities");
    if attempts == 0 && tuned {
        item.invalid("attempts is 0, so no other retry setting is possible".into());
    }
    duration(item, "perTryTimeout");
    duration(item, "backoff");
    if let Some(on) = item.field("retryOn").filter(|on| !on.text().is_empty()) {
        on.text().split(',').for_each(|condition| on.judge(retry_condition(condition)));
    }
}

fn retry_condition(text: &str) -> Verdict {
    if RETRY_ON.contains(&text) || text.parse::<u16>().is_ok_and(header::is_status) {
        return Ok(());
    }
    Err(format!("{text:?} is no retry condition ({}) and no HTTP status", RETRY_ON.join(", ")))
}
