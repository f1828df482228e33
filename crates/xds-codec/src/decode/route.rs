//! Route configurations and virtual hosts.

use std::sync::Arc;

use ir::route::{HeaderEdits, RequireTls};
use ir::{CorsPolicy, FilterOverrides, Route, RouteAction, RouteConfig, VirtualHost};
use stdx::Str;

use super::at::At;
use super::strict::{harmless, refuse};
use super::{action, cors, headers, limit_actions, metadata, overrides, respond, retry, route_match, wire};
use crate::names;
use crate::pb::google;
use crate::pb::route::{self as pb, virtual_host::TlsRequirementType};

/// From RDS, where clusters are not validated unless it is said.
pub(crate) fn discovered(at: At<'_>, it: pb::RouteConfiguration) -> RouteConfig {
    let name_at = at.field("name");
    let config = route_config(at, it, false);
    if config.name.is_empty() {
        name_at.refuse("is required");
    }
    config
}

/// Inside a connection manager, where they are unless it is said.
pub(super) fn inline(at: At<'_>, it: pb::RouteConfiguration) -> RouteConfig {
    route_config(at, it, true)
}

fn route_config(at: At<'_>, it: pb::RouteConfiguration, validated: bool) -> RouteConfig {
    let pb::RouteConfiguration {
        name,
        virtual_hosts,
        vhds,
        internal_only_headers,
        response_headers_to_add,
        response_headers_to_remove,
        request_headers_to_add,
        request_headers_to_remove,
        most_specific_header_mutations_wins,
        validate_clusters,
        max_direct_response_body_size_bytes,
        cluster_specifier_plugins,
        request_mirror_policies,
        ignore_port_in_host_matching,
        vhost_header,
        ignore_path_parameters_in_path_matching,
        typed_per_filter_config,
        metadata,
        route_specifiers,
    } = it;
    refuse!(at; vhds, internal_only_headers, cluster_specifier_plugins, vhost_header,
        ignore_path_parameters_in_path_matching, route_specifiers);
    harmless!(Metadata; metadata);
    let limit = wire::optional_number(max_direct_response_body_size_bytes);
    let host_at = |(index, it)| {
        let at = at.index("virtual_hosts", index);
        let host = virtual_host(at, it);
        check_bodies(at, &host, limit);
        Arc::new(host)
    };
    RouteConfig {
        name: name.into(),
        virtual_hosts: wire::exact(virtual_hosts.into_iter().enumerate().map(host_at)),
        ignore_port_in_host_matching,
        validate_clusters: wire::flag(validate_clusters, validated),
        headers: headers::edits(
            at,
            headers::Edits {
                request_add: request_headers_to_add,
                request_remove: request_headers_to_remove,
                response_add: response_headers_to_add,
                response_remove: response_headers_to_remove,
            },
        ),
        most_specific_header_mutations_wins,
        mirrors: action::mirrors(at, request_mirror_policies),
        filters: overrides::overrides(at, typed_per_filter_config),
        max_direct_response_body_size: limit,
    }
}

/// What is in files is looked at by who reads them.
fn check_bodies(at: At<'_>, host: &VirtualHost, limit: Option<u32>) {
    let limit = limit.map_or(names::DIRECT_RESPONSE_LIMIT, |limit| limit as usize);
    for (index, route) in host.routes.iter().enumerate() {
        if let RouteAction::Direct(direct) = &route.action
            && direct.body.inline().is_some_and(|bytes| bytes.len() > limit)
        {
            let at = at.index("routes", index);
            at.field("direct_response").field("body").refuse(format!("is longer than {limit} bytes"));
        }
    }
}

pub(crate) fn virtual_host(at: At<'_>, it: pb::VirtualHost) -> VirtualHost {
    let pb::VirtualHost {
        name,
        domains,
        routes,
        matcher,
        require_tls,
        virtual_clusters,
        rate_limits,
        request_headers_to_add,
        request_headers_to_remove,
        response_headers_to_add,
        response_headers_to_remove,
        cors,
        typed_per_filter_config,
        include_request_attempt_count,
        include_attempt_count_in_response,
        retry_policy,
        retry_policy_typed_config,
        hedge_policy,
        include_is_timeout_retry_header,
        per_request_buffer_limit_bytes,
        request_body_buffer_limit,
        request_mirror_policies,
        metadata: keys,
        route_specifiers,
    } = it;
    refuse!(at; matcher, retry_policy_typed_config, hedge_policy, include_is_timeout_retry_header,
        route_specifiers);
    harmless!(Statistics; virtual_clusters);
    let route_at = |(index, it)| route(at.index("routes", index), it);
    let edits: HeaderEdits = headers::edits(
        at,
        headers::Edits {
            request_add: request_headers_to_add,
            request_remove: request_headers_to_remove,
            response_add: response_headers_to_add,
            response_remove: response_headers_to_remove,
        },
    );
    VirtualHost {
        name: wire::required(at.field("name"), name),
        domains: some_domains(at.field("domains"), domains),
        routes: wire::exact(routes.into_iter().enumerate().map(route_at)),
        include_request_attempt_count,
        include_attempt_count_in_response,
        require_tls: match wire::enumeration(at.field("require_tls"), require_tls) {
            TlsRequirementType::None => RequireTls::None,
            TlsRequirementType::ExternalOnly => RequireTls::ExternalOnly,
            TlsRequirementType::All => RequireTls::All,
        },
        retry: retry_policy.map(|it| retry::retry_policy(at.field("retry_policy"), it)),
        mirrors: action::mirrors(at, request_mirror_policies),
        request_body_buffer_limit: buffer_limit(per_request_buffer_limit_bytes, request_body_buffer_limit),
        headers: edits,
        rate_limits: limit_actions::of_routes(at, rate_limits).into(),
        filters: with_cors(
            overrides::overrides(at, typed_per_filter_config),
            cors.map(|it| cors::of_route(at.field("cors"), it)),
        ),
        origin: metadata::keys(keys).origin(),
    }
}

/// Of the two fields for the same the newer one wins, as in Envoy.
fn buffer_limit(old: Option<google::UInt32Value>, new: Option<google::UInt64Value>) -> Option<u64> {
    new.map(|it| it.value).or(old.map(|it| it.value.into()))
}

/// A policy in the older place counts where there is none in the newer.
fn with_cors(mut filters: FilterOverrides, cors: Option<CorsPolicy>) -> FilterOverrides {
    filters.cors = filters.cors.or(cors.map(Box::new));
    filters
}

fn some_domains(at: At<'_>, domains: Vec<String>) -> Vec<Str> {
    if domains.is_empty() {
        at.refuse("must not be empty");
    }
    wire::texts(domains)
}

fn route(at: At<'_>, it: pb::Route) -> Route {
    let pb::Route {
        name,
        r#match,
        metadata: keys,
        decorator,
        typed_per_filter_config,
        request_headers_to_add,
        request_headers_to_remove,
        response_headers_to_add,
        response_headers_to_remove,
        tracing,
        per_request_buffer_limit_bytes,
        stat_prefix,
        request_body_buffer_limit,
        route_specifiers,
        action: what,
    } = it;
    refuse!(at; tracing, route_specifiers);
    let matches = r#match.unwrap_or_else(|| {
        at.field("match").refuse("is required");
        pb::RouteMatch::default()
    });
    let (action, cors) = action(at, what);
    Route {
        name: name.into(),
        matches: route_match::route_match(at.field("match"), matches),
        action,
        filters: with_cors(overrides::overrides(at, typed_per_filter_config), cors),
        request_body_buffer_limit: buffer_limit(per_request_buffer_limit_bytes, request_body_buffer_limit),
        headers: headers::edits(
            at,
            headers::Edits {
                request_add: request_headers_to_add,
                request_remove: request_headers_to_remove,
                response_add: response_headers_to_add,
                response_remove: response_headers_to_remove,
            },
        ),
        decorator: decorator.map(|it| operation(at.field("decorator"), it)),
        stat_prefix: wire::optional_text(stat_prefix),
        origin: metadata::keys(keys).origin(),
    }
}

fn operation(at: At<'_>, it: pb::Decorator) -> Str {
    let pb::Decorator { operation, propagate } = it;
    if !wire::flag(propagate, true) {
        at.field("propagate").refuse("false is not supported");
    }
    wire::required(at.field("operation"), operation)
}

fn action(at: At<'_>, it: Option<pb::route::Action>) -> (RouteAction, Option<CorsPolicy>) {
    let name = match it {
        Some(pb::route::Action::Route(it)) => {
            let (forward, cors) = action::forward(at.field("route"), it);
            return (RouteAction::Forward(forward), cors);
        }
        Some(pb::route::Action::DirectResponse(it)) => {
            return (RouteAction::Direct(respond::direct_response(at.field("direct_response"), it)), None);
        }
        Some(pb::route::Action::Redirect(it)) => {
            return (RouteAction::Redirect(respond::redirect(at.field("redirect"), it)), None);
        }
        Some(pb::route::Action::FilterAction(_)) => "filter_action",
        Some(pb::route::Action::NonForwardingAction(_)) => "non_forwarding_action",
        None => {
            at.refuse("an action is required: route, direct_response or redirect");
            return (RouteAction::Redirect(Default::default()), None);
        }
    };
    at.unsupported(name);
    (RouteAction::Redirect(Default::default()), None)
}
