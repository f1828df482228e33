//! From the conditions of a VirtualService's match to those of a route.

use ir::matcher::HeaderMatch;
use ir::route::{PathMatch, QueryMatch, QueryMatcher, RouteMatch};
use ir::{HeaderMatcher, StringMatch, StringMatcher};
use istio_api::StringMatch as Written;
use istio_api::networking::http_match;
use stdx::Str;

/// What a request must be like. `None`: some condition cannot be evaluated, so nothing matches.
pub fn route_match(written: &http_match::HttpMatch) -> Option<RouteMatch> {
    if !written.unsupported.is_empty() {
        return None;
    }
    let path = match &written.uri {
        None => PathMatch::Prefix("/".into()),
        Some(Written::Exact(path)) => PathMatch::Exact(path.clone()),
        Some(Written::Prefix(prefix)) => PathMatch::Prefix(prefix.clone()),
        Some(Written::Regex(regex)) => PathMatch::Regex(regex.clone()),
    };
    let mut headers: Vec<HeaderMatcher> =
        written.headers.iter().map(|(name, condition)| header(name, condition)).collect();
    headers.extend(written.without_headers.iter().map(|(name, condition)| without(name, condition)));
    let pseudo =
        [(":method", &written.method), (":authority", &written.authority), (":scheme", &written.scheme)];
    for (name, condition) in pseudo {
        headers.extend(condition.iter().map(|c| header_value(&name.into(), c)));
    }
    let query = written.query_params.iter().map(|(name, condition)| parameter(name, condition)).collect();
    Some(RouteMatch { case_sensitive: !written.ignore_uri_case, headers, query, ..RouteMatch::path(path) })
}

/// A header that is not there does not have the value either, so it passes.
fn without(name: &Str, condition: &http_match::HeaderMatch) -> HeaderMatcher {
    let matcher = header(name, condition);
    let treat_missing_as_empty = !matches!(matcher.matches, HeaderMatch::Present(_));
    HeaderMatcher { invert: true, treat_missing_as_empty, ..matcher }
}

fn parameter(name: &Str, condition: &http_match::HeaderMatch) -> QueryMatcher {
    let value = match condition {
        http_match::HeaderMatch::Value(written) => pattern(written),
        http_match::HeaderMatch::Present => None,
    };
    let matches =
        value.map_or(QueryMatch::Present(true), |value| QueryMatch::Value(StringMatcher::new(value)));
    QueryMatcher { name: name.clone(), matches }
}

fn header(name: &Str, condition: &http_match::HeaderMatch) -> HeaderMatcher {
    match condition {
        http_match::HeaderMatch::Present => matcher(name, HeaderMatch::Present(true)),
        http_match::HeaderMatch::Value(value) => header_value(name, value),
    }
}

fn header_value(name: &Str, condition: &Written) -> HeaderMatcher {
    match pattern(condition) {
        Some(pattern) => matcher(name, HeaderMatch::Value(StringMatcher::new(pattern))),
        None => matcher(name, HeaderMatch::Present(true)),
    }
}

/// `None`: whatever the value is.
fn pattern(condition: &Written) -> Option<StringMatch> {
    match condition {
        // No regular expression, but Istio's way to say "any".
        Written::Regex(regex) if regex == "*" => None,
        Written::Exact(text) => Some(StringMatch::Exact(text.clone())),
        Written::Prefix(text) => Some(StringMatch::Prefix(text.clone())),
        Written::Regex(regex) => Some(StringMatch::Regex(regex.clone())),
    }
}

fn matcher(name: &Str, matches: HeaderMatch) -> HeaderMatcher {
    HeaderMatcher { name: name.clone(), matches, invert: false, treat_missing_as_empty: false }
}

/// Whether every request matches, so that no later route is ever reached.
pub fn takes_everything(matches: &RouteMatch) -> bool {
    let any_path = match &matches.path {
        PathMatch::Prefix(prefix) => prefix == "/",
        PathMatch::Regex(regex) => regex == "*",
        PathMatch::SeparatedPrefix(_) | PathMatch::Exact(_) | PathMatch::Connect => false,
    };
    any_path && matches.headers.is_empty() && matches.query.is_empty()
}
