//! What a route does.

use ir::route::{DirectResponse, Forward, MaxStreamDuration, Redirect, RouteClusters, WeightedCluster};
use stdx::Str;

use super::at::At;
use super::strict::{harmless, refuse, refuse_true};
use super::{hash_policy, headers, retry, wire};
use crate::pb::core::{self, data_source::Specifier};
use crate::pb::route::redirect_action::{PathRewriteSpecifier, RedirectResponseCode, SchemeRewriteSpecifier};
use crate::pb::route::route_action::{ClusterSpecifier, HostRewriteSpecifier};
use crate::pb::route::{self as pb, weighted_cluster::ClusterWeight};

pub(super) fn forward(at: At<'_>, it: pb::RouteAction) -> Forward {
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
    refuse!(at; cluster_not_found_response_code, regex_rewrite, path_rewrite_policy, path_rewrite,
        append_x_forwarded_host, flush_timeout, early_data_policy, retry_policy_typed_config,
        request_mirror_policies, rate_limits, cors, grpc_timeout_offset, upgrade_configs,
        internal_redirect_policy, internal_redirect_action, max_internal_redirects, hedge_policy);
    refuse_true!(at; include_vh_rate_limits);
    let duration = |name, it| wire::optional_duration(at.field(name), it);
    Forward {
        clusters: clusters(at, cluster_specifier),
        timeout: duration("timeout", timeout),
        idle_timeout: duration("idle_timeout", idle_timeout),
        max_grpc_timeout: duration("max_grpc_timeout", max_grpc_timeout),
        max_stream_duration: max_stream_duration
            .map(|it| self::max_stream_duration(at.field("max_stream_duration"), it)),
        retry: retry_policy.map(|it| retry::retry_policy(at.field("retry_policy"), it)),
        hash_policy: hash_policy::hash_policies(&at, hash_policy),
        metadata_match: hash_policy::criteria(metadata_match),
        priority: hash_policy::priority(at.field("priority"), priority),
        host_rewrite: host_rewrite(at, host_rewrite_specifier),
        prefix_rewrite: wire::optional_text(prefix_rewrite),
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
        Some(ClusterSpecifier::ClusterHeader(_)) => "cluster_header",
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
    refuse!(at; cluster_header, typed_per_filter_config, host_rewrite_specifier);
    if weight.is_none() {
        at.field("weight").refuse("is required");
    }
    WeightedCluster {
        name: wire::required(at.field("name"), name),
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
    }
}

fn host_rewrite(at: At<'_>, it: Option<HostRewriteSpecifier>) -> Option<Str> {
    let name = match it? {
        HostRewriteSpecifier::HostRewriteLiteral(host) => {
            return Some(wire::required(at.field("host_rewrite_literal"), host));
        }
        HostRewriteSpecifier::AutoHostRewrite(it) if !it.value => return None,
        HostRewriteSpecifier::AutoHostRewrite(_) => "auto_host_rewrite",
        HostRewriteSpecifier::HostRewriteHeader(_) => "host_rewrite_header",
        HostRewriteSpecifier::HostRewritePathRegex(_) => "host_rewrite_path_regex",
        HostRewriteSpecifier::HostRewrite(_) => "host_rewrite",
    };
    at.unsupported(name);
    None
}

pub(super) fn direct_response(at: At<'_>, it: pb::DirectResponseAction) -> DirectResponse {
    let pb::DirectResponseAction { status, body, body_format } = it;
    refuse!(at; body_format);
    let status = match u16::try_from(status) {
        Ok(status @ 200..=599) => status,
        _ => {
            at.field("status").refuse(format!("{status} is not from 200 to 599"));
            500
        }
    };
    DirectResponse { status, body: body.map(|it| text(at.field("body"), it)).unwrap_or_default() }
}

fn text(at: At<'_>, it: core::DataSource) -> Str {
    let core::DataSource { watched_directory, specifier } = it;
    refuse!(at; watched_directory);
    match specifier {
        Some(Specifier::InlineString(text)) => return text.into(),
        Some(Specifier::InlineBytes(bytes)) => match String::from_utf8(bytes) {
            Ok(text) => return text.into(),
            Err(_) => at.field("inline_bytes").refuse("only text is supported"),
        },
        Some(Specifier::Filename(_)) => at.unsupported("filename"),
        Some(Specifier::EnvironmentVariable(_)) => at.unsupported("environment_variable"),
        None => at.refuse("is empty"),
    }
    Str::default()
}

pub(super) fn redirect(at: At<'_>, it: pb::RedirectAction) -> Redirect {
    let pb::RedirectAction {
        host_redirect,
        port_redirect,
        response_code,
        strip_query,
        scheme_rewrite_specifier,
        path_rewrite_specifier,
    } = it;
    let status = match wire::enumeration(at.field("response_code"), response_code) {
        RedirectResponseCode::MovedPermanently => 301,
        RedirectResponseCode::Found => 302,
        RedirectResponseCode::SeeOther => 303,
        RedirectResponseCode::TemporaryRedirect => 307,
        RedirectResponseCode::PermanentRedirect => 308,
    };
    let (path, prefix_rewrite) = match path_rewrite_specifier {
        Some(PathRewriteSpecifier::PathRedirect(path)) => (wire::optional_text(path), None),
        Some(PathRewriteSpecifier::PrefixRewrite(prefix)) => (None, wire::optional_text(prefix)),
        Some(PathRewriteSpecifier::RegexRewrite(_)) => {
            at.unsupported("regex_rewrite");
            (None, None)
        }
        Some(PathRewriteSpecifier::PathRewrite(_)) => {
            at.unsupported("path_rewrite");
            (None, None)
        }
        None => (None, None),
    };
    Redirect {
        https: https(at, scheme_rewrite_specifier),
        host: wire::optional_text(host_redirect),
        port: (port_redirect != 0).then(|| wire::port(at.field("port_redirect"), port_redirect)),
        path,
        prefix_rewrite,
        status,
        strip_query,
    }
}

fn https(at: At<'_>, it: Option<SchemeRewriteSpecifier>) -> bool {
    match it {
        None => false,
        Some(SchemeRewriteSpecifier::HttpsRedirect(https)) => https,
        Some(SchemeRewriteSpecifier::SchemeRedirect(scheme)) => {
            if scheme != "https" {
                at.field("scheme_redirect").refuse(format!("{scheme:?} is not supported, only https"));
            }
            true
        }
    }
}
