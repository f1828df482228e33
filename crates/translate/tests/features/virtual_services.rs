//! VirtualService for HTTP, path by path.

use ir::matcher::HeaderMatch;
use ir::route::{AppendAction, HeaderEdits, PathMatch, QueryMatch, RouteClusters};
use ir::{RouteAction, RouteConfig, StringMatch, StringMatcher};

use crate::common::{Proxy, router, sidecar, snapshot};
use crate::routes::{V1, forward, reviews, services};

/// The routes of `reviews` as a sidecar with these labels in `namespace` gets them.
#[track_caller]
fn seen_from(namespace: &str, labels: &str, yaml: &str) -> Vec<String> {
    let snapshot = snapshot(&(services() + yaml));
    let proxy = Proxy::of(&snapshot, &sidecar(namespace, "10.1.0.9", labels));
    let routes = proxy.routes("9080");
    let host = routes.virtual_hosts.iter().find(|v| v.name == "reviews.shop.svc.cluster.local:9080");
    host.expect("a virtual host").routes.iter().map(|route| route.name.to_string()).collect()
}

fn rules(name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n{spec}\n"
    )
}

#[test]
fn all_conditions_on_requests_are_evaluated() {
    let found = reviews(&format!(
        "  - match:\n    - uri: {{regex: '/v[12]/.*'}}\n      ignoreUriCase: true\n      scheme: {{exact: https}}\n      \
         method: {{regex: 'GET|HEAD'}}\n      authority: {{prefix: rev}}\n      headers: {{x-a: {{regex: '.*'}}, x-b: {{}}, x-c: {{prefix: c}}}}\n      \
         withoutHeaders: {{x-d: {{exact: d}}, x-e: {{}}}}\n      queryParams: {{Q: {{exact: a}}, r: {{}}, s: {{regex: 'x+'}}, t: {{prefix: y}}}}\n    {V1}\n"
    ));
    let matches = &found.routes[0].matches;
    assert_eq!(matches.path, PathMatch::Regex("/v[12]/.*".into()));
    assert!(!matches.case_sensitive);
    let header =
        |name: &str| matches.headers.iter().find(|h| h.name == name).unwrap_or_else(|| panic!("{name}"));
    let value = |pattern| HeaderMatch::Value(StringMatcher::new(pattern));
    assert_eq!(header(":scheme").matches, value(StringMatch::Exact("https".into())));
    assert_eq!(header(":method").matches, value(StringMatch::Regex("GET|HEAD".into())));
    assert_eq!(header(":authority").matches, value(StringMatch::Prefix("rev".into())));
    assert_eq!(header("x-a").matches, value(StringMatch::Regex(".*".into())));
    assert_eq!(header("x-b").matches, HeaderMatch::Present(true));
    assert_eq!(header("x-c").matches, value(StringMatch::Prefix("c".into())));
    let without = header("x-d");
    assert!(without.invert && without.treat_missing_as_empty, "a request without the header passes");
    let without = header("x-e");
    assert!(
        without.invert && !without.treat_missing_as_empty && without.matches == HeaderMatch::Present(true)
    );
    let query: Vec<_> = matches.query.iter().map(|q| (q.name.as_str(), q.matches.clone())).collect();
    let value = |pattern| QueryMatch::Value(StringMatcher::new(pattern));
    let expected = [
        ("Q", value(StringMatch::Exact("a".into()))),
        ("r", QueryMatch::Present(true)),
        ("s", value(StringMatch::Regex("x+".into()))),
        ("t", value(StringMatch::Prefix("y".into()))),
    ];
    assert_eq!(query, expected, "names keep their case");
}

#[test]
fn conditions_on_the_client_are_settled_before_any_request() {
    let yaml = rules(
        "reviews",
        "  hosts: [reviews]\n  http:\n\
         \x20 - {name: port, match: [{port: 9080, uri: {prefix: /p}}], route: [{destination: {host: reviews}}]}\n\
         \x20 - {name: other-port, match: [{port: 80}], route: [{destination: {host: reviews}}]}\n\
         \x20 - {name: labels, match: [{sourceLabels: {app: web}, uri: {prefix: /l}}], route: [{destination: {host: reviews}}]}\n\
         \x20 - {name: namespace, match: [{sourceNamespace: shop, uri: {prefix: /n}}], route: [{destination: {host: reviews}}]}\n\
         \x20 - {name: gateway, match: [{gateways: [front]}], route: [{destination: {host: reviews}}]}\n\
         \x20 - {name: rest, route: [{destination: {host: reviews}}]}",
    );
    assert_eq!(seen_from("shop", "app=web,version=v1", &yaml), ["port", "labels", "namespace", "rest"]);
    assert_eq!(seen_from("shop", "app=other", &yaml), ["port", "namespace", "rest"]);
    assert_eq!(seen_from("other", "app=web", &yaml), ["port", "labels", "rest"]);
}

#[test]
fn redirects_and_fixed_answers_forward_nothing() {
    let found = reviews(
        "  - match: [{uri: {exact: /a}}]\n    redirect: {uri: /b, authority: b.com, redirectCode: 307, port: 8443, scheme: https}\n  \
         - match: [{uri: {exact: /b}}]\n    redirect: {derivePort: FROM_REQUEST_PORT}\n  \
         - match: [{uri: {prefix: /c}}]\n    redirect: {scheme: https, port: 443, prefixRewrite: /x}\n  \
         - match: [{uri: {exact: /d}}]\n    directResponse: {status: 418, body: {string: teapot}}\n",
    );
    let redirect = |index: usize| match &found.routes[index].action {
        RouteAction::Redirect(redirect) => redirect.clone(),
        other => panic!("{other:?}"),
    };
    let first = redirect(0);
    assert_eq!((first.path.as_deref(), first.host.as_deref()), (Some("/b"), Some("b.com")));
    assert_eq!((first.status, first.port, first.https), (307, Some(8443), true));
    assert_eq!((redirect(1).status, redirect(1).port), (301, Some(9080)));
    assert_eq!((redirect(2).port, redirect(2).prefix_rewrite.as_deref()), (None, Some("/x")));
    let RouteAction::Direct(direct) = &found.routes[3].action else { panic!() };
    assert_eq!((direct.status, &direct.body), (418, &"teapot".into()));
}

#[test]
fn paths_and_hosts_are_rewritten() {
    let found = reviews(&format!("  - rewrite: {{uri: /new, authority: other.com}}\n    {V1}\n"));
    let forward = forward(&found.routes[0]);
    assert_eq!(forward.prefix_rewrite.as_deref(), Some("/new"));
    assert_eq!(forward.host_rewrite, Some(ir::route::HostRewrite::Literal("other.com".into())));
}

#[test]
fn headers_are_edited_on_both_levels() {
    let found = reviews(
        "  - headers: {request: {set: {X-A: a, host: h.com}, add: {x-b: b}, remove: [X-C]}, response: {set: {x-d: d}}}\n    \
         route:\n    - {destination: {host: reviews}, headers: {request: {add: {x-e: e}}, response: {remove: [x-f]}}}\n  ",
    );
    let route = &found.routes[0];
    let text = |edits: &HeaderEdits| {
        let all = edits.request_add.iter().map(|h| format!("{}={} {:?}", h.name, h.value, h.action));
        all.collect::<Vec<_>>()
    };
    let set = AppendAction::OverwriteIfExistsOrAdd;
    let add = AppendAction::AppendIfExistsOrAdd;
    let expected = [format!("x-a=a {set:?}"), format!("x-b=b {add:?}"), format!("x-e=e {add:?}")];
    assert_eq!(text(&route.headers), expected);
    assert_eq!(route.headers.request_remove, ["x-c"]);
    assert_eq!(route.headers.response_add[0].name, "x-d");
    assert_eq!(route.headers.response_remove, ["x-f"]);
    let host = Some(ir::route::HostRewrite::Literal("h.com".into()));
    assert_eq!(forward(route).host_rewrite, host, "the host is no header");
    let found = reviews(
        "  - route:\n    - {destination: {host: reviews}, weight: 1, headers: {request: {set: {x-v: one}}}}\n    \
         - {destination: {host: ratings}, weight: 2}\n",
    );
    let RouteClusters::Weighted(weighted) = &forward(&found.routes[0]).clusters else { panic!() };
    assert_eq!(text(&weighted[0].headers), [format!("x-v=one {set:?}")]);
    assert!(weighted[1].headers.is_empty());
}

#[test]
fn delegates_narrow_what_the_root_leaves_to_them() {
    let root = rules(
        "root",
        "  hosts: [reviews]\n  http:\n  - {name: root, match: [{uri: {prefix: /a}}], delegate: {name: leaf}, timeout: 3s}\n  \
         - {match: [{uri: {prefix: /none}}], delegate: {name: nowhere}}\n  \
         - {match: [{uri: {prefix: /hidden}}], delegate: {name: hidden, namespace: other}}",
    );
    let leaf = rules(
        "leaf",
        "  http:\n  - {name: one, match: [{uri: {prefix: /a/b}}], route: [{destination: {host: ratings}}]}\n  \
         - {match: [{uri: {prefix: /beyond}}], route: [{destination: {host: ratings}}]}\n  \
         - {retries: {attempts: 7}, route: [{destination: {host: reviews}}]}",
    );
    let hidden = "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: hidden, namespace: other}\n\
                  spec: {exportTo: [.], http: [{name: hidden, route: [{destination: {host: reviews}}]}]}\n";
    let proxy = Proxy::in_shop(&(services() + &root + &leaf + hidden));
    let host =
        proxy.routes("9080").virtual_hosts.iter().find(|v| v.name.starts_with("reviews")).unwrap().clone();
    let names: Vec<_> = host.routes.iter().map(|route| route.name.as_str()).collect();
    assert_eq!(names, ["root-one", "root"]);
    assert_eq!(host.routes[0].matches.path, PathMatch::Prefix("/a/b".into()));
    assert_eq!(host.routes[1].matches.path, PathMatch::Prefix("/a".into()), "the root's condition holds");
    assert_eq!(forward(&host.routes[0]).timeout, Some(std::time::Duration::from_secs(3)), "inherited");
    assert_eq!(forward(&host.routes[1]).retry.as_ref().unwrap().num_retries, 7, "its own");
    assert_eq!(host.routes[1].origin.as_ref().unwrap().object.name, "leaf");
}

fn front(hosts: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: front, namespace: shop}}\n\
         spec: {{selector: {{app: gw}}, servers: [{{port: {{number: 80, name: http, protocol: HTTP}}, hosts: [{hosts}]}}]}}\n"
    )
}

#[track_caller]
fn at_gateway(yaml: &str) -> RouteConfig {
    let snapshot = snapshot(&(services() + &front("'*'") + yaml));
    Proxy::of(&snapshot, &router("shop", "10.1.0.99", "app=gw")).routes("http.80").clone()
}

#[test]
fn rules_of_several_objects_for_a_host_are_merged_at_gateways() {
    let one = rules(
        "one",
        "  hosts: [a.com]\n  gateways: [front]\n  http:\n  - {name: all, route: [{destination: {host: reviews, port: {number: 9080}}}]}",
    );
    let two = rules(
        "two",
        "  hosts: [a.com]\n  gateways: [front]\n  http:\n  - {name: x, match: [{uri: {prefix: /x}}], route: [{destination: {host: ratings, port: {number: 9080}}}]}",
    );
    let routes = at_gateway(&(one + &two));
    let names: Vec<_> = routes.virtual_hosts[0].routes.iter().map(|route| route.name.as_str()).collect();
    assert_eq!(names, ["x", "all"], "what takes everything comes last");
}

#[test]
fn the_older_of_two_rules_for_a_host_is_followed_and_the_other_told() {
    let created = |name: &str, time: &str| {
        rules(name, "  hosts: [reviews]\n  http: [{route: [{destination: {host: reviews}}]}]")
            .replace(&format!("name: {name},"), &format!("name: {name}, creationTimestamp: '{time}',"))
    };
    let yaml = services() + &created("a", "2026-02-01T00:00:00Z") + &created("b", "2026-01-01T00:00:00Z");
    let snapshot = snapshot(&yaml);
    let proxy = Proxy::of(&snapshot, &sidecar("shop", "10.1.0.9", ""));
    let host =
        proxy.routes("9080").virtual_hosts.iter().find(|v| v.name.starts_with("reviews")).unwrap().clone();
    assert_eq!(host.origin.as_ref().unwrap().object.name, "b");
    let findings = registry::findings(&snapshot);
    let lost =
        findings.iter().find(|finding| finding.object.as_ref().is_some_and(|o| o.name == "a")).unwrap();
    assert!(lost.message.contains("sidecars follow VirtualService shop/b"), "{lost}");
}

#[test]
fn what_is_not_exported_does_not_route() {
    let hidden =
        "  hosts: [reviews]\n  exportTo: [.]\n  http: [{name: own, route: [{destination: {host: reviews}}]}]";
    assert_eq!(seen_from("shop", "", &rules("reviews", hidden)), ["own"]);
    assert_eq!(seen_from("other", "", &rules("reviews", hidden)), ["default"]);
}

#[test]
fn what_cannot_be_judged_never_matches() {
    let claimed = |more: &str| {
        let claim = "headers: {'@request.auth.claims.group': {exact: b}}";
        let spec = format!(
            "  hosts: [a.com]\n  gateways: [front]\n  http:\n  - match: [{{{claim}}}{more}]\n    {V1}"
        );
        at_gateway(&rules("claims", &spec)).virtual_hosts[0].clone()
    };
    let found = claimed(", {uri: {prefix: /ok}}");
    assert_eq!(found.routes.len(), 1, "{:?}", found.routes);
    assert_eq!(found.routes[0].matches.path, PathMatch::Prefix("/ok".into()));
    // Nothing is left: nobody else must take what the rule was for.
    let found = claimed("");
    assert_eq!((&found.domains, &found.routes), (&vec!["a.com".into()], &Vec::new()));
}

#[test]
fn retries_wait_and_may_come_back() {
    let found = reviews(&format!(
        "  - {V1}\n    retries: {{attempts: 3, perTryTimeout: 1s, backoff: 40ms, retryOn: '503', retryIgnorePreviousHosts: false}}\n"
    ));
    let retry = forward(&found.routes[0]).retry.clone().unwrap();
    assert_eq!((retry.num_retries, retry.base_interval), (3, Some(std::time::Duration::from_millis(40))));
    assert!(!retry.avoid_previous_hosts);
    let found = reviews(&format!("  - {V1}\n    retries: {{attempts: 3}}\n"));
    assert!(forward(&found.routes[0]).retry.as_ref().unwrap().avoid_previous_hosts);
}

#[test]
fn retries_leave_the_nearest_localities() {
    let left = |written: &str| {
        let found = reviews(&format!("  - {V1}\n    retries: {{attempts: 3{written}}}\n"));
        forward(&found.routes[0]).retry.as_ref().unwrap().previous_priorities
    };
    assert_eq!(left(", retryRemoteLocalities: true"), Some(2));
    assert_eq!((left(", retryRemoteLocalities: false"), left("")), (None, None));
}

#[test]
fn routes_may_have_statistics_of_their_own() {
    let found = reviews(&format!(
        "  - match: [{{uri: {{prefix: /a}}, statPrefix: a}}, {{uri: {{prefix: /b}}}}]\n    {V1}\n  - {V1}\n"
    ));
    let prefixes: Vec<_> = found.routes.iter().map(|route| route.stat_prefix.as_deref()).collect();
    assert_eq!(prefixes, [Some("a"), None, None]);
}

#[test]
fn requests_are_mirrored() {
    let mirrors = |written: &str| {
        let found = reviews(&format!("  - {V1}\n    {written}\n"));
        let all = forward(&found.routes[0]).mirrors.clone();
        all.into_iter().map(|m| (m.cluster, m.fraction.unwrap().parts_per_million)).collect::<Vec<_>>()
    };
    let to = |port: u16| {
        ir::route::ClusterRef::Name(format!("outbound|{port}||ratings.shop.svc.cluster.local").into())
    };
    assert_eq!(mirrors("mirror: {host: ratings}"), [(to(9080), 1_000_000)]);
    assert_eq!(
        mirrors("mirror: {host: ratings}\n    mirrorPercentage: {value: 12.5}"),
        [(to(9080), 125_000)]
    );
    assert_eq!(mirrors("mirror: {host: ratings}\n    mirrorPercentage: {value: 0}"), []);
    let two = "mirrors: [{destination: {host: ratings, port: {number: 81}}, percentage: {value: 50}}, {destination: {host: ratings}}]";
    assert_eq!(mirrors(two), [(to(81), 500_000), (to(9080), 1_000_000)]);
}

#[test]
fn browsers_are_told_who_may_call() {
    let found = reviews(&format!(
        "  - {V1}\n    corsPolicy: {{allowOrigins: [{{exact: 'https://a.com'}}, {{regex: '.*b.com'}}], allowMethods: [GET, PUT], \
         allowHeaders: [x-a], exposeHeaders: [x-b, x-c], maxAge: 90s, allowCredentials: true, unmatchedPreflights: IGNORE}}\n"
    ));
    let cors = found.routes[0].filters.cors.clone().unwrap();
    let origins = [StringMatcher::exact("https://a.com"), StringMatcher::regex(".*b.com")];
    assert_eq!(cors.allow_origins, origins);
    let texts = [&cors.allow_methods, &cors.allow_headers, &cors.expose_headers, &cors.max_age];
    assert_eq!(texts.map(|text| text.as_deref().unwrap().to_owned()), ["GET,PUT", "x-a", "x-b,x-c", "90"]);
    assert_eq!((cors.allow_credentials, cors.forward_not_matching_preflights), (Some(true), Some(false)));
}

#[test]
fn paths_are_rewritten_by_regular_expressions() {
    let found = reviews(&format!(
        "  - rewrite: {{uriRegexRewrite: {{match: '^/v(\\d)/', rewrite: '/\\1/'}}}}\n    {V1}\n"
    ));
    let rewrite = forward(&found.routes[0]).regex_rewrite.clone().unwrap();
    assert_eq!((rewrite.pattern.as_str(), rewrite.substitution.as_str()), ("^/v(\\d)/", "/\\1/"));
}
