//! Routes of every kind.

use std::collections::BTreeSet;
use std::time::Duration;

use ir::bootstrap::Bootstrap;
use ir::fault::{AbortStatus, FaultAbort, FaultDelay, FaultRateLimit};
use ir::http::RouteSource;
use ir::matcher::HeaderMatch;
use ir::retry::RetryOn;
use ir::route::{
    AppendAction, ClusterRef, CookieMatcher, DirectResponse, Forward, HeaderEdits, HeaderValue, HostRewrite,
    InternalRedirect, MaxStreamDuration, Mirror, PathMatch, QueryMatch, QueryMatcher, Redirect, RegexRewrite,
    RouteClusters, RouteMatch, TlsContextMatch, WeightedCluster,
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
        decorator: Some("reviews.shop.svc.cluster.local:9080/*".into()),
        origin: origin(),
        ..Route::new(RouteMatch::prefix("/"), RouteAction::Forward(Forward::to(cluster)))
    }
}

pub fn route_config(name: &str, routes: Vec<Route>) -> RouteConfig {
    let host = VirtualHost {
        name: "inbound|http|9080".into(),
        domains: vec!["reviews".into(), "*.shop".into(), "reviews:9080".into()],
        routes,
        include_request_attempt_count: true,
        include_attempt_count_in_response: false,
        headers: edits(),
        require_tls: ir::route::RequireTls::ExternalOnly,
        mirrors: vec![Mirror::to("a")],
        request_body_buffer_limit: Some(1000),
        filters: super::filters::overrides(),
        origin: origin(),
        ..VirtualHost::default()
    };
    RouteConfig {
        name: name.into(),
        virtual_hosts: vec![std::sync::Arc::new(host)],
        ignore_port_in_host_matching: true,
        headers: edits(),
        most_specific_header_mutations_wins: true,
        mirrors: vec![Mirror::to("b")],
        max_direct_response_body_size: Some(10_000),
        ..RouteConfig::default()
    }
}

/// The sidecar with these routes in place of RDS.
pub fn with_routes(routes: Vec<Route>) -> Bootstrap {
    let source = RouteSource::Inline(std::sync::Arc::new(route_config("all", routes)));
    let terminal = Terminal::Http(Box::new(manager(source, super::filters::all())));
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
        headers: edits(),
        filters: super::filters::overrides(),
        host_rewrite: Some("weighted.example".into()),
        ..WeightedCluster::new(name, weight)
    };
    let by_header = WeightedCluster { cluster: ClusterRef::Header("x-to".into()), ..weighted("", 10) };
    let forward = Forward {
        clusters: RouteClusters::Weighted(vec![weighted("a", 90), by_header]),
        timeout: seconds(0),
        idle_timeout: seconds(5),
        max_grpc_timeout: seconds(0),
        max_stream_duration: Some(MaxStreamDuration {
            max: seconds(0),
            grpc_header_max: seconds(30),
            grpc_header_offset: seconds(1),
        }),
        retry: Some(retry.clone()),
        host_rewrite: Some(HostRewrite::Literal("ratings".into())),
        append_x_forwarded_host: true,
        prefix_rewrite: Some("/new".into()),
        mirrors: vec![
            Mirror {
                cluster: ClusterRef::Header("x-mirror".into()),
                fraction: Some(Fraction { parts_per_million: 10 }),
                keep_host: true,
                host_rewrite: Some("h".into()),
            },
            Mirror::to("c"),
        ],
        internal_redirect: Some(Box::new(InternalRedirect {
            max: 3,
            codes: BTreeSet::from([301, 308]),
            allow_cross_scheme: true,
            safe_cross_scheme: true,
            avoid_previous_routes: true,
            allowed_routes: Some(vec!["r".into()]),
            response_headers_to_copy: vec!["x-copy".into()],
        })),
        cluster_not_found_status: 404,
        include_vhost_rate_limits: true,
        ..Forward::to("")
    };
    let rewrite = |pattern: &str, substitution: &str| RegexRewrite {
        pattern: pattern.into(),
        substitution: substitution.into(),
    };
    let by_header = Forward {
        clusters: RouteClusters::Header("x-cluster".into()),
        host_rewrite: Some(HostRewrite::PathRegex(Box::new(rewrite("^/(.+)/.*$", "\\1")))),
        regex_rewrite: Some(Box::new(rewrite("^/([^/]+)", "/new/\\1"))),
        ..Forward::to("")
    };
    let host = |host_rewrite| Forward { host_rewrite: Some(host_rewrite), ..Forward::to("a") };
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
            QueryMatcher { name: "a".into(), matches: QueryMatch::Present(false) },
            QueryMatcher { name: "b".into(), matches: QueryMatch::Value(StringMatcher::regex("[0-9]+")) },
        ],
        cookies: vec![CookieMatcher { name: "c".into(), value: StringMatcher::exact("1"), invert: true }],
        grpc: true,
        case_sensitive: false,
        runtime_fraction: Some(Fraction { parts_per_million: 123_456 }),
        tls: Some(TlsContextMatch { presented: Some(true), validated: Some(false) }),
        ..RouteMatch::path(PathMatch::SeparatedPrefix("/api".into()))
    };
    let fault = Fault {
        delay: Some(FaultDelay { fixed: Some(Duration::from_secs(7)), fraction: Fraction::ALL }),
        abort: Some(FaultAbort {
            status: AbortStatus::Http(555),
            fraction: Fraction { parts_per_million: 1 },
        }),
        ..Fault::default()
    };
    let grpc_fault = Fault {
        abort: Some(FaultAbort { status: AbortStatus::Grpc(14), fraction: Fraction::NONE }),
        rate_limit: Some(FaultRateLimit { fixed_kbps: Some(1), fraction: Fraction::ALL }),
        upstream_cluster: Some("a".into()),
        headers: vec![header("x-fault", HeaderMatch::Present(true))],
        downstream_nodes: vec!["node".into()],
        max_active: Some(5),
        ..Fault::default()
    };
    let redirect = Redirect {
        https: true,
        host: Some("h".into()),
        port: Some(8443),
        path: Some("/p".into()),
        status: 308,
        strip_query: true,
        ..Redirect::default()
    };
    let regex = Redirect {
        scheme: Some("http".into()),
        regex_rewrite: Some(rewrite("/a", "/b")),
        status: 302,
        ..Redirect::default()
    };
    let prefix = Redirect { path: None, prefix_rewrite: Some("/q".into()), status: 301, ..redirect.clone() };
    let direct = |status, body: String| {
        RouteAction::Direct(DirectResponse { status, body: body.into(), format: None })
    };
    let on = |path, action| Route { matches: RouteMatch::path(path), action, headers: edits(), ..route("a") };
    vec![
        Route {
            matches,
            filters: FilterOverrides::fault(Some(fault)),
            ..on(PathMatch::Prefix("/".into()), RouteAction::Forward(forward))
        },
        on(PathMatch::Exact("/exact".into()), RouteAction::Redirect(redirect)),
        on(PathMatch::Prefix("/p".into()), RouteAction::Redirect(prefix)),
        on(PathMatch::Exact("/regex".into()), RouteAction::Redirect(regex)),
        on(PathMatch::Exact("/header".into()), RouteAction::Forward(by_header)),
        on(PathMatch::Exact("/auto".into()), RouteAction::Forward(host(HostRewrite::Auto))),
        on(PathMatch::Exact("/h".into()), RouteAction::Forward(host(HostRewrite::Header("x-host".into())))),
        on(PathMatch::Regex("/r[0-9]+".into()), direct(404, String::new())),
        on(PathMatch::Exact("/body".into()), direct(200, "x".repeat(10_000))),
        Route {
            filters: FilterOverrides::fault(Some(grpc_fault)),
            action: RouteAction::Forward(Forward { retry: Some(only_max), ..Forward::to("c") }),
            ..route("c")
        },
    ]
}
