//! From the conditions of a VirtualService's match to those of a route.

use ir::matcher::HeaderMatch;
use ir::route::{PathMatch, RouteMatch};
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
    for (name, condition) in [(":method", &written.method), (":authority", &written.authority)] {
        headers.extend(condition.iter().map(|c| header_value(&name.into(), c)));
    }
    Some(RouteMatch { case_sensitive: !written.ignore_uri_case, headers, ..RouteMatch::path(path) })
}

fn header(name: &Str, condition: &http_match::HeaderMatch) -> HeaderMatcher {
    match condition {
        http_match::HeaderMatch::Present => matcher(name, HeaderMatch::Present(true)),
        http_match::HeaderMatch::Value(value) => header_value(name, value),
    }
}

fn header_value(name: &Str, condition: &Written) -> HeaderMatcher {
    let pattern = match condition {
        // No regular expression, but Istio's way to say "any".
        Written::Regex(regex) if regex == "*" => return matcher(name, HeaderMatch::Present(true)),
        Written::Exact(text) => StringMatch::Exact(text.clone()),
        Written::Prefix(text) => StringMatch::Prefix(text.clone()),
        Written::Regex(regex) => StringMatch::Regex(regex.clone()),
    };
    matcher(name, HeaderMatch::Value(StringMatcher::new(pattern)))
}

fn matcher(name: &Str, matches: HeaderMatch) -> HeaderMatcher {
    HeaderMatcher { name: name.clone(), matches, invert: false, treat_missing_as_empty: false }
}

/// Whether every request matches, so that no later route is ever reached.
pub fn takes_everything(matches: &RouteMatch) -> bool {
    let any_path = match &matches.path {
        PathMatch::Prefix(prefix) => prefix == "/",
        PathMatch::Regex(regex) => regex == "*",
        PathMatch::SeparatedPrefix(_) | PathMatch::Exact(_) => false,
    };
    any_path && matches.headers.is_empty() && matches.query.is_empty()
}
