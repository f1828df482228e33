//! DestinationRule, path by path, and what the mesh says where none does.

use std::time::Duration;

use ir::cluster::ProxyProtocol;
use ir::hash_policy::HashBy;
use ir::retry::{RetryOn, RetryPolicy};
use ir::tls::{CertificateSource, DataSource, RootsSource};
use ir::{Cluster, ClusterDiscovery, HttpProtocol, LbPolicy};
use model::{Locality, Node};

use crate::common::{Proxy, pod, service, sidecar, snapshot, with_mesh};

const REVIEWS: &str = "outbound|9080||reviews.shop.svc.cluster.local";
const OTHER: &str = "outbound|9090||reviews.shop.svc.cluster.local";
const V1: &str = "outbound|9080|v1|reviews.shop.svc.cluster.local";

fn reviews() -> String {
    let place = |region: &str, zone: &str| {
        format!(
            "app: reviews, version: v1, topology.kubernetes.io/region: {region}, topology.kubernetes.io/zone: {zone}"
        )
    };
    service("reviews", "10.0.0.1", "{port: 9080, name: http}, {port: 9090, name: grpc}")
        + &pod("a", "10.1.0.1", &place("r1", "z1"))
        + &pod("b", "10.1.0.2", &place("r1", "z2"))
        + &pod("c", "10.1.0.3", &place("r2", "z1"))
        + &pod("d", "10.1.0.4", &place("r3", "z1"))
}

fn rule(name: &str, namespace: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
         spec: {{host: reviews.shop.svc.cluster.local, {spec}}}\n"
    )
}

#[track_caller]
fn under(policy: &str) -> Proxy {
    Proxy::in_shop(&(reviews() + &rule("reviews", "shop", policy)))
}

#[track_caller]
fn cluster(policy: &str) -> Cluster {
    under(&format!("trafficPolicy: {{{policy}}}")).cluster(REVIEWS).clone()
}

#[test]
fn connections_and_requests_are_limited() {
    let found = cluster(
        "connectionPool: {tcp: {maxConnections: 7, connectTimeout: 3s, maxConnectionDuration: 60s, idleTimeout: 50s, \
         tcpKeepalive: {probes: 3, time: 10s, interval: 2s}}, http: {http1MaxPendingRequests: 5, http2MaxRequests: 6, \
         maxRequestsPerConnection: 9, maxRetries: 4, idleTimeout: 40s}}",
    );
    let limits = found.thresholds;
    let read = [limits.max_connections, limits.max_pending_requests, limits.max_requests, limits.max_retries];
    assert_eq!(read, [Some(7), Some(5), Some(6), Some(4)]);
    assert_eq!(found.connect_timeout, Some(Duration::from_secs(3)));
    assert_eq!(found.max_requests_per_connection, Some(9));
    assert_eq!(found.max_connection_duration, Some(Duration::from_secs(60)));
    assert_eq!(found.idle_timeout, Some(Duration::from_secs(40)), "HTTP's goes before TCP's");
    let keepalive = found.tcp_keepalive.unwrap();
    assert_eq!((keepalive.probes, keepalive.time, keepalive.interval), (Some(3), Some(10), Some(2)));
}

#[test]
fn http_is_upgraded_or_follows_the_client() {
    let upgraded = cluster(
        "connectionPool: {http: {h2UpgradePolicy: UPGRADE, maxConcurrentStreams: 3, http2KeepAlive: {interval: 5s, timeout: 1s}}}",
    );
    assert_eq!(upgraded.protocol, HttpProtocol::Http2);
    assert_eq!(upgraded.http2.max_concurrent_streams, Some(3));
    let keepalive = upgraded.http2.keepalive.unwrap();
    assert_eq!(
        (keepalive.interval, keepalive.timeout),
        (Some(Duration::from_secs(5)), Duration::from_secs(1))
    );
    let tls = upgraded.transport_matches[0].tls.as_ref().unwrap();
    assert!(tls.common.alpn.contains(&"h2".into()), "{:?}", tls.common.alpn);
    let following = cluster("connectionPool: {http: {useClientProtocol: true}}");
    assert_eq!(following.protocol, HttpProtocol::UseDownstream);
    let mesh = with_mesh(&snapshot(&reviews()), "h2UpgradePolicy: UPGRADE");
    let proxy = Proxy::of(&mesh, &sidecar("shop", "10.1.0.9", ""));
    assert_eq!(proxy.cluster(REVIEWS).protocol, HttpProtocol::Http2);
}

#[test]
fn a_ports_settings_are_all_that_holds_for_it() {
    let proxy = under(
        "trafficPolicy: {loadBalancer: {simple: RANDOM}, connectionPool: {tcp: {maxConnections: 7}}, \
         portLevelSettings: [{port: {number: 9090}, loadBalancer: {simple: ROUND_ROBIN}}]}, \
         subsets: [{name: v1, labels: {version: v1}, trafficPolicy: {connectionPool: {tcp: {maxConnections: 8}}}}]",
    );
    let read = |name: &str| {
        let cluster = proxy.cluster(name);
        (cluster.lb_policy, cluster.thresholds.max_connections)
    };
    assert_eq!(read(REVIEWS), (LbPolicy::Random, Some(7)));
    assert_eq!(read(OTHER), (LbPolicy::RoundRobin, Some(u32::MAX)));
    assert_eq!(read(V1), (LbPolicy::Random, Some(8)), "a subset's go before the rule's, field by field");
    let passthrough = under("trafficPolicy: {loadBalancer: {simple: PASSTHROUGH}}");
    assert_eq!(passthrough.cluster(REVIEWS).discovery, ClusterDiscovery::OriginalDst);
}

#[test]
fn rules_for_single_clients_go_before_the_others() {
    let yaml = reviews()
        + &rule("all", "shop", "trafficPolicy: {connectionPool: {tcp: {maxConnections: 1}}}")
        + &rule(
            "some",
            "shop",
            "workloadSelector: {matchLabels: {app: web}}, trafficPolicy: {connectionPool: {tcp: {maxConnections: 2}}}",
        )
        + &rule(
            "foreign",
            "other",
            "workloadSelector: {matchLabels: {app: web}}, trafficPolicy: {connectionPool: {tcp: {maxConnections: 3}}}",
        );
    let snapshot = snapshot(&yaml);
    let limit = |namespace: &str, labels: &str| {
        let proxy = Proxy::of(&snapshot, &sidecar(namespace, "10.1.0.9", labels));
        proxy.cluster(REVIEWS).thresholds.max_connections
    };
    assert_eq!(limit("shop", "app=web"), Some(2));
    assert_eq!(limit("shop", "app=db"), Some(1));
    assert_eq!(limit("other", "app=web"), Some(3));
    assert_eq!(limit("other", "app=db"), Some(1), "the service's own, exported");
}

#[test]
fn tls_is_originated_with_files_of_the_proxy() {
    let tls = cluster(
        "tls: {mode: MUTUAL, clientCertificate: /c.pem, privateKey: /k.pem, caCertificates: /ca.pem, caCrl: /crl.pem, sni: s.com, subjectAltNames: [a.com]}",
    )
    .tls
    .unwrap();
    assert_eq!(tls.sni.as_deref(), Some("s.com"));
    let Some(CertificateSource::Inline(own)) = &tls.common.certificate else { panic!("{tls:?}") };
    let files = (DataSource::File("/c.pem".into()), DataSource::File("/k.pem".into()));
    assert_eq!((own.chain.clone(), own.key.clone()), files);
    let validation = tls.common.validation.as_ref().unwrap();
    assert_eq!(validation.roots, RootsSource::Inline(DataSource::File("/ca.pem".into())));
    assert_eq!(validation.match_sans.len(), 1);
    assert_eq!(validation.crl, Some(DataSource::File("/crl.pem".into())));
    let unverified = cluster("tls: {mode: SIMPLE, insecureSkipVerify: true}").tls.unwrap();
    assert_eq!(unverified.common.validation, None);
    let system = cluster("tls: {mode: SIMPLE}").tls.unwrap();
    let RootsSource::Inline(DataSource::File(_)) = system.common.validation.unwrap().roots else { panic!() };
    // A certificate that cannot be had is not left out: no connection is made.
    let closed = cluster("tls: {mode: MUTUAL, credentialName: c}");
    assert!(matches!(closed.discovery, ClusterDiscovery::Static(_)));
}

#[test]
fn gateways_take_client_certificates_from_secrets() {
    let policy = "tls: {mode: MUTUAL, credentialName: c}";
    let secret = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: c, namespace: shop}\n\
                  stringData: {tls.crt: chain, tls.key: key, ca.crt: roots}\n";
    let yaml = reviews() + &rule("reviews", "shop", &format!("trafficPolicy: {{{policy}}}")) + secret;
    let node = Node { verified: true, ..crate::common::router("shop", "10.1.0.9", "app=gw") };
    let proxy = Proxy::of(&snapshot(&yaml), &node);
    let tls = proxy.cluster(REVIEWS).tls.clone().unwrap().common;
    assert!(matches!(&tls.certificate, Some(CertificateSource::Sds(sds)) if sds.name == "kubernetes://c"));
    let validation = tls.validation.unwrap();
    assert!(matches!(&validation.roots, RootsSource::Sds(sds) if sds.name == "kubernetes://c-cacert"));
    let names = proxy.names(ir::ResourceType::Secret);
    assert_eq!(names, ["kubernetes://c", "kubernetes://c-cacert"]);
    // Whoever has not proved who it is gets none.
    let proxy = Proxy::of(&snapshot(&yaml), &Node { verified: false, ..node });
    assert!(proxy.names(ir::ResourceType::Secret).is_empty());
}

#[test]
fn wildcard_hosts_are_vouched_for_by_any_of_their_names() {
    let yaml = "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: x, namespace: shop}\n\
                spec: {hosts: ['*.a.com'], resolution: NONE, ports: [{number: 443, name: https, protocol: HTTPS}]}\n\
                ---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: x, namespace: shop}\n\
                spec: {host: '*.a.com', trafficPolicy: {tls: {mode: SIMPLE}}}\n";
    let proxy = Proxy::of(&snapshot(yaml), &sidecar("shop", "10.1.0.9", ""));
    let tls = proxy.cluster("outbound|443||*.a.com").tls.clone().unwrap();
    // A name with a star in it is no server name.
    assert_eq!(tls.sni, None);
    let names = tls.common.validation.unwrap().match_sans;
    assert_eq!(
        names.iter().map(|san| san.matcher.clone()).collect::<Vec<_>>(),
        [ir::StringMatcher::suffix(".a.com")]
    );
}

fn at(place: &str) -> Node {
    Node { locality: Locality::parse(place), ..sidecar("shop", "10.1.0.9", "app=web,env=prod") }
}

/// Regions and zones with weight and priority, as a client at `place` has them.
#[track_caller]
fn places(policy: &str, place: &str) -> Vec<(String, u32, u32)> {
    let yaml = reviews() + &rule("reviews", "shop", &format!("trafficPolicy: {{{policy}}}"));
    let proxy = Proxy::of(&snapshot(&yaml), &at(place));
    let localities = &proxy.endpoints(REVIEWS).localities;
    let text = |l: &Locality| format!("{}/{}", l.region, l.zone);
    localities.iter().map(|l| (text(&l.locality), l.weight.unwrap(), l.priority)).collect()
}

#[test]
fn localities_get_their_shares() {
    let policy = "loadBalancer: {localityLbSetting: {enabled: true, distribute: [{from: r1/*, to: {r1/z1/*: 70, r2/*: 30}}]}}";
    let found = places(policy, "r1/z2");
    assert_eq!(found, [("r1/z1".to_owned(), 70, 0), ("r2/z1".to_owned(), 30, 0)]);
    assert_eq!(places(policy, "r9/z9").len(), 4, "it is for others");
}

#[test]
fn the_nearest_come_first_where_failures_are_found_out() {
    let outlier = "outlierDetection: {interval: 1s}";
    let priorities = |policy: &str, place: &str| -> Vec<u32> {
        places(policy, place).into_iter().map(|(_, _, priority)| priority).collect()
    };
    assert_eq!(priorities("loadBalancer: {simple: RANDOM}", "r1/z1"), [0, 0, 0, 0]);
    assert_eq!(priorities(outlier, "r1/z1"), [0, 1, 2, 2], "the mesh has it enabled");
    let failover =
        format!("{outlier}, loadBalancer: {{localityLbSetting: {{failover: [{{from: r1, to: r3}}]}}}}");
    assert_eq!(priorities(&failover, "r1/z2"), [1, 0, 3, 2]);
    let off = format!("{outlier}, loadBalancer: {{localityLbSetting: {{enabled: false}}}}");
    assert_eq!(priorities(&off, "r1/z1"), [0, 0, 0, 0]);
    let labels = format!(
        "{outlier}, loadBalancer: {{localityLbSetting: {{failoverPriority: ['app=reviews', topology.kubernetes.io/region]}}}}"
    );
    assert_eq!(priorities(&labels, "r2/z1"), [1, 1, 0, 1]);
    let mesh = with_mesh(
        &snapshot(&(reviews() + &rule("o", "shop", &format!("trafficPolicy: {{{outlier}}}")))),
        "localityLbSetting: {enabled: false}",
    );
    let proxy = Proxy::of(&mesh, &at("r1/z1"));
    assert!(proxy.endpoints(REVIEWS).localities.iter().all(|l| l.priority == 0));
}

#[test]
fn the_mesh_speaks_where_no_rule_does() {
    let mesh = with_mesh(
        &snapshot(&reviews()),
        "{connectTimeout: 2s, tcpKeepalive: {time: 30s}, outboundClusterStatName: '%SERVICE%_%SERVICE_PORT%', \
         defaultTrafficPolicy: {connectionPool: {tcp: {maxConnections: 11}}}}",
    );
    let proxy = Proxy::of(&mesh, &sidecar("shop", "10.1.0.9", ""));
    let cluster = proxy.cluster(REVIEWS);
    assert_eq!(cluster.connect_timeout, Some(Duration::from_secs(2)));
    assert_eq!(cluster.tcp_keepalive.unwrap().time, Some(30));
    assert_eq!(cluster.thresholds.max_connections, Some(11));
    assert_eq!(cluster.alt_stat_name.as_deref(), Some("reviews.shop_9080"));
}

#[test]
fn endpoints_that_fail_are_left_out() {
    let found = cluster(
        "outlierDetection: {consecutive5xxErrors: 10, consecutiveGatewayErrors: 0, interval: 30s, baseEjectionTime: 40s, \
         maxEjectionPercent: 50, minHealthPercent: 20, splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 3}",
    );
    let outlier = found.outlier.unwrap();
    assert_eq!((outlier.consecutive_5xx, outlier.enforcing_consecutive_5xx), (Some(10), Some(100)));
    assert_eq!(outlier.enforcing_consecutive_gateway_failure, Some(0));
    assert_eq!(outlier.interval, Some(Duration::from_secs(30)));
    assert_eq!(outlier.base_ejection_time, Some(Duration::from_secs(40)));
    assert_eq!(outlier.max_ejection_percent, Some(50));
    assert_eq!(
        (outlier.consecutive_local_origin_failure, outlier.split_external_local_origin_errors),
        (Some(3), true)
    );
    assert_eq!(outlier.enforcing_success_rate, Some(0), "Istio has no rates");
    assert_eq!(found.common_lb.healthy_panic_threshold.unwrap().parts_per_million, 200_000);
    assert!(cluster("connectionPool: {}").outlier.is_none());
}

#[test]
fn requests_stick_by_hashes() {
    let sticky = |hash: &str| {
        let proxy = under(&format!("trafficPolicy: {{loadBalancer: {{consistentHash: {{{hash}}}}}}}"));
        let host = proxy
            .routes("9080")
            .virtual_hosts
            .iter()
            .find(|v| v.name.starts_with("reviews"))
            .unwrap()
            .clone();
        let forward = crate::routes::forward(&host.routes[0]).clone();
        assert!(!forward.retry.unwrap().avoid_previous_hosts, "a retry sticks as well");
        (proxy.cluster(REVIEWS).lb_policy, forward.hash_policy[0].by.clone())
    };
    let ring = |minimum_size| LbPolicy::RingHash(ir::lb::RingHash { minimum_size, ..Default::default() });
    assert_eq!(sticky("httpHeaderName: X-User"), (ring(Some(1024)), HashBy::Header("x-user".into())));
    assert_eq!(sticky("useSourceIp: true, minimumRingSize: 7").0, ring(Some(7)));
    assert_eq!(
        sticky("useSourceIp: true, ringHash: {minimumRingSize: 8}"),
        (ring(Some(8)), HashBy::SourceIp)
    );
    let maglev = LbPolicy::Maglev(ir::lb::Maglev { table_size: Some(11) });
    let query = HashBy::QueryParameter("q".into());
    assert_eq!(sticky("httpQueryParameterName: q, maglev: {tableSize: 11}"), (maglev, query));
    let HashBy::Cookie(cookie) =
        sticky("httpCookie: {name: c, ttl: 0s, path: /p, attributes: [{name: HttpOnly}]}").1
    else {
        panic!()
    };
    assert_eq!((cookie.name.as_str(), cookie.ttl, cookie.path.as_str()), ("c", Some(Duration::ZERO), "/p"));
    assert_eq!(cookie.attributes[0].0, "HttpOnly");
}

#[test]
fn new_endpoints_warm_up() {
    let warm = cluster(
        "loadBalancer: {simple: ROUND_ROBIN, warmup: {duration: 60s, minimumPercent: 20, aggression: 1.5}}",
    );
    let start = warm.slow_start.unwrap();
    assert_eq!(
        (start.window, start.min_weight.unwrap().parts_per_million),
        (Duration::from_secs(60), 200_000)
    );
    assert_eq!(start.aggression.unwrap().as_f64(), 1.5);
    let old = cluster("loadBalancer: {warmupDurationSecs: 30s}").slow_start.unwrap();
    assert_eq!(old.window, Duration::from_secs(30));
    assert!(cluster("loadBalancer: {simple: RANDOM, warmup: {duration: 60s}}").slow_start.is_none());
}

#[test]
fn retries_have_a_budget_and_connections_a_header() {
    let found = cluster(
        "retryBudget: {percent: 25, minRetryConcurrency: 5, budgetInterval: 10s}, proxyProtocol: {version: V2}",
    );
    let budget = found.thresholds.retry_budget.unwrap();
    assert_eq!((budget.budget.unwrap().parts_per_million, budget.min_retry_concurrency), (250_000, Some(5)));
    assert_eq!(budget.interval, Some(Duration::from_secs(10)));
    assert_eq!(found.proxy_protocol, Some(ProxyProtocol::V2));
    assert!(found.transport_matches.iter().all(|one| one.proxy_protocol == Some(ProxyProtocol::V2)));
}

#[test]
fn localities_are_weighed_only_where_somebody_asks() {
    let weighted = |policy: &str| cluster(policy).common_lb.locality_weighted;
    assert!(!weighted("loadBalancer: {simple: RANDOM}") && !weighted("outlierDetection: {interval: 1s}"));
    assert!(weighted("loadBalancer: {localityLbSetting: {distribute: [{from: r1/*, to: {r2/*: 100}}]}}"));
    assert!(weighted(
        "outlierDetection: {interval: 1s}, loadBalancer: {localityLbSetting: {failover: [{from: r1, to: r2}]}}"
    ));
}

/// `proxy` proves with these very values that a rolling update costs nobody a request
/// (`tests/it/upstreams/rolling.rs`): nothing is limited, retries least of all, and nobody panics.
#[test]
fn a_rolling_update_meets_these_settings() {
    let found = cluster(
        "outlierDetection: {consecutive5xxErrors: 5, interval: 1s, baseEjectionTime: 3s, maxEjectionPercent: 100}",
    );
    assert_eq!(found.lb_policy, LbPolicy::LeastRequest);
    assert_eq!(found.thresholds, ir::cluster::Thresholds::UNLIMITED);
    assert_eq!(found.common_lb.healthy_panic_threshold, Some(ir::Fraction { parts_per_million: 0 }));
    let expected = ir::OutlierDetection {
        consecutive_5xx: Some(5),
        enforcing_consecutive_5xx: Some(100),
        interval: Some(Duration::from_secs(1)),
        base_ejection_time: Some(Duration::from_secs(3)),
        max_ejection_percent: Some(100),
        enforcing_success_rate: Some(0),
        ..ir::OutlierDetection::default()
    };
    assert_eq!(found.outlier.as_deref(), Some(&expected));
    let found = crate::routes::reviews(
        "  - route: [{destination: {host: reviews}}]\n    \
         retries: {attempts: 2, retryOn: \"connect-failure,refused-stream,503\"}\n",
    );
    let retry = crate::routes::forward(&found.routes[0]).retry.clone().unwrap();
    let expected = RetryPolicy {
        on: [RetryOn::ConnectFailure, RetryOn::RefusedStream, RetryOn::RetriableStatusCodes].into(),
        num_retries: 2,
        retriable_status_codes: [503].into(),
        avoid_previous_hosts: true,
        host_selection_attempts: 5,
        ..RetryPolicy::default()
    };
    assert_eq!(retry, expected);
}

#[test]
fn bytes_go_through_an_http_proxy() {
    let yaml = service("db", "10.0.0.5", "{port: 5432, name: tcp}")
        + &service("proxy", "10.0.0.6", "{port: 3128, name: tcp}")
        + "---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: proxy, namespace: shop}
spec:
  host: proxy
  subsets:
  - {name: db, trafficPolicy: {tunnel: {targetHost: db.example.com, targetPort: 5432}}}
  - {name: post, trafficPolicy: {tunnel: {protocol: POST, targetHost: db.example.com, targetPort: 5432}}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: db, namespace: shop}
spec:
  hosts: [db]
  tcp: [{route: [{destination: {host: proxy, port: {number: 3128}, subset: SUBSET}}]}]
";
    let target = |subset: &str, listener: &str| {
        let proxy = Proxy::in_shop(&yaml.replace("SUBSET", subset));
        let found = proxy.listener(listener).filter_chains.iter().find_map(|chain| match &chain.terminal {
            ir::Terminal::Tcp(tcp) => Some(tcp.tunnel_to.clone()),
            _ => None,
        });
        found.expect("a TCP proxy")
    };
    assert_eq!(target("db", "10.0.0.5_5432").as_deref(), Some("db.example.com:5432"));
    assert_eq!(target("post", "10.0.0.5_5432"), None);
    assert_eq!(target("db", "10.0.0.6_3128"), None, "the host itself has no tunnel");
}
