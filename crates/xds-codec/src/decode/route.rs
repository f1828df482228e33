//! Route configurations and virtual hosts.

use std::collections::HashMap;

use ir::route::HeaderEdits;
use ir::{Fault, Route, RouteAction, RouteConfig, VirtualHost};
use stdx::Str;

use super::at::At;
use super::strict::{harmless, refuse};
use super::{action, fault, headers, metadata, route_match, wire};
use crate::Any;
use crate::names::FAULT;
use crate::pb::fault::HttpFault;
use crate::pb::route as pb;

/// From RDS, where clusters are not validated unless it is said.
pub(super) fn discovered(at: At<'_>, it: pb::RouteConfiguration) -> RouteConfig {
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
    refuse!(at; vhds, internal_only_headers, most_specific_header_mutations_wins, cluster_specifier_plugins,
        request_mirror_policies, vhost_header, ignore_path_parameters_in_path_matching, typed_per_filter_config,
        route_specifiers);
    harmless!(Bound; max_direct_response_body_size_bytes);
    harmless!(Metadata; metadata);
    let host_at = |(index, it)| virtual_host(at.index("virtual_hosts", index), it);
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
    }
}

fn virtual_host(at: At<'_>, it: pb::VirtualHost) -> VirtualHost {
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
    refuse!(at; matcher, rate_limits, cors, typed_per_filter_config, retry_policy,
        retry_policy_typed_config, hedge_policy, include_is_timeout_retry_header, per_request_buffer_limit_bytes,
        request_body_buffer_limit, request_mirror_policies, route_specifiers);
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
        require_tls: tls_requirement(at.field("require_tls"), require_tls),
        headers: edits,
        origin: metadata::keys(keys).origin(),
    }
}

/// Which requests come from outside is not known here, so a requirement for those alone is refused.
fn tls_requirement(at: At<'_>, it: i32) -> bool {
    use pb::virtual_host::TlsRequirementType;
    match TlsRequirementType::try_from(it) {
        Ok(TlsRequirementType::None) => false,
        Ok(TlsRequirementType::All) => true,
        Ok(TlsRequirementType::ExternalOnly) => {
            at.refuse("EXTERNAL_ONLY is not supported");
            true
        }
        Err(_) => {
            at.refuse(format!("{it} is no TlsRequirementType"));
            true
        }
    }
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
    refuse!(at; tracing, per_request_buffer_limit_bytes, request_body_buffer_limit, route_specifiers);
    harmless!(Statistics; stat_prefix);
    let matches = r#match.unwrap_or_else(|| {
        at.field("match").refuse("is required");
        pb::RouteMatch::default()
    });
    Route {
        name: name.into(),
        matches: route_match::route_match(at.field("match"), matches),
        action: action(at, what),
        fault: route_fault(at, typed_per_filter_config),
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

/// The only filter that routes configure.
fn route_fault(at: At<'_>, all: HashMap<String, Any>) -> Option<Fault> {
    let mut found = None;
    for (name, any) in all {
        let at = at.key("typed_per_filter_config", &name);
        if name != FAULT {
            at.refuse("is not supported");
        } else if wire::is::<HttpFault>(&any) {
            found = Some(fault::fault(at, wire::unpack(at, &any)));
        } else {
            wire::unknown_type(at, &any);
        }
    }
    found
}

fn action(at: At<'_>, it: Option<pb::route::Action>) -> RouteAction {
    let name = match it {
        Some(pb::route::Action::Route(it)) => {
            return RouteAction::Forward(action::forward(at.field("route"), it));
        }
        Some(pb::route::Action::DirectResponse(it)) => {
            return RouteAction::Direct(action::direct_response(at.field("direct_response"), it));
        }
        Some(pb::route::Action::Redirect(it)) => {
            return RouteAction::Redirect(action::redirect(at.field("redirect"), it));
        }
        Some(pb::route::Action::FilterAction(_)) => "filter_action",
        Some(pb::route::Action::NonForwardingAction(_)) => "non_forwarding_action",
        None => {
            at.refuse("an action is required: route, direct_response or redirect");
            return placeholder();
        }
    };
    at.unsupported(name);
    placeholder()
}

fn placeholder() -> RouteAction {
    RouteAction::Redirect(Default::default())
}
