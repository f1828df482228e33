//! What an HTTPRoute does beside choosing destinations: CORS, faults, mirrors, redirects, answers
//! and rewrites.

use super::common::{duration, percentage, port};
use super::header::{self, destination, is_authority};
use super::http_route::regex_of;
use super::regex;
use crate::networking::fault::GRPC;
use crate::reader::Item;

pub(super) fn check(route: &Item<'_>) {
    check_cors(route);
    check_fault(route);
    check_mirrors(route);
    if let Some(redirect) = route.field("redirect") {
        check_redirect(&redirect, &route.each("match"));
    }
    if let Some(response) = route.field("directResponse") {
        check_response(&response);
    }
    check_rewrite(route);
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
