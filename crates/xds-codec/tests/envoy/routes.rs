//! Routes of every kind.

use std::collections::BTreeSet;
use std::time::Duration;

use ir::bootstrap::Bootstrap;
use ir::fault::{AbortStatus, FaultAbort, FaultDelay};
use ir::http::RouteSource;
use ir::matcher::HeaderMatch;
use ir::retry::RetryOn;
use ir::route::{
    AppendAction, DirectResponse, Forward, HeaderEdits, HeaderValue, MaxStreamDuration, PathMatch,
    QueryMatcher, Redirect, RouteClusters, RouteMatch, WeightedCluster,
};
use ir::*;

use super::sidecar::{bootstrap, chain, header, listener, manager, origin};

fn edits() -> HeaderEdits {
    let value =
        |name: &str, value: &str, action| HeaderValue { name: name.into(), value: value.into(), action };
    HeaderEdits {
        request_add: vec![
            value("x-a", "100%", AppendAction::AppendIfExistsOrAdd),
            value("x-b", "%REQ(x)% is text", AppendAction::OverwriteIfExistsOrAdd),
            value("x-c", "", AppendAction::AddIfAbsent),
            value("x-d", "d", AppendAction::OverwriteIfExists),
        ],
        request_remove: vec!["x-gone".into()],
        response_add: vec![value("x-r", "r", AppendAction::AddIfAbsent)],
        response_remove: vec!["x-powered-by".into()],
    }
}

pub fn route(cluster: &str) -> Route {
    Route {
        name: "default".into(),
        matches: RouteMatch::prefix("/"),
        action: RouteAction::Forward(Forward::to(cluster)),
        fault: None,
        headers: HeaderEdits::default(),
        decorator: Some("reviews.shop.svc.cluster.local:9080/*".into()),
        origin: origin(),
    }
}

pub fn route_config(name: &str, routes: Vec<Route>) -> RouteConfig {
    let host = VirtualHost {
        name: "inbound|http|9080".into(),
        domains: vec!["reviews".into(), "*.shop".into(), "reviews:9080".into()],
        routes,
        include_request_attempt_count: true,
        include_attempt_count_in_response: false,
        require_tls: true,
        headers: edits(),
        origin: origin(),
    };
    RouteConfig {
        name: name.into(),
        virtual_hosts: vec![host],
        ignore_port_in_host_matching: true,
        validate_clusters: false,
        headers: edits(),
    }
}

/// The sidecar with these routes in place of RDS.
pub fn with_routes(routes: Vec<Route>) -> Bootstrap {
    let source = RouteSource::Inline(std::sync::Arc::new(route_config("all", routes)));
    let terminal = Terminal::Http(Box::new(manager(source, vec![HttpFilter::Fault])));
    let chains = vec![chain("all", FilterChainMatch::default(), terminal)];
    let listener =
        Listener { filter_chains: chains, ..listener("all", "127.0.0.1:0", Direction::Unspecified) };
    Bootstrap { listeners: vec![listener], ..bootstrap() }
}

pub fn all_routes() -> Vec<Route> {
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    let retry = RetryPolicy {
        on: BTreeSet::from_iter(RetryOn::ALL.map(|(on, _)| on)),
        num_retries: 2,
        per_try_timeout: seconds(1),
        retriable_status_codes: BTreeSet::from([503]),
        avoid_previous_hosts: true,
        host_selection_attempts: 5,
        base_interval: Some(Duration::from_millis(25)),
        max_interval: Some(Duration::from_millis(250)),
        ..RetryPolicy::default()
    };
    let weighted = |name: &str, weight| WeightedCluster {
        name: name.into(),
        weight,
        headers: edits(),
        metadata_match: Default::default(),
    };
    let forward = Forward {
        clusters: RouteClusters::Weighted(vec![weighted("a", 90), weighted("b", 10)]),
        timeout: seconds(0),
        idle_timeout: seconds(5),
        max_grpc_timeout: seconds(0),
        max_stream_duration: Some(MaxStreamDuration {
            max: seconds(0),
            grpc_header_max: seconds(30),
            grpc_header_offset: seconds(1),
        }),
        retry: Some(retry.clone()),
        host_rewrite: Some("ratings".into()),
        prefix_rewrite: Some("/new".into()),
        ..Forward::to("")
    };
    let only_max = RetryPolicy { base_interval: Some(Duration::from_millis(1)), max_interval: None, ..retry };
    let matches = RouteMatch {
        headers: vec![
            header("end-user", HeaderMatch::Value(StringMatcher::exact("jason"))),
            header("x-number", HeaderMatch::Range { start: -1, end: 10 }),
            HeaderMatcher { invert: true, ..header("x-none", HeaderMatch::Present(false)) },
            header("x-re", HeaderMatch::Value(StringMatcher::regex("a.*"))),
            header(
                "x-in",
                HeaderMatch::Value(StringMatcher {
                    pattern: StringMatch::Contains("b".into()),
                    ignore_case: true,
                }),
            ),
        ],
        query: vec![
            QueryMatcher { name: "a".into(), value: None },
            QueryMatcher { name: "b".into(), value: Some(StringMatch::Regex("[0-9]+".into())) },
        ],
        grpc: true,
        case_sensitive: false,
        runtime_fraction: Some(Fraction { parts_per_million: 123_456 }),
        ..RouteMatch::path(PathMatch::SeparatedPrefix("/api".into()))
    };
    let fault = Fault {
        delay: Some(FaultDelay { fixed: Duration::from_secs(7), fraction: Fraction::ALL }),
        abort: Some(FaultAbort {
            status: AbortStatus::Http(555),
            fraction: Fraction { parts_per_million: 1 },
        }),
    };
    let grpc_fault = Fault {
        delay: None,
        abort: Some(FaultAbort { status: AbortStatus::Grpc(14), fraction: Fraction::NONE }),
    };
    let redirect = Redirect {
        https: true,
        host: Some("h".into()),
        port: Some(8443),
        path: Some("/p".into()),
        prefix_rewrite: None,
        status: 308,
        strip_query: true,
    };
    let prefix = Redirect { path: None, prefix_rewrite: Some("/q".into()), status: 301, ..redirect.clone() };
    let direct = |status, body: String| RouteAction::Direct(DirectResponse { status, body: body.into() });
    let on = |path, action| Route { matches: RouteMatch::path(path), action, headers: edits(), ..route("a") };
    vec![
        Route {
            matches,
            fault: Some(fault),
            ..on(PathMatch::Prefix("/".into()), RouteAction::Forward(forward))
        },
        on(PathMatch::Exact("/exact".into()), RouteAction::Redirect(redirect)),
        on(PathMatch::Prefix("/p".into()), RouteAction::Redirect(prefix)),
        on(PathMatch::Regex("/r[0-9]+".into()), direct(404, String::new())),
        on(PathMatch::Exact("/body".into()), direct(200, "x".repeat(10_000))),
        Route {
            fault: Some(grpc_fault),
            action: RouteAction::Forward(Forward { retry: Some(only_max), ..Forward::to("c") }),
            ..route("c")
        },
    ]
}
