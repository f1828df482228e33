//! What a route does.

use std::collections::BTreeSet;

use ir::CorsPolicy;
use ir::route::{
    ClusterRef, Forward, HostRewrite, InternalRedirect, MaxStreamDuration, Mirror, RouteClusters,
    WeightedCluster,
};
use stdx::Str;

use super::at::At;
use super::strict::{harmless, refuse};
use super::{cors, hash_policy, headers, limit_actions, matcher, overrides, retry, wire};
use crate::pb::allow_listed_routes::AllowListedRoutesConfig;
use crate::pb::core;
use crate::pb::previous_routes::PreviousRoutesConfig;
use crate::pb::route::route_action::{
    ClusterNotFoundResponseCode, ClusterSpecifier, HostRewriteSpecifier, RequestMirrorPolicy,
};
use crate::pb::route::weighted_cluster::cluster_weight::HostRewriteSpecifier as WeightedHostRewrite;
use crate::pb::route::{self as pb, weighted_cluster::ClusterWeight};
use crate::pb::safe_cross_scheme::SafeCrossSchemeConfig;

/// The action, and its CORS policy.
pub(super) fn forward(at: At<'_>, it: pb::RouteAction) -> (Forward, Option<CorsPolicy>) {
    let pb::RouteAction {
        cluster_not_found_response_code,
        metadata_match,
        prefix_rewrite,
        regex_rewrite,
        path_rewrite_policy,
        path_rewrite,
        append_x_forwarded_host,
        timeout,
        idle_timeout,
        flush_timeout,
        early_data_policy,
        retry_policy,
        retry_policy_typed_config,
        request_mirror_policies,
        priority,
        rate_limits,
        include_vh_rate_limits,
        hash_policy,
        cors,
        max_grpc_timeout,
        grpc_timeout_offset,
        upgrade_configs,
        internal_redirect_policy,
        internal_redirect_action,
        max_internal_redirects,
        hedge_policy,
        max_stream_duration,
        cluster_specifier,
        host_rewrite_specifier,
    } = it;
    refuse!(at; path_rewrite_policy, path_rewrite, flush_timeout, early_data_policy, retry_policy_typed_config,
        grpc_timeout_offset, internal_redirect_action, max_internal_redirects,
        hedge_policy);
    let duration = |name, it| wire::optional_duration(at.field(name), it);
    if !prefix_rewrite.is_empty() && regex_rewrite.is_some() {
        at.field("regex_rewrite").refuse("must not be set beside prefix_rewrite");
    }
    let cors = cors.map(|it| cors::of_route(at.field("cors"), it));
    let forward = Forward {
        clusters: clusters(at, cluster_specifier),
        timeout: duration("timeout", timeout),
        idle_timeout: duration("idle_timeout", idle_timeout),
        max_grpc_timeout: duration("max_grpc_timeout", max_grpc_timeout),
        max_stream_duration: max_stream_duration
            .map(|it| self::max_stream_duration(at.field("max_stream_duration"), it)),
        retry: retry_policy.map(|it| retry::retry_policy(at.field("retry_policy"), it)),
        rate_limits: limit_actions::of_routes(at, rate_limits).into(),
        include_vhost_rate_limits: wire::flag(include_vh_rate_limits, false),
        upgrades: super::upgrades::of_route(at, upgrade_configs),
        hash_policy: hash_policy::hash_policies(&at, hash_policy),
        metadata_match: hash_policy::criteria(metadata_match),
        priority: hash_policy::priority(at.field("priority"), priority),
        host_rewrite: host_rewrite(at, host_rewrite_specifier),
        append_x_forwarded_host,
        prefix_rewrite: wire::optional_text(prefix_rewrite),
        regex_rewrite: regex_rewrite.map(|it| Box::new(matcher::rewrite(at.field("regex_rewrite"), it))),
        mirrors: mirrors(at, request_mirror_policies),
        internal_redirect: internal_redirect_policy
            .map(|it| Box::new(internal_redirect(at.field("internal_redirect_policy"), it))),
        cluster_not_found_status: match wire::enumeration(
            at.field("cluster_not_found_response_code"),
            cluster_not_found_response_code,
        ) {
            ClusterNotFoundResponseCode::ServiceUnavailable => 503,
            ClusterNotFoundResponseCode::NotFound => 404,
            ClusterNotFoundResponseCode::InternalServerError => 500,
        },
    };
    (forward, cors)
}

pub(super) fn mirrors(at: At<'_>, all: Vec<RequestMirrorPolicy>) -> Vec<Mirror> {
    let one = |(index, it)| mirror(at.index("request_mirror_policies", index), it);
    all.into_iter().enumerate().map(one).collect()
}

fn mirror(at: At<'_>, it: RequestMirrorPolicy) -> Mirror {
    let RequestMirrorPolicy {
        cluster,
        cluster_header,
        runtime_fraction,
        trace_sampled,
        disable_shadow_host_suffix_append,
        request_headers_mutations,
        host_rewrite_literal,
    } = it;
    refuse!(at; request_headers_mutations);
    harmless!(NoSuchMechanism; trace_sampled);
    Mirror {
        cluster: cluster_ref(at, ("cluster", cluster), cluster_header),
        fraction: runtime_fraction.map(|it| matcher::runtime_fraction(at.field("runtime_fraction"), it)),
        keep_host: disable_shadow_host_suffix_append,
        host_rewrite: wire::optional_text(host_rewrite_literal),
    }
}

/// One of both, as the first is called.
fn cluster_ref(at: At<'_>, (field, name): (&str, String), header: String) -> ClusterRef {
    if name.is_empty() == header.is_empty() {
        at.refuse(format!("either {field} or cluster_header is required"));
    }
    match header.is_empty() {
        true => ClusterRef::Name(name.into()),
        false => ClusterRef::Header(wire::lower(header)),
    }
}

fn internal_redirect(at: At<'_>, it: pb::InternalRedirectPolicy) -> InternalRedirect {
    let pb::InternalRedirectPolicy {
        max_internal_redirects,
        redirect_response_codes,
        predicates,
        allow_cross_scheme_redirect,
        response_headers_to_copy,
    } = it;
    let default = InternalRedirect::default();
    // Envoy leaves out what is no redirect.
    let known = |code: u32| u16::try_from(code).ok().filter(|code| matches!(code, 301..=303 | 307 | 308));
    let codes: BTreeSet<u16> = redirect_response_codes.iter().copied().filter_map(known).collect();
    let mut found = InternalRedirect {
        max: max_internal_redirects.map_or(default.max, |it| it.value),
        codes: if redirect_response_codes.is_empty() { default.codes.clone() } else { codes },
        allow_cross_scheme: allow_cross_scheme_redirect,
        response_headers_to_copy: response_headers_to_copy.into_iter().map(wire::lower).collect(),
        ..default
    };
    for (index, it) in predicates.into_iter().enumerate() {
        predicate(at.index("predicates", index), it, &mut found);
    }
    found
}

fn predicate(at: At<'_>, it: core::TypedExtensionConfig, found: &mut InternalRedirect) {
    let core::TypedExtensionConfig { name, typed_config } = it;
    harmless!(Label; name);
    let at = at.field("typed_config");
    match typed_config {
        Some(any) if wire::is::<PreviousRoutesConfig>(&any) => {
            let PreviousRoutesConfig {} = wire::unpack(at, &any);
            found.avoid_previous_routes = true;
        }
        Some(any) if wire::is::<SafeCrossSchemeConfig>(&any) => {
            let SafeCrossSchemeConfig {} = wire::unpack(at, &any);
            found.safe_cross_scheme = true;
        }
        Some(any) if wire::is::<AllowListedRoutesConfig>(&any) => {
            let AllowListedRoutesConfig { allowed_route_names } = wire::unpack(at, &any);
            found.allowed_routes.get_or_insert_default().extend(wire::texts(allowed_route_names));
        }
        Some(any) => wire::unknown_type(at, &any),
        None => at.refuse("is required"),
    }
}

fn max_stream_duration(at: At<'_>, it: pb::route_action::MaxStreamDuration) -> MaxStreamDuration {
    let pb::route_action::MaxStreamDuration {
        max_stream_duration,
        grpc_timeout_header_max,
        grpc_timeout_header_offset,
    } = it;
    let duration = |name, it| wire::optional_duration(at.field(name), it);
    MaxStreamDuration {
        max: duration("max_stream_duration", max_stream_duration),
        grpc_header_max: duration("grpc_timeout_header_max", grpc_timeout_header_max),
        grpc_header_offset: duration("grpc_timeout_header_offset", grpc_timeout_header_offset),
    }
}

fn clusters(at: At<'_>, it: Option<ClusterSpecifier>) -> RouteClusters {
    let name = match it {
        Some(ClusterSpecifier::Cluster(name)) => {
            return RouteClusters::Single(wire::required(at.field("cluster"), name));
        }
        Some(ClusterSpecifier::WeightedClusters(it)) => {
            return RouteClusters::Weighted(weighted_clusters(at.field("weighted_clusters"), it));
        }
        Some(ClusterSpecifier::ClusterHeader(name)) => {
            return RouteClusters::Header(wire::required(
                at.field("cluster_header"),
                wire::lower(name).to_string(),
            ));
        }
        Some(ClusterSpecifier::ClusterSpecifierPlugin(_)) => "cluster_specifier_plugin",
        Some(ClusterSpecifier::InlineClusterSpecifierPlugin(_)) => "inline_cluster_specifier_plugin",
        None => {
            at.field("cluster").refuse("is required");
            return RouteClusters::Single(Str::default());
        }
    };
    at.unsupported(name);
    RouteClusters::Single(Str::default())
}

fn weighted_clusters(at: At<'_>, it: pb::WeightedCluster) -> Vec<WeightedCluster> {
    let pb::WeightedCluster { clusters, total_weight, runtime_key_prefix, random_value_specifier } = it;
    refuse!(at; random_value_specifier);
    harmless!(Runtime; runtime_key_prefix);
    let one = |(index, it)| weighted(at.index("clusters", index), it);
    let clusters: Vec<_> = clusters.into_iter().enumerate().map(one).collect();
    let sum: u64 = clusters.iter().map(|it| u64::from(it.weight)).fold(0, u64::saturating_add);
    if sum == 0 || sum > u64::from(u32::MAX) {
        at.field("clusters").refuse(format!("the sum of the weights, {sum}, is not from 1 to 2^32-1"));
    }
    if total_weight.is_some_and(|total| u64::from(total.value) != sum) {
        at.field("total_weight").refuse(format!("is not the sum of the weights, {sum}"));
    }
    clusters
}

fn weighted(at: At<'_>, it: ClusterWeight) -> WeightedCluster {
    let ClusterWeight {
        name,
        cluster_header,
        weight,
        metadata_match,
        request_headers_to_add,
        request_headers_to_remove,
        response_headers_to_add,
        response_headers_to_remove,
        typed_per_filter_config,
        host_rewrite_specifier,
    } = it;
    if weight.is_none() {
        at.field("weight").refuse("is required");
    }
    WeightedCluster {
        cluster: cluster_ref(at, ("name", name), cluster_header),
        weight: weight.map_or(0, |it| it.value),
        metadata_match: hash_policy::criteria(metadata_match),
        headers: headers::edits(
            at,
            headers::Edits {
                request_add: request_headers_to_add,
                request_remove: request_headers_to_remove,
                response_add: response_headers_to_add,
                response_remove: response_headers_to_remove,
            },
        ),
        filters: overrides::overrides(at, typed_per_filter_config),
        host_rewrite: host_rewrite_specifier.map(|WeightedHostRewrite::HostRewriteLiteral(host)| {
            wire::required(at.field("host_rewrite_literal"), host)
        }),
    }
}

fn host_rewrite(at: At<'_>, it: Option<HostRewriteSpecifier>) -> Option<HostRewrite> {
    Some(match it? {
        HostRewriteSpecifier::HostRewriteLiteral(host) => {
            HostRewrite::Literal(wire::required(at.field("host_rewrite_literal"), host))
        }
        HostRewriteSpecifier::AutoHostRewrite(it) if !it.value => return None,
        HostRewriteSpecifier::AutoHostRewrite(_) => HostRewrite::Auto,
        HostRewriteSpecifier::HostRewriteHeader(name) => {
            HostRewrite::Header(wire::required(at.field("host_rewrite_header"), name.to_ascii_lowercase()))
        }
        HostRewriteSpecifier::HostRewritePathRegex(it) => {
            HostRewrite::PathRegex(Box::new(matcher::rewrite(at.field("host_rewrite_path_regex"), it)))
        }
        HostRewriteSpecifier::HostRewrite(_) => {
            at.unsupported("host_rewrite");
            return None;
        }
    })
}
