//! Routes.

use std::sync::Arc;
use std::time::Duration;

use ir::retry::{RateLimitedBackOff, ResetFormat, RetryOn};
use ir::route::{
    AppendAction, CookieMatcher, HeaderEdits, HeaderText, HeaderValue, PathMatch, QueryMatch, QueryMatcher,
    RequireTls, RouteMatch,
};
use ir::{RetryPolicy, Route, RouteAction, RouteConfig, Str, VirtualHost};
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;

use super::{action, matcher, overrides, text};

/// Any route configuration.
pub fn route_config() -> BoxedStrategy<RouteConfig> {
    let flags = any::<(bool, bool, bool)>();
    let hosts = vec(virtual_host().prop_map(Arc::new), 0..3);
    let more = (overrides::overrides(), 5000u32..9000);
    (text::name(), hosts, flags, edits(), action::mirrors(), more)
        .prop_map(|(name, virtual_hosts, flags, headers, mirrors, (filters, limit))| RouteConfig {
            name,
            virtual_hosts,
            ignore_port_in_host_matching: flags.0,
            validate_clusters: flags.1,
            headers,
            most_specific_header_mutations_wins: flags.2,
            mirrors,
            filters,
            // Said, since one is written where it is needed.
            max_direct_response_body_size: Some(limit),
        })
        .boxed()
}

/// Any virtual host.
pub fn virtual_host() -> BoxedStrategy<VirtualHost> {
    let domain =
        prop_oneof![text::name(), Just("*".into()), text::name().prop_map(|it| format!("*.{it}").into())];
    let names = (text::name(), vec(domain, 1..3), text::origin());
    let tls = prop_oneof![Just(RequireTls::None), Just(RequireTls::ExternalOnly), Just(RequireTls::All)];
    let limits = vec(overrides::route_rate_limit(1..2), 0..2);
    let filters = (overrides::overrides(), limits);
    let more = (tls, option::of(retry()), action::mirrors(), option::of(any::<u64>()), filters);
    (names, vec(route(), 0..3), any::<(bool, bool)>(), edits(), more)
        .prop_map(|((name, domains, origin), routes, (request, response), headers, more)| VirtualHost {
            name,
            domains,
            routes,
            include_request_attempt_count: request,
            include_attempt_count_in_response: response,
            require_tls: more.0,
            retry: more.1,
            mirrors: more.2,
            request_body_buffer_limit: more.3,
            headers,
            filters: more.4.0,
            rate_limits: more.4.1.into(),
            origin,
        })
        .boxed()
}

fn route() -> BoxedStrategy<Route> {
    let action = prop_oneof![
        3 => action::forward().prop_map(RouteAction::Forward),
        1 => action::direct().prop_map(RouteAction::Direct),
        1 => action::redirect().prop_map(RouteAction::Redirect),
    ];
    let limit = option::of(any::<u64>());
    let names = (option::of(text::name()), option::of(text::name()));
    let rest = (overrides::overrides(), edits(), names, text::origin(), limit);
    (text::maybe_empty(), route_match(), action, rest)
        .prop_map(|(name, matches, action, (filters, headers, (decorator, stat_prefix), origin, limit))| {
            Route {
                name,
                matches,
                action,
                headers,
                filters,
                request_body_buffer_limit: limit,
                decorator,
                stat_prefix,
                origin,
            }
        })
        .boxed()
}

pub(super) fn query_matcher() -> impl Strategy<Value = QueryMatcher> {
    let query = prop_oneof![
        any::<bool>().prop_map(QueryMatch::Present),
        matcher::string().prop_map(QueryMatch::Value)
    ];
    (text::name(), query).prop_map(|(name, matches)| QueryMatcher { name, matches })
}

pub(super) fn route_match() -> BoxedStrategy<RouteMatch> {
    let path = prop_oneof![
        text::path().prop_map(PathMatch::Prefix),
        Just(PathMatch::Prefix("/".into())),
        text::path().prop_map(PathMatch::SeparatedPrefix),
        text::path().prop_map(PathMatch::Exact),
        text::regex().prop_map(PathMatch::Regex),
        Just(PathMatch::Connect),
    ];
    let query = query_matcher();
    let cookie = (text::name(), matcher::string(), any::<bool>())
        .prop_map(|(name, value, invert)| CookieMatcher { name, value, invert });
    let rest = (vec(query, 0..2), any::<bool>(), option::of(matcher::fraction()), vec(cookie, 0..2));
    (path, any::<bool>(), vec(matcher::header(), 0..3), rest)
        .prop_map(|(path, case_sensitive, headers, (query, grpc, runtime_fraction, cookies))| RouteMatch {
            path,
            case_sensitive,
            headers,
            query,
            cookies,
            grpc,
            runtime_fraction,
            tls: None,
        })
        .boxed()
}

pub(super) fn retry() -> impl Strategy<Value = RetryPolicy> {
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
    let counts = (any::<u32>(), any::<bool>(), 1..=u32::MAX, option::of(1..=i32::MAX as u32));
    (btree_set(on, 0..4), counts, option::of(text::duration()), btree_set(100u16..600, 0..3), back_off, more)
        .prop_map(
            |(
                on,
                (num_retries, avoid_previous_hosts, host_selection_attempts, previous_priorities),
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
                    previous_priorities,
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

pub(super) fn edits() -> BoxedStrategy<HeaderEdits> {
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
    let value = prop_oneof![text::any_text(), Just(Str::default()), Just("100%%".into())]
        .prop_map(HeaderText::Literal);
    let format =
        any::<bool>().prop_map(|keep_empty| HeaderText::Format { text: "%%%REQ(x)%".into(), keep_empty });
    let value = prop_oneof![3 => value, 1 => format];
    (text::header(), value, action).prop_map(|(name, value, action)| HeaderValue { name, value, action })
}
