//! What routes do.

use ir::access_log::{LogContent, LogFormat};
use ir::body::BodySource;
use ir::route::{
    BodyFormat, ClusterRef, DirectResponse, Forward, HostRewrite, InternalRedirect, MaxStreamDuration,
    Mirror, Redirect, RouteClusters, RouteUpgrade, RoutingPriority, WeightedCluster,
};
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;

use super::overrides::overrides;
use super::route::{edits, retry};
use super::{balance, matcher, text};

pub(super) fn forward() -> BoxedStrategy<Forward> {
    let weighted = (cluster_ref(), 1u32..1000, edits(), overrides(), super::json_map());
    let weighted = weighted.prop_map(|(cluster, weight, headers, filters, metadata_match)| WeightedCluster {
        host_rewrite: (weight % 2 == 0).then(|| "host".into()),
        cluster,
        weight,
        headers,
        filters,
        metadata_match,
    });
    let clusters = prop_oneof![
        text::name().prop_map(RouteClusters::Single),
        vec(weighted, 1..4).prop_map(RouteClusters::Weighted),
        text::header().prop_map(RouteClusters::Header),
    ];
    let priority = prop_oneof![Just(RoutingPriority::Default), Just(RoutingPriority::High)];
    let limits = vec(super::overrides::route_rate_limit(1..2), 0..2);
    let sticky = (vec(balance::hash_policy(), 0..3), super::json_map(), priority, limits);
    let time = || option::of(text::duration());
    let stream = (time(), time(), time()).prop_map(|(max, grpc_header_max, grpc_header_offset)| {
        MaxStreamDuration { max, grpc_header_max, grpc_header_offset }
    });
    let times = (time(), time(), time(), option::of(stream));
    let rewrite = prop_oneof![
        Just((None, None)),
        text::path().prop_map(|it| (Some(it), None)),
        matcher::rewrite().prop_map(|it| (None, Some(Box::new(it)))),
    ];
    let status = prop::sample::select(vec![404u16, 500, 503]);
    let host = (option::of(host_rewrite()), any::<bool>());
    let rest = (mirrors(), option::of(internal_redirect().prop_map(Box::new)), status, upgrades());
    (clusters, times, option::of(retry()), host, rewrite, rest, sticky)
        .prop_map(|(clusters, times, retry, host, rewrite, rest, sticky)| Forward {
            clusters,
            timeout: times.0,
            idle_timeout: times.1,
            max_grpc_timeout: times.2,
            max_stream_duration: times.3,
            retry,
            hash_policy: sticky.0,
            metadata_match: sticky.1,
            priority: sticky.2,
            host_rewrite: host.0,
            append_x_forwarded_host: host.1,
            prefix_rewrite: rewrite.0,
            regex_rewrite: rewrite.1,
            mirrors: rest.0,
            internal_redirect: rest.1,
            cluster_not_found_status: rest.2,
            upgrades: rest.3,
            include_vhost_rate_limits: sticky.3.len() == 1,
            rate_limits: sticky.3.into(),
        })
        .boxed()
}

fn upgrades() -> impl Strategy<Value = Box<[RouteUpgrade]>> {
    (option::of(any::<bool>()), option::of(any::<(bool, bool)>())).prop_map(|(websocket, connect)| {
        let upgrade = |name: &str, enabled, connect_config| RouteUpgrade {
            upgrade_type: name.into(),
            enabled,
            connect_config,
        };
        let websocket = websocket.map(|enabled| upgrade("websocket", enabled, false));
        let connect = connect.map(|(enabled, ends)| upgrade("connect", enabled, ends));
        websocket.into_iter().chain(connect).collect()
    })
}

fn host_rewrite() -> impl Strategy<Value = HostRewrite> {
    prop_oneof![
        text::name().prop_map(HostRewrite::Literal),
        Just(HostRewrite::Auto),
        text::header().prop_map(HostRewrite::Header),
        matcher::rewrite().prop_map(|it| HostRewrite::PathRegex(Box::new(it))),
    ]
}

pub(super) fn mirrors() -> impl Strategy<Value = Vec<Mirror>> {
    let mirror = (cluster_ref(), option::of(matcher::fraction()), any::<bool>(), option::of(text::name()))
        .prop_map(|(cluster, fraction, keep_host, host_rewrite)| Mirror {
            cluster,
            fraction,
            keep_host,
            host_rewrite,
        });
    vec(mirror, 0..2)
}

fn cluster_ref() -> impl Strategy<Value = ClusterRef> {
    prop_oneof![text::name().prop_map(ClusterRef::Name), text::header().prop_map(ClusterRef::Header)]
}

fn internal_redirect() -> impl Strategy<Value = InternalRedirect> {
    let codes = btree_set(prop::sample::select(vec![301u16, 302, 303, 307, 308]), 0..4);
    let lists = (option::of(vec(text::name(), 1..3)), vec(text::header(), 0..2));
    (any::<u32>(), codes, any::<(bool, bool, bool)>(), lists).prop_map(|(max, codes, flags, lists)| {
        InternalRedirect {
            max,
            codes,
            allow_cross_scheme: flags.0,
            safe_cross_scheme: flags.1,
            avoid_previous_routes: flags.2,
            allowed_routes: lists.0,
            response_headers_to_copy: lists.1,
        }
    })
}

pub(super) fn body_format() -> impl Strategy<Value = BodyFormat> {
    (any::<bool>(), option::of(text::name())).prop_map(|(omit_empty_values, content_type)| {
        let content = LogContent::Text("%LOCAL_REPLY_BODY%!".into());
        BodyFormat { format: LogFormat { content, omit_empty_values }, content_type }
    })
}

pub(super) fn body() -> impl Strategy<Value = BodySource> {
    prop_oneof![
        text::any_text().prop_map(BodySource::from),
        vec(any::<u8>(), 0..8).prop_map(|bytes| BodySource::Inline(bytes.into())),
        text::path().prop_map(BodySource::File),
        text::name().prop_map(BodySource::Environment),
    ]
}

pub(super) fn direct() -> impl Strategy<Value = DirectResponse> {
    let body = prop_oneof![body(), Just(BodySource::default()), Just(BodySource::from("x".repeat(5000)))];
    let format = body_format().prop_map(Box::new);
    (200u16..600, body, option::of(format)).prop_map(|(status, body, format)| DirectResponse {
        status,
        body,
        format,
    })
}

pub(super) fn redirect() -> impl Strategy<Value = Redirect> {
    let path = prop_oneof![
        Just((None, None, None)),
        text::path().prop_map(|it| (Some(it), None, None)),
        text::path().prop_map(|it| (None, Some(it), None)),
        matcher::rewrite().prop_map(|it| (None, None, Some(it))),
    ];
    let scheme = prop_oneof![
        any::<bool>().prop_map(|https| (https, None)),
        text::name().prop_map(|it| (false, Some(it)))
    ];
    let status = prop::sample::select(vec![301u16, 302, 303, 307, 308]);
    (scheme, option::of(text::name()), option::of(text::port()), path, status, any::<bool>()).prop_map(
        |((https, scheme), host, port, (path, prefix_rewrite, regex_rewrite), status, strip_query)| {
            Redirect { https, scheme, host, port, path, prefix_rewrite, regex_rewrite, status, strip_query }
        },
    )
}
