//! What a route does.

use ir::RouteAction;
use ir::route::{
    ClusterRef, Forward, HostRewrite, InternalRedirect, MaxStreamDuration, Mirror, RouteClusters,
    RouteUpgrade, WeightedCluster,
};

use super::{hash_policy, headers, limit_actions, matcher, overrides, respond, retry, wire};
use crate::names;
use crate::pb::allow_listed_routes::AllowListedRoutesConfig;
use crate::pb::previous_routes::PreviousRoutesConfig;
use crate::pb::route::route_action::{
    ClusterNotFoundResponseCode, ClusterSpecifier, HostRewriteSpecifier, RequestMirrorPolicy,
};
use crate::pb::route::weighted_cluster::cluster_weight::HostRewriteSpecifier as WeightedHostRewrite;
use crate::pb::route::{self as pb, weighted_cluster::ClusterWeight};
use crate::pb::safe_cross_scheme::SafeCrossSchemeConfig;
use crate::pb::{core, google};

pub(super) fn action(it: &RouteAction) -> pb::route::Action {
    match it {
        RouteAction::Forward(it) => pb::route::Action::Route(forward(it)),
        RouteAction::Direct(it) => pb::route::Action::DirectResponse(respond::direct_response(it)),
        RouteAction::Redirect(it) => pb::route::Action::Redirect(respond::redirect(it)),
    }
}

fn forward(it: &Forward) -> pb::RouteAction {
    let clusters = match &it.clusters {
        RouteClusters::Single(name) => ClusterSpecifier::Cluster(name.to_string()),
        RouteClusters::Weighted(clusters) => ClusterSpecifier::WeightedClusters(pb::WeightedCluster {
            clusters: clusters.iter().map(weighted).collect(),
            ..Default::default()
        }),
        RouteClusters::Header(name) => ClusterSpecifier::ClusterHeader(name.to_string()),
    };
    pb::RouteAction {
        rate_limits: limit_actions::rate_limits(&it.rate_limits),
        include_vh_rate_limits: it.include_vhost_rate_limits.then_some(google::BoolValue { value: true }),
        upgrade_configs: it.upgrades.iter().map(upgrade).collect(),
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
        host_rewrite_specifier: it.host_rewrite.as_ref().map(host_rewrite),
        append_x_forwarded_host: it.append_x_forwarded_host,
        regex_rewrite: it.regex_rewrite.as_deref().map(matcher::rewrite),
        request_mirror_policies: mirrors(&it.mirrors),
        internal_redirect_policy: it.internal_redirect.as_deref().map(internal_redirect),
        cluster_not_found_response_code: match it.cluster_not_found_status {
            404 => ClusterNotFoundResponseCode::NotFound,
            500 => ClusterNotFoundResponseCode::InternalServerError,
            _ => ClusterNotFoundResponseCode::ServiceUnavailable,
        }
        .into(),
        ..Default::default()
    }
}

fn upgrade(it: &RouteUpgrade) -> pb::route_action::UpgradeConfig {
    pb::route_action::UpgradeConfig {
        upgrade_type: it.upgrade_type.to_string(),
        enabled: Some(google::BoolValue { value: it.enabled }),
        connect_config: it.connect_config.then(Default::default),
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
    let (name, cluster_header) = cluster_ref(&it.cluster);
    let headers = headers::edits(&it.headers);
    ClusterWeight {
        name,
        cluster_header,
        weight: Some(wire::number(it.weight)),
        metadata_match: hash_policy::criteria(&it.metadata_match),
        request_headers_to_add: headers.request_add,
        request_headers_to_remove: headers.request_remove,
        response_headers_to_add: headers.response_add,
        response_headers_to_remove: headers.response_remove,
        typed_per_filter_config: overrides::overrides(&it.filters),
        host_rewrite_specifier: it
            .host_rewrite
            .as_ref()
            .map(|host| WeightedHostRewrite::HostRewriteLiteral(host.to_string())),
    }
}

fn host_rewrite(it: &HostRewrite) -> HostRewriteSpecifier {
    match it {
        HostRewrite::Literal(host) => HostRewriteSpecifier::HostRewriteLiteral(host.to_string()),
        HostRewrite::Auto => HostRewriteSpecifier::AutoHostRewrite(google::BoolValue { value: true }),
        HostRewrite::Header(name) => HostRewriteSpecifier::HostRewriteHeader(name.to_string()),
        HostRewrite::PathRegex(it) => HostRewriteSpecifier::HostRewritePathRegex(matcher::rewrite(it)),
    }
}

pub(super) fn mirrors(all: &[Mirror]) -> Vec<RequestMirrorPolicy> {
    all.iter().map(mirror).collect()
}

fn mirror(it: &Mirror) -> RequestMirrorPolicy {
    let (cluster, cluster_header) = cluster_ref(&it.cluster);
    RequestMirrorPolicy {
        cluster,
        cluster_header,
        runtime_fraction: it.fraction.map(matcher::runtime_fraction),
        disable_shadow_host_suffix_append: it.keep_host,
        host_rewrite_literal: wire::optional_text(&it.host_rewrite),
        ..Default::default()
    }
}

/// The name, or the header that says it.
fn cluster_ref(it: &ClusterRef) -> (String, String) {
    match it {
        ClusterRef::Name(name) => (name.to_string(), String::new()),
        ClusterRef::Header(name) => (String::new(), name.to_string()),
    }
}

fn internal_redirect(it: &InternalRedirect) -> pb::InternalRedirectPolicy {
    let listed = it.allowed_routes.as_ref().map(|names| {
        let allowed_route_names = wire::texts(names);
        extension(names::ALLOW_LISTED_ROUTES, &AllowListedRoutesConfig { allowed_route_names })
    });
    let previous =
        it.avoid_previous_routes.then(|| extension(names::PREVIOUS_ROUTES, &PreviousRoutesConfig {}));
    let safe = it.safe_cross_scheme.then(|| extension(names::SAFE_CROSS_SCHEME, &SafeCrossSchemeConfig {}));
    // An empty list is Envoy's default, 302; what it leaves out is left to say "none".
    let codes =
        if it.codes.is_empty() { vec![0] } else { it.codes.iter().map(|code| u32::from(*code)).collect() };
    pb::InternalRedirectPolicy {
        max_internal_redirects: Some(wire::number(it.max)),
        redirect_response_codes: codes,
        predicates: listed.into_iter().chain(previous).chain(safe).collect(),
        allow_cross_scheme_redirect: it.allow_cross_scheme,
        response_headers_to_copy: wire::texts(&it.response_headers_to_copy),
    }
}

fn extension<T: prost::Name + prost::Message>(name: &str, config: &T) -> core::TypedExtensionConfig {
    core::TypedExtensionConfig { name: name.to_owned(), typed_config: Some(wire::pack(config)) }
}
