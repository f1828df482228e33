//! Routes.

use std::collections::HashMap;

use ir::route::{
    AppendAction, DirectResponse, Forward, HeaderEdits, HeaderValue, MaxStreamDuration, PathMatch,
    QueryMatcher, Redirect, RouteClusters, RouteMatch, WeightedCluster,
};
use ir::{Route, RouteAction, RouteConfig, VirtualHost};

use super::metadata::Builder;
use super::{fault, hash_policy, matcher, retry, wire};
use crate::names;
use crate::pb::core::{self, header_value_option::HeaderAppendAction};
use crate::pb::route::query_parameter_matcher::QueryParameterMatchSpecifier;
use crate::pb::route::redirect_action::{PathRewriteSpecifier, RedirectResponseCode, SchemeRewriteSpecifier};
use crate::pb::route::route_action::{ClusterSpecifier, HostRewriteSpecifier};
use crate::pb::route::{self as pb, route_match::PathSpecifier, weighted_cluster::ClusterWeight};

/// Encodes a route configuration.
pub fn route_config(it: &RouteConfig) -> pb::RouteConfiguration {
    let headers = edits(&it.headers);
    pb::RouteConfiguration {
        name: it.name.to_string(),
        virtual_hosts: it.virtual_hosts.iter().map(virtual_host).collect(),
        request_headers_to_add: headers.request_add,
        request_headers_to_remove: headers.request_remove,
        response_headers_to_add: headers.response_add,
        response_headers_to_remove: headers.response_remove,
        // Always said: Envoy's default depends on where the configuration comes from.
        validate_clusters: wire::boolean(it.validate_clusters),
        max_direct_response_body_size_bytes: body_limit(it).map(wire::number),
        ignore_port_in_host_matching: it.ignore_port_in_host_matching,
        ..Default::default()
    }
}

/// The longest body, if Envoy would refuse it otherwise.
fn body_limit(it: &RouteConfig) -> Option<u32> {
    let bodies =
        it.virtual_hosts.iter().flat_map(|host| &host.routes).filter_map(|route| match &route.action {
            RouteAction::Direct(response) => Some(response.body.len()),
            RouteAction::Forward(_) | RouteAction::Redirect(_) => None,
        });
    let longest = bodies.max().filter(|longest| *longest > names::DIRECT_RESPONSE_LIMIT)?;
    Some(u32::try_from(longest).unwrap_or(u32::MAX))
}

fn virtual_host(it: &VirtualHost) -> pb::VirtualHost {
    let headers = edits(&it.headers);
    pb::VirtualHost {
        name: it.name.to_string(),
        domains: wire::texts(&it.domains),
        routes: it.routes.iter().map(route).collect(),
        request_headers_to_add: headers.request_add,
        request_headers_to_remove: headers.request_remove,
        response_headers_to_add: headers.response_add,
        response_headers_to_remove: headers.response_remove,
        include_request_attempt_count: it.include_request_attempt_count,
        include_attempt_count_in_response: it.include_attempt_count_in_response,
        require_tls: if it.require_tls {
            pb::virtual_host::TlsRequirementType::All
        } else {
            pb::virtual_host::TlsRequirementType::None
        }
        .into(),
        metadata: Builder::default().origin(&it.origin).build(),
        ..Default::default()
    }
}

fn route(it: &Route) -> pb::Route {
    let headers = edits(&it.headers);
    let fault = it.fault.as_ref().map(|it| (names::FAULT.to_owned(), wire::pack(&fault::fault(it))));
    pb::Route {
        name: it.name.to_string(),
        r#match: Some(route_match(&it.matches)),
        metadata: Builder::default().origin(&it.origin).build(),
        decorator: it
            .decorator
            .as_ref()
            .map(|operation| pb::Decorator { operation: operation.to_string(), propagate: None }),
        typed_per_filter_config: HashMap::from_iter(fault),
        request_headers_to_add: headers.request_add,
        request_headers_to_remove: headers.request_remove,
        response_headers_to_add: headers.response_add,
        response_headers_to_remove: headers.response_remove,
        action: Some(action(&it.action)),
        ..Default::default()
    }
}

fn route_match(it: &RouteMatch) -> pb::RouteMatch {
    let path = match &it.path {
        PathMatch::Prefix(text) => PathSpecifier::Prefix(text.to_string()),
        PathMatch::SeparatedPrefix(text) => PathSpecifier::PathSeparatedPrefix(text.to_string()),
        PathMatch::Exact(text) => PathSpecifier::Path(text.to_string()),
        PathMatch::Regex(text) => PathSpecifier::SafeRegex(matcher::regex(text)),
    };
    pb::RouteMatch {
        case_sensitive: (!it.case_sensitive).then(|| wire::boolean(false)).flatten(),
        runtime_fraction: it.runtime_fraction.map(matcher::runtime_fraction),
        headers: it.headers.iter().map(matcher::header).collect(),
        query_parameters: it.query.iter().map(query).collect(),
        grpc: it.grpc.then_some(pb::route_match::GrpcRouteMatchOptions {}),
        path_specifier: Some(path),
        ..Default::default()
    }
}

fn query(it: &QueryMatcher) -> pb::QueryParameterMatcher {
    let specifier = match &it.value {
        None => QueryParameterMatchSpecifier::PresentMatch(true),
        Some(pattern) => QueryParameterMatchSpecifier::StringMatch(crate::pb::matcher::StringMatcher {
            match_pattern: Some(matcher::pattern(pattern)),
            ignore_case: false,
        }),
    };
    pb::QueryParameterMatcher { name: it.name.to_string(), query_parameter_match_specifier: Some(specifier) }
}

fn action(it: &RouteAction) -> pb::route::Action {
    match it {
        RouteAction::Forward(it) => pb::route::Action::Route(forward(it)),
        RouteAction::Direct(it) => pb::route::Action::DirectResponse(direct_response(it)),
        RouteAction::Redirect(it) => pb::route::Action::Redirect(redirect(it)),
    }
}

fn forward(it: &Forward) -> pb::RouteAction {
    let clusters = match &it.clusters {
        RouteClusters::Single(name) => ClusterSpecifier::Cluster(name.to_string()),
        RouteClusters::Weighted(clusters) => ClusterSpecifier::WeightedClusters(pb::WeightedCluster {
            clusters: clusters.iter().map(weighted).collect(),
            ..Default::default()
        }),
    };
    pb::RouteAction {
        prefix_rewrite: wire::optional_text(&it.prefix_rewrite),
        timeout: wire::optional_duration(it.timeout),
        idle_timeout: wire::optional_duration(it.idle_timeout),
        retry_policy: it.retry.as_ref().map(retry::retry_policy),
        hash_policy: it.hash_policy.iter().map(hash_policy::hash_policy).collect(),
        metadata_match: hash_policy::criteria(&it.metadata_match),
        priority: hash_policy::priority(it.priority).into(),
        max_grpc_timeout: wire::optional_duration(it.max_grpc_timeout),
        max_stream_duration: it.max_stream_duration.as_ref().map(max_stream_duration),
        cluster_specifier: Some(clusters),
        host_rewrite_specifier: it
            .host_rewrite
            .as_ref()
            .map(|host| HostRewriteSpecifier::HostRewriteLiteral(host.to_string())),
        ..Default::default()
    }
}

fn max_stream_duration(it: &MaxStreamDuration) -> pb::route_action::MaxStreamDuration {
    pb::route_action::MaxStreamDuration {
        max_stream_duration: wire::optional_duration(it.max),
        grpc_timeout_header_max: wire::optional_duration(it.grpc_header_max),
        grpc_timeout_header_offset: wire::optional_duration(it.grpc_header_offset),
    }
}

fn weighted(it: &WeightedCluster) -> ClusterWeight {
    let headers = edits(&it.headers);
    ClusterWeight {
        name: it.name.to_string(),
        weight: Some(wire::number(it.weight)),
        metadata_match: hash_policy::criteria(&it.metadata_match),
        request_headers_to_add: headers.request_add,
        request_headers_to_remove: headers.request_remove,
        response_headers_to_add: headers.response_add,
        response_headers_to_remove: headers.response_remove,
        ..Default::default()
    }
}

fn direct_response(it: &DirectResponse) -> pb::DirectResponseAction {
    let body = (!it.body.is_empty()).then(|| core::DataSource {
        specifier: Some(core::data_source::Specifier::InlineString(it.body.to_string())),
        ..Default::default()
    });
    pb::DirectResponseAction { status: it.status.into(), body, body_format: None }
}

fn redirect(it: &Redirect) -> pb::RedirectAction {
    let code = match it.status {
        302 => RedirectResponseCode::Found,
        303 => RedirectResponseCode::SeeOther,
        307 => RedirectResponseCode::TemporaryRedirect,
        308 => RedirectResponseCode::PermanentRedirect,
        _ => RedirectResponseCode::MovedPermanently,
    };
    let path = it.path.as_ref().map(|path| PathRewriteSpecifier::PathRedirect(path.to_string()));
    let prefix =
        || it.prefix_rewrite.as_ref().map(|path| PathRewriteSpecifier::PrefixRewrite(path.to_string()));
    pb::RedirectAction {
        host_redirect: wire::optional_text(&it.host),
        port_redirect: it.port.map(u32::from).unwrap_or_default(),
        response_code: code.into(),
        strip_query: it.strip_query,
        scheme_rewrite_specifier: it.https.then_some(SchemeRewriteSpecifier::HttpsRedirect(true)),
        path_rewrite_specifier: path.or_else(prefix),
    }
}

struct Edits {
    request_add: Vec<core::HeaderValueOption>,
    request_remove: Vec<String>,
    response_add: Vec<core::HeaderValueOption>,
    response_remove: Vec<String>,
}

fn edits(it: &HeaderEdits) -> Edits {
    Edits {
        request_add: it.request_add.iter().map(header_value).collect(),
        request_remove: wire::texts(&it.request_remove),
        response_add: it.response_add.iter().map(header_value).collect(),
        response_remove: wire::texts(&it.response_remove),
    }
}

pub(super) fn header_value(it: &HeaderValue) -> core::HeaderValueOption {
    let action = match it.action {
        AppendAction::AppendIfExistsOrAdd => HeaderAppendAction::AppendIfExistsOrAdd,
        AppendAction::AddIfAbsent => HeaderAppendAction::AddIfAbsent,
        AppendAction::OverwriteIfExistsOrAdd => HeaderAppendAction::OverwriteIfExistsOrAdd,
        AppendAction::OverwriteIfExists => HeaderAppendAction::OverwriteIfExists,
    };
    core::HeaderValueOption {
        header: Some(core::HeaderValue {
            key: it.name.to_string(),
            value: wire::literal(&it.value),
            ..Default::default()
        }),
        append_action: action.into(),
        // Without it Envoy leaves a header with an empty value out.
        keep_empty_value: it.value.is_empty(),
        ..Default::default()
    }
}
