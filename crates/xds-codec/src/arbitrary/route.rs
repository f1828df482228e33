//! Routes.

use std::time::Duration;

use ir::fault::{AbortStatus, FaultAbort, FaultDelay};
use ir::retry::{RateLimitedBackOff, ResetFormat, RetryOn};
use ir::route::{
    AppendAction, DirectResponse, Forward, HeaderEdits, HeaderValue, MaxStreamDuration, PathMatch,
    QueryMatcher, Redirect, RouteClusters, RouteMatch, RoutingPriority, WeightedCluster,
};
use ir::{Fault, RetryPolicy, Route, RouteAction, RouteConfig, Str, VirtualHost};
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;

use super::{balance, matcher, text};

/// Any route configuration.
pub fn route_config() -> BoxedStrategy<RouteConfig> {
    (text::name(), vec(virtual_host(), 0..3), any::<bool>(), any::<bool>(), edits())
        .prop_map(|(name, virtual_hosts, ignore_port_in_host_matching, validate_clusters, headers)| {
            RouteConfig { name, virtual_hosts, ignore_port_in_host_matching, validate_clusters, headers }
        })
        .boxed()
}

fn virtual_host() -> BoxedStrategy<VirtualHost> {
    let domain =
        prop_oneof![text::name(), Just("*".into()), text::name().prop_map(|it| format!("*.{it}").into())];
    let names = (text::name(), vec(domain, 1..3), text::origin());
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (names, vec(route(), 0..3), flags, edits())
        .prop_map(|((name, domains, origin), routes, (request, response, require_tls), headers)| {
            VirtualHost {
                name,
                domains,
                routes,
                include_request_attempt_count: request,
                include_attempt_count_in_response: response,
                require_tls,
                headers,
                origin,
            }
        })
        .boxed()
}

fn route() -> BoxedStrategy<Route> {
    let action = prop_oneof![
        3 => forward().prop_map(RouteAction::Forward),
        1 => direct().prop_map(RouteAction::Direct),
        1 => redirect().prop_map(RouteAction::Redirect),
    ];
    let rest = (option::of(fault()), edits(), option::of(text::name()), text::origin());
    (text::maybe_empty(), route_match(), action, rest)
        .prop_map(|(name, matches, action, (fault, headers, decorator, origin))| Route {
            name,
            matches,
            action,
            fault,
            headers,
            decorator,
            origin,
        })
        .boxed()
}

fn route_match() -> BoxedStrategy<RouteMatch> {
    let path = prop_oneof![
        text::path().prop_map(PathMatch::Prefix),
        Just(PathMatch::Prefix("/".into())),
        text::path().prop_map(PathMatch::SeparatedPrefix),
        text::path().prop_map(PathMatch::Exact),
        text::regex().prop_map(PathMatch::Regex),
    ];
    let query =
        (text::name(), option::of(matcher::pattern())).prop_map(|(name, value)| QueryMatcher { name, value });
    let rest = (vec(query, 0..2), any::<bool>(), option::of(matcher::fraction()));
    (path, any::<bool>(), vec(matcher::header(), 0..3), rest)
        .prop_map(|(path, case_sensitive, headers, (query, grpc, runtime_fraction))| RouteMatch {
            path,
            case_sensitive,
            headers,
            query,
            grpc,
            runtime_fraction,
        })
        .boxed()
}

fn forward() -> BoxedStrategy<Forward> {
    let weighted = (text::name(), 1u32..1000, edits(), super::json_map()).prop_map(
        |(name, weight, headers, metadata_match)| WeightedCluster { name, weight, headers, metadata_match },
    );
    let clusters = prop_oneof![
        text::name().prop_map(RouteClusters::Single),
        vec(weighted, 1..4).prop_map(RouteClusters::Weighted),
    ];
    let priority = prop_oneof![Just(RoutingPriority::Default), Just(RoutingPriority::High)];
    let sticky = (vec(balance::hash_policy(), 0..3), super::json_map(), priority);
    let time = || option::of(text::duration());
    let stream = (time(), time(), time()).prop_map(|(max, grpc_header_max, grpc_header_offset)| {
        MaxStreamDuration { max, grpc_header_max, grpc_header_offset }
    });
    let times = (time(), time(), time(), option::of(stream));
    (clusters, times, option::of(retry()), option::of(text::name()), option::of(text::path()), sticky)
        .prop_map(
            |(
                clusters,
                (timeout, idle_timeout, max_grpc_timeout, max_stream_duration),
                retry,
                host_rewrite,
                prefix_rewrite,
                sticky,
            )| {
                Forward {
                    clusters,
                    timeout,
                    idle_timeout,
                    max_grpc_timeout,
                    max_stream_duration,
                    retry,
                    hash_policy: sticky.0,
                    metadata_match: sticky.1,
                    priority: sticky.2,
                    host_rewrite,
                    prefix_rewrite,
                }
            },
        )
        .boxed()
}

fn retry() -> impl Strategy<Value = RetryPolicy> {
    let on = prop::sample::select(RetryOn::ALL.map(|(on, _)| on).to_vec());
    let base = (1u64..10_000).prop_map(Duration::from_millis);
    let back_off = option::of((base, option::of(0u64..10_000))).prop_map(|it| match it {
        None => (None, None),
        Some((base, more)) => (Some(base), more.map(|more| base + Duration::from_millis(more))),
    });
    let format = prop_oneof![Just(ResetFormat::Seconds), Just(ResetFormat::UnixTimestamp)];
    let rate_limited = (vec((text::header(), format), 1..3), option::of(text::duration()))
        .prop_map(|(reset_headers, max_interval)| RateLimitedBackOff { reset_headers, max_interval });
    let headers = || vec(matcher::header(), 0..2);
    let more = (option::of(text::duration()), headers(), headers(), option::of(rate_limited));
    let counts = (any::<u32>(), any::<bool>(), 1..=u32::MAX);
    (btree_set(on, 0..4), counts, option::of(text::duration()), btree_set(100u16..600, 0..3), back_off, more)
        .prop_map(
            |(
                on,
                (num_retries, avoid_previous_hosts, host_selection_attempts),
                per_try_timeout,
                codes,
                back_off,
                (per_try_idle_timeout, retriable_headers, retriable_request_headers, rate_limited),
            )| {
                RetryPolicy {
                    on,
                    num_retries,
                    per_try_timeout,
                    retriable_status_codes: codes,
                    avoid_previous_hosts,
                    host_selection_attempts,
                    base_interval: back_off.0,
                    max_interval: back_off.1,
                    per_try_idle_timeout,
                    retriable_headers,
                    retriable_request_headers,
                    rate_limited,
                }
            },
        )
}

fn direct() -> impl Strategy<Value = DirectResponse> {
    let body = prop_oneof![text::any_text(), Just(Str::default()), Just(Str::from("x".repeat(5000)))];
    (200u16..600, body).prop_map(|(status, body)| DirectResponse { status, body })
}

fn redirect() -> impl Strategy<Value = Redirect> {
    let path = prop_oneof![
        Just((None, None)),
        text::path().prop_map(|it| (Some(it), None)),
        text::path().prop_map(|it| (None, Some(it))),
    ];
    let status = prop::sample::select(vec![301u16, 302, 303, 307, 308]);
    (any::<bool>(), option::of(text::name()), option::of(text::port()), path, status, any::<bool>()).prop_map(
        |(https, host, port, (path, prefix_rewrite), status, strip_query)| Redirect {
            https,
            host,
            port,
            path,
            prefix_rewrite,
            status,
            strip_query,
        },
    )
}

fn edits() -> BoxedStrategy<HeaderEdits> {
    let some = (
        vec(header_value(), 0..2),
        vec(text::header(), 0..2),
        vec(header_value(), 0..2),
        vec(text::header(), 0..2),
    )
        .prop_map(|(request_add, request_remove, response_add, response_remove)| HeaderEdits {
            request_add,
            request_remove,
            response_add,
            response_remove,
        });
    prop_oneof![Just(HeaderEdits::default()), some].boxed()
}

pub(super) fn header_value() -> impl Strategy<Value = HeaderValue> {
    let action = prop_oneof![
        Just(AppendAction::AppendIfExistsOrAdd),
        Just(AppendAction::AddIfAbsent),
        Just(AppendAction::OverwriteIfExistsOrAdd),
        Just(AppendAction::OverwriteIfExists),
    ];
    let value =
        prop_oneof![text::any_text(), Just(Str::default()), Just("100%%".into()), Just("%REQ(x)%".into())];
    (text::header(), value, action).prop_map(|(name, value, action)| HeaderValue { name, value, action })
}

fn fault() -> impl Strategy<Value = Fault> {
    let delay =
        (text::duration(), matcher::fraction()).prop_map(|(fixed, fraction)| FaultDelay { fixed, fraction });
    let status =
        prop_oneof![(200u16..600).prop_map(AbortStatus::Http), (0u32..17).prop_map(AbortStatus::Grpc)];
    let abort = (status, matcher::fraction()).prop_map(|(status, fraction)| FaultAbort { status, fraction });
    (option::of(delay), option::of(abort)).prop_map(|(delay, abort)| Fault { delay, abort })
}
