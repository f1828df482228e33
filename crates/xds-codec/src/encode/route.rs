//! Routes.

use ir::route::{CookieMatcher, PathMatch, QueryMatch, QueryMatcher, RequireTls, RouteMatch};
use ir::{Route, RouteAction, RouteConfig, VirtualHost};

use super::metadata::Builder;
use super::{action, headers, limit_actions, matcher, overrides, retry, wire};
use crate::names;
use crate::pb::google;
use crate::pb::route::query_parameter_matcher::QueryParameterMatchSpecifier;
use crate::pb::route::virtual_host::TlsRequirementType;
use crate::pb::route::{self as pb, route_match::PathSpecifier};

/// Encodes a route configuration.
pub fn route_config(it: &RouteConfig) -> pb::RouteConfiguration {
    let virtual_hosts = it.virtual_hosts.iter().map(|host| virtual_host(host)).collect();
    pb::RouteConfiguration { virtual_hosts, ..settings(it) }
}

/// Everything but the virtual hosts.
pub(crate) fn settings(it: &RouteConfig) -> pb::RouteConfiguration {
    let headers = headers::edits(&it.headers);
    pb::RouteConfiguration {
        name: it.name.to_string(),
        request_headers_to_add: headers.request_add,
        request_headers_to_remove: headers.request_remove,
        response_headers_to_add: headers.response_add,
        response_headers_to_remove: headers.response_remove,
        // Always said: Envoy's default depends on where the configuration comes from.
        validate_clusters: wire::boolean(it.validate_clusters),
        max_direct_response_body_size_bytes: wire::optional_number(
            it.max_direct_response_body_size.or_else(|| body_limit(it)),
        ),
        ignore_port_in_host_matching: it.ignore_port_in_host_matching,
        most_specific_header_mutations_wins: it.most_specific_header_mutations_wins,
        request_mirror_policies: action::mirrors(&it.mirrors),
        typed_per_filter_config: overrides::overrides(&it.filters),
        ..Default::default()
    }
}

/// Where no limit is said: the longest body, if it would be refused otherwise.
fn body_limit(it: &RouteConfig) -> Option<u32> {
    let bodies =
        it.virtual_hosts.iter().flat_map(|host| &host.routes).filter_map(|route| match &route.action {
            RouteAction::Direct(response) => response.body.inline().map(|bytes| bytes.len()),
            RouteAction::Forward(_) | RouteAction::Redirect(_) => None,
        });
    let longest = bodies.max().filter(|longest| *longest > names::DIRECT_RESPONSE_LIMIT)?;
    Some(u32::try_from(longest).unwrap_or(u32::MAX))
}

pub(crate) fn virtual_host(it: &VirtualHost) -> pb::VirtualHost {
    let headers = headers::edits(&it.headers);
    pb::VirtualHost {
        rate_limits: limit_actions::rate_limits(&it.rate_limits),
        name: it.name.to_string(),
        domains: wire::texts(&it.domains),
        routes: it.routes.iter().map(route).collect(),
        request_headers_to_add: headers.request_add,
        request_headers_to_remove: headers.request_remove,
        response_headers_to_add: headers.response_add,
        response_headers_to_remove: headers.response_remove,
        include_request_attempt_count: it.include_request_attempt_count,
        include_attempt_count_in_response: it.include_attempt_count_in_response,
        require_tls: match it.require_tls {
            RequireTls::None => TlsRequirementType::None,
            RequireTls::ExternalOnly => TlsRequirementType::ExternalOnly,
            RequireTls::All => TlsRequirementType::All,
        }
        .into(),
        retry_policy: it.retry.as_ref().map(retry::retry_policy),
        request_mirror_policies: action::mirrors(&it.mirrors),
        request_body_buffer_limit: buffer_limit(it.request_body_buffer_limit),
        typed_per_filter_config: overrides::overrides(&it.filters),
        metadata: Builder::default().origin(&it.origin).build(),
        ..Default::default()
    }
}

fn buffer_limit(it: Option<u64>) -> Option<google::UInt64Value> {
    it.map(|value| google::UInt64Value { value })
}

fn route(it: &Route) -> pb::Route {
    let headers = headers::edits(&it.headers);
    pb::Route {
        name: it.name.to_string(),
        r#match: Some(route_match(&it.matches)),
        metadata: Builder::default().origin(&it.origin).build(),
        decorator: it
            .decorator
            .as_ref()
            .map(|operation| pb::Decorator { operation: operation.to_string(), propagate: None }),
        typed_per_filter_config: overrides::overrides(&it.filters),
        request_body_buffer_limit: buffer_limit(it.request_body_buffer_limit),
        request_headers_to_add: headers.request_add,
        request_headers_to_remove: headers.request_remove,
        response_headers_to_add: headers.response_add,
        response_headers_to_remove: headers.response_remove,
        action: Some(action::action(&it.action)),
        stat_prefix: wire::optional_text(&it.stat_prefix),
        ..Default::default()
    }
}

pub(super) fn route_match(it: &RouteMatch) -> pb::RouteMatch {
    let path = match &it.path {
        PathMatch::Prefix(text) => PathSpecifier::Prefix(text.to_string()),
        PathMatch::SeparatedPrefix(text) => PathSpecifier::PathSeparatedPrefix(text.to_string()),
        PathMatch::Exact(text) => PathSpecifier::Path(text.to_string()),
        PathMatch::Regex(text) => PathSpecifier::SafeRegex(matcher::regex(text)),
        PathMatch::Connect => PathSpecifier::ConnectMatcher(pb::route_match::ConnectMatcher {}),
    };
    pb::RouteMatch {
        case_sensitive: (!it.case_sensitive).then(|| wire::boolean(false)).flatten(),
        runtime_fraction: it.runtime_fraction.map(matcher::runtime_fraction),
        headers: it.headers.iter().map(matcher::header).collect(),
        query_parameters: it.query.iter().map(query).collect(),
        cookies: it.cookies.iter().map(cookie).collect(),
        grpc: it.grpc.then_some(pb::route_match::GrpcRouteMatchOptions {}),
        path_specifier: Some(path),
        tls_context: it.tls.map(|it| pb::route_match::TlsContextMatchOptions {
            presented: it.presented.and_then(wire::boolean),
            validated: it.validated.and_then(wire::boolean),
        }),
        ..Default::default()
    }
}

pub(super) fn query(it: &QueryMatcher) -> pb::QueryParameterMatcher {
    let specifier = match &it.matches {
        QueryMatch::Present(present) => QueryParameterMatchSpecifier::PresentMatch(*present),
        QueryMatch::Value(it) => QueryParameterMatchSpecifier::StringMatch(matcher::text(it)),
    };
    pb::QueryParameterMatcher { name: it.name.to_string(), query_parameter_match_specifier: Some(specifier) }
}

fn cookie(it: &CookieMatcher) -> pb::CookieMatcher {
    let string_match = Some(matcher::text(&it.value));
    pb::CookieMatcher { name: it.name.to_string(), string_match, invert_match: it.invert }
}
