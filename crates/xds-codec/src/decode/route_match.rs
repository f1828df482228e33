//! What a request must be like for a route.

use ir::route::{CookieMatcher, PathMatch, QueryMatch, QueryMatcher, RouteMatch, TlsContextMatch};
use stdx::Str;

use super::at::At;
use super::strict::refuse;
use super::{matcher, wire};
use crate::pb::route::query_parameter_matcher::QueryParameterMatchSpecifier;
use crate::pb::route::route_match::{PathSpecifier, TlsContextMatchOptions};
use crate::pb::route::{self as pb};

pub(super) fn route_match(at: At<'_>, it: pb::RouteMatch) -> RouteMatch {
    let pb::RouteMatch {
        case_sensitive,
        runtime_fraction,
        headers,
        query_parameters,
        cookies,
        grpc,
        tls_context,
        dynamic_metadata,
        filter_state,
        path_specifier,
    } = it;
    refuse!(at; dynamic_metadata, filter_state);
    let query_at = |(index, it)| query(at.index("query_parameters", index), it);
    let cookie_at = |(index, it)| cookie(at.index("cookies", index), it);
    RouteMatch {
        path: path(at, path_specifier),
        case_sensitive: wire::flag(case_sensitive, true),
        headers: matcher::headers(&at, "headers", headers),
        query: wire::exact(query_parameters.into_iter().enumerate().map(query_at)),
        cookies: wire::exact(cookies.into_iter().enumerate().map(cookie_at)),
        grpc: grpc.is_some_and(|pb::route_match::GrpcRouteMatchOptions {}| true),
        runtime_fraction: runtime_fraction
            .map(|it| matcher::runtime_fraction(at.field("runtime_fraction"), it)),
        tls: tls_context.map(|TlsContextMatchOptions { presented, validated }| TlsContextMatch {
            presented: presented.map(|it| it.value),
            validated: validated.map(|it| it.value),
        }),
    }
}

fn path(at: At<'_>, it: Option<PathSpecifier>) -> PathMatch {
    match it {
        Some(PathSpecifier::Prefix(text)) => return PathMatch::Prefix(text.into()),
        Some(PathSpecifier::Path(text)) => return PathMatch::Exact(text.into()),
        Some(PathSpecifier::SafeRegex(it)) => {
            return PathMatch::Regex(matcher::regex(at.field("safe_regex"), it));
        }
        Some(PathSpecifier::PathSeparatedPrefix(text)) => {
            if text.len() < 2 || text.ends_with('/') || text.contains(['?', '#']) {
                at.field("path_separated_prefix")
                    .refuse(format!("{text:?} must be a path that ends in no slash"));
            }
            return PathMatch::SeparatedPrefix(text.into());
        }
        Some(PathSpecifier::ConnectMatcher(pb::route_match::ConnectMatcher {})) => return PathMatch::Connect,
        Some(PathSpecifier::PathMatchPolicy(_)) => at.unsupported("path_match_policy"),
        None => at
            .refuse("a path is required: prefix, path, path_separated_prefix, safe_regex or connect_matcher"),
    }
    PathMatch::Prefix(Str::default())
}

pub(super) fn query(at: At<'_>, it: pb::QueryParameterMatcher) -> QueryMatcher {
    let pb::QueryParameterMatcher { name, query_parameter_match_specifier } = it;
    let matches = match query_parameter_match_specifier {
        None => QueryMatch::Present(true),
        Some(QueryParameterMatchSpecifier::PresentMatch(present)) => QueryMatch::Present(present),
        Some(QueryParameterMatchSpecifier::StringMatch(it)) => {
            QueryMatch::Value(matcher::text(at.field("string_match"), it))
        }
    };
    QueryMatcher { name: wire::required(at.field("name"), name), matches }
}

fn cookie(at: At<'_>, it: pb::CookieMatcher) -> CookieMatcher {
    let pb::CookieMatcher { name, string_match, invert_match } = it;
    let value = string_match.unwrap_or_default();
    CookieMatcher {
        name: wire::required(at.field("name"), name),
        value: matcher::text(at.field("string_match"), value),
        invert: invert_match,
    }
}
