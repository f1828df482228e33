use std::sync::Arc;

use ir::route::*;

use super::*;
use crate::dice::SplitMix;
use crate::request::PlainRequest;

fn route(name: &str, matches: RouteMatch) -> ir::Route {
    ir::Route { name: name.into(), ..ir::Route::new(matches, RouteAction::Forward(Forward::to("c"))) }
}

fn table(vhosts: Vec<(&[&str], Vec<ir::Route>)>) -> RouteTable {
    let virtual_hosts = vhosts
        .into_iter()
        .map(|(domains, routes)| VirtualHost {
            name: domains[0].into(),
            domains: domains.iter().map(|d| Str::from(*d)).collect(),
            routes,
            ..VirtualHost::default()
        })
        .map(Arc::new)
        .collect();
    let config = RouteConfig { virtual_hosts, ignore_port_in_host_matching: true, ..RouteConfig::default() };
    RouteTable::compile(Arc::new(config)).unwrap()
}

#[track_caller]
fn check(table: &RouteTable, request: PlainRequest, expected: &str) {
    let found = match table.select(&request, ClientCertificate::default(), &mut SplitMix(7)) {
        Selection::Route { vhost, route } => table.route(vhost, route).name.to_string(),
        Selection::NoVirtualHost => "no host".into(),
        Selection::NoRoute { .. } => "no route".into(),
    };
    assert_eq!(found, expected, "{request:?}");
}

#[test]
fn hosts_by_specificity() {
    let all = |name| vec![route(name, RouteMatch::prefix("/"))];
    let table = table(vec![
        (&["a.b.c"], all("exact")),
        (&["*.b.c"], all("suffix")),
        (&["*.c"], all("short suffix")),
        (&["a.*"], all("prefix")),
        (&["x.y", "x"], all("two")),
    ]);
    check(&table, PlainRequest::get("A.b.C:80", "/"), "exact");
    check(&table, PlainRequest::get("z.b.c", "/"), "suffix");
    check(&table, PlainRequest::get("b.c", "/"), "short suffix");
    check(&table, PlainRequest::get("a.z", "/"), "prefix");
    check(&table, PlainRequest::get("x", "/"), "two");
    check(&table, PlainRequest::get(".c", "/"), "no host");
    check(&table, PlainRequest::get("", "/"), "no host");
}

#[test]
fn a_domain_belongs_to_one_host() {
    let vhost =
        |name: &str| VirtualHost { name: name.into(), domains: vec!["A".into()], ..Default::default() };
    let config =
        RouteConfig { virtual_hosts: vec![Arc::new(vhost("x")), Arc::new(vhost("y"))], ..Default::default() };
    let problem = RouteTable::compile(Arc::new(config)).unwrap_err();
    assert_eq!(problem.field, "virtual_hosts[1].domains[0]");
}

/// Whatever came before, a table that shares what was compiled is the table compiled anew.
#[test]
fn a_history_of_tables_selects_as_each_alone() {
    let mut dice = 11u64;
    let mut roll = move |sides: usize| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (dice >> 33) as usize % sides
    };
    let domains = ["a.com", "B.com", "*.com", "a.*", "*", "*.b.com", "x.b.com", "c"];
    let paths = ["/", "/a", "/a/b", "/c"];
    let mut hosts: Vec<Arc<VirtualHost>> = Vec::new();
    let mut before: Option<RouteTable> = None;
    let (mut refused, mut taken) = (0, 0);
    for round in 0..600 {
        let made = Arc::new(VirtualHost {
            name: round.to_string().into(),
            domains: (0..1 + roll(2)).map(|_| Str::from(domains[roll(domains.len())])).collect(),
            routes: (0..roll(3))
                .map(|n| route(&format!("{round}-{n}"), RouteMatch::prefix(paths[roll(4)])))
                .collect(),
            ..VirtualHost::default()
        });
        let at = roll(hosts.len() + 1);
        match roll(4) {
            0 if at < hosts.len() => drop(hosts.remove(at)),
            1 if at < hosts.len() => hosts[at] = made,
            // The same names lead elsewhere: the index of names stays.
            2 if at < hosts.len() => {
                hosts[at] = Arc::new(VirtualHost { domains: hosts[at].domains.clone(), ..(*made).clone() });
            }
            _ if hosts.len() < 5 => hosts.insert(at, made),
            _ => drop(hosts.pop()),
        }
        let config = Arc::new(RouteConfig { virtual_hosts: hosts.clone(), ..RouteConfig::default() });
        let alone = RouteTable::compile(config.clone());
        match (RouteTable::compile_after(config, before.as_ref()), alone) {
            (Ok(table), Ok(alone)) => {
                for host in ["a.com", "b.com", "x.b.com", "y.com", "a.org", "c", "d"] {
                    for path in paths {
                        let request = PlainRequest::get(host, path);
                        let found = table.select(&request, ClientCertificate::default(), &mut SplitMix(7));
                        assert_eq!(
                            found,
                            alone.select(&request, ClientCertificate::default(), &mut SplitMix(7)),
                            "{host}{path} in round {round}"
                        );
                    }
                }
                taken += 1;
                before = Some(table);
            }
            (after, alone) => {
                assert_eq!(after.err(), alone.err(), "round {round}");
                refused += 1;
            }
        }
    }
    assert!(refused > 20 && taken > 100, "{refused} refused, {taken} taken");
}

#[test]
fn first_match_wins_at_any_size() {
    for filler in [0, 100] {
        let mut routes = vec![
            route("header", RouteMatch { headers: vec![end_user("jason")], ..RouteMatch::prefix("/") }),
            route("exact", RouteMatch::path(PathMatch::Exact("/a/b".into()))),
            route("regex", RouteMatch::path(PathMatch::Regex("/r/[0-9]+".into()))),
            route("separated", RouteMatch::path(PathMatch::SeparatedPrefix("/s".into()))),
            route("folded", RouteMatch { case_sensitive: false, ..RouteMatch::prefix("/Fold") }),
            route("method", RouteMatch { headers: vec![method("POST")], ..RouteMatch::prefix("/a") }),
        ];
        routes.extend((0..filler).map(|i| route("filler", RouteMatch::prefix(&format!("/filler/{i}/")))));
        routes.push(route("a", RouteMatch::prefix("/a")));
        let table = table(vec![(&["*"], routes)]);
        check(&table, PlainRequest::get("h", "/a/b?x"), "exact");
        check(&table, PlainRequest::get("h", "/a/b").with("end-user", "jason"), "header");
        check(&table, PlainRequest::get("h", "/r/42"), "regex");
        check(&table, PlainRequest::get("h", "/r/42/"), "no route");
        check(&table, PlainRequest::get("h", "/s/x"), "separated");
        check(&table, PlainRequest::get("h", "/sx"), "no route");
        check(&table, PlainRequest::get("h", "/FOLDER"), "folded");
        check(&table, PlainRequest::get("h", "/a/c"), "a");
        check(&table, PlainRequest { method: "POST".into(), ..PlainRequest::get("h", "/a/c") }, "method");
    }
}

#[test]
fn query_and_grpc() {
    let query = |matches| QueryMatcher { name: "q".into(), matches };
    let exact = QueryMatch::Value(ir::StringMatcher::exact("1"));
    let table = table(vec![(
        &["*"],
        vec![
            route("one", RouteMatch { query: vec![query(exact)], ..RouteMatch::prefix("/") }),
            route(
                "any",
                RouteMatch { query: vec![query(QueryMatch::Present(true))], ..RouteMatch::prefix("/") },
            ),
            route("grpc", RouteMatch { grpc: true, ..RouteMatch::prefix("/") }),
        ],
    )]);
    check(&table, PlainRequest::get("h", "/?q=1"), "one");
    check(&table, PlainRequest::get("h", "/?q=2"), "any");
    check(&table, PlainRequest::get("h", "/").with("content-type", "application/grpc+proto"), "grpc");
    check(&table, PlainRequest::get("h", "/"), "no route");
}

fn end_user(name: &str) -> ir::HeaderMatcher {
    header("end-user", name)
}

fn method(name: &str) -> ir::HeaderMatcher {
    header(":method", name)
}

fn header(name: &str, value: &str) -> ir::HeaderMatcher {
    ir::HeaderMatcher {
        name: name.into(),
        matches: ir::matcher::HeaderMatch::Value(ir::StringMatcher::exact(value)),
        invert: false,
        treat_missing_as_empty: false,
    }
}

#[test]
fn a_route_may_ask_for_a_certificate() {
    let wants = |presented, validated| RouteMatch {
        tls: Some(TlsContextMatch { presented, validated }),
        ..RouteMatch::prefix("/")
    };
    let routes = vec![
        route("verified", wants(None, Some(true))),
        route("shown", wants(Some(true), None)),
        route("none", wants(Some(false), Some(false))),
    ];
    let vhost = VirtualHost { domains: vec!["*".into()], routes, ..Default::default() };
    let config = ir::RouteConfig { virtual_hosts: vec![Arc::new(vhost)], ..Default::default() };
    let table = RouteTable::compile(Arc::new(config)).unwrap();
    let request = PlainRequest::get("a", "/");
    let check = |presented, validated, expected| {
        let client = ClientCertificate { presented, validated };
        let found = table.select(&request, client, &mut SplitMix(7));
        assert_eq!(found, Selection::Route { vhost: 0, route: expected }, "{client:?}");
    };
    check(true, true, 0);
    check(true, false, 1);
    check(false, false, 2);
}

#[test]
fn a_weighted_cluster_may_be_named_by_a_header() {
    let by_header =
        WeightedCluster { cluster: ClusterRef::Header("x-to".into()), ..WeightedCluster::new("", 1) };
    let forward = Forward { clusters: RouteClusters::Weighted(vec![by_header]), ..Forward::to("") };
    let check = |request: PlainRequest, expected: &str| {
        let chosen = cluster(&forward, &request, &mut SplitMix(7)).unwrap();
        assert_eq!((&*chosen.name, chosen.weighted.map(|(index, _)| index)), (expected, Some(0)));
    };
    check(PlainRequest::get("h", "/").with("x-to", "b"), "b");
    check(PlainRequest::get("h", "/").with("x-to", "b").with("x-to", "c"), "b");
    check(PlainRequest::get("h", "/"), "");
}

#[test]
fn connect_has_routes_of_its_own() {
    let connect = PlainRequest { method: "CONNECT".into(), ..PlainRequest::get("h:80", "") };
    let named = RouteMatch { headers: vec![header("x", "1")], ..RouteMatch::path(PathMatch::Connect) };
    let of_paths =
        ["", "/", "/a", "/b", "/c", "/d", "/e", "/f"].map(|path| route("path", RouteMatch::prefix(path)));
    // Few are tried one after the other, many are looked up.
    for count in [1, of_paths.len()] {
        let mut routes = vec![
            route("regex", RouteMatch::path(PathMatch::Regex(".*".into()))),
            route("folded", RouteMatch { case_sensitive: false, ..RouteMatch::prefix("") }),
            route("named", named.clone()),
        ];
        routes.extend(of_paths[..count].iter().cloned());
        let without = table(vec![(&["*"], routes.clone())]);
        check(&without, connect.clone(), "no route");
        routes.push(route("connect", RouteMatch::path(PathMatch::Connect)));
        let table = table(vec![(&["*"], routes)]);
        check(&table, connect.clone(), "connect");
        check(&table, connect.clone().with("x", "1"), "named");
        check(&table, PlainRequest::get("h:80", "/").with("x", "1"), "regex");
    }
}

#[test]
fn rules_of_filters_are_about_connect_as_well() {
    let connect = PlainRequest { method: "CONNECT".into(), ..PlainRequest::get("h:80", "") };
    for (matches, of_connect, of_others) in [
        (RouteMatch::prefix(""), true, true),
        (RouteMatch::prefix("/"), false, true),
        (RouteMatch::path(PathMatch::Connect), true, false),
    ] {
        let matcher = Matcher::compile(&matches).unwrap();
        assert_eq!(matcher.matches(&connect, &mut SplitMix(7)), of_connect, "{matches:?}");
        assert_eq!(matcher.matches(&PlainRequest::get("h", "/"), &mut SplitMix(7)), of_others, "{matches:?}");
    }
}
