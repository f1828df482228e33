use std::time::Duration;

use ir::cluster::Thresholds;
use ir::tls::{CertificateSource, SanKind};
use ir::{ClusterDiscovery, HttpProtocol, LbPolicy, StringMatcher, UpstreamTls};

use crate::common::{Proxy, pod, service, sidecar, snapshot, with_mesh};

fn reviews() -> String {
    service("reviews", "10.0.0.1", "{port: 9080, name: http}")
        + &pod("reviews", "10.1.0.1", "app: reviews, version: v1")
        + &pod("reviews-two", "10.1.0.2", "app: reviews, version: v2")
}

fn rule(spec: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\n\
         metadata: {{name: reviews, namespace: shop}}\nspec:\n  host: reviews\n{spec}"
    )
}

const REVIEWS: &str = "outbound|9080||reviews.shop.svc.cluster.local";
const REVIEWS_V2: &str = "outbound|9080|v2|reviews.shop.svc.cluster.local";

#[test]
fn a_service_has_a_cluster_with_istios_defaults() {
    let proxy = Proxy::in_shop(&reviews());
    let cluster = proxy.cluster(REVIEWS);
    assert_eq!(cluster.discovery, ClusterDiscovery::Eds { service_name: None, source: Default::default() });
    assert_eq!(cluster.connect_timeout, Some(Duration::from_secs(10)));
    assert_eq!((cluster.lb_policy, cluster.protocol), (LbPolicy::LeastRequest, HttpProtocol::Http1));
    assert_eq!(cluster.thresholds, Thresholds::UNLIMITED);
    assert_eq!(cluster.services[0].name, "reviews");
    assert_eq!(
        proxy.addresses(REVIEWS),
        ["10.1.0.1:8080", "10.1.0.2:8080"].map(|a| a.replace("8080", "9080"))
    );
}

#[test]
fn mutual_tls_goes_to_endpoints_that_can() {
    let proxy = Proxy::in_shop(&reviews());
    let cluster = proxy.cluster(REVIEWS);
    let names: Vec<_> = cluster.transport_matches.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(names, ["tlsMode-istio", "tlsMode-disabled"]);
    let tls = cluster.transport_matches[0].tls.as_ref().unwrap();
    assert_eq!(tls.sni.as_deref(), Some("outbound_.9080_._.reviews.shop.svc.cluster.local"));
    assert_eq!(tls.common.alpn, ["istio-peer-exchange", "istio"]);
    assert_eq!(
        sans(tls),
        ["spiffe://cluster.local/ns/shop/sa/reviews", "spiffe://cluster.local/ns/shop/sa/reviews-two"]
    );
    let Some(CertificateSource::Sds(secret)) = &tls.common.certificate else { panic!() };
    assert_eq!(secret.name, "default");
    let endpoint = &proxy.endpoints(REVIEWS).localities[0].endpoints[0];
    assert_eq!(endpoint.transport_metadata.get("tlsMode").map(|m| m.as_str()), Some("istio"));
    assert_eq!(endpoint.workload.as_ref().unwrap().canonical_name, "reviews");
}

#[track_caller]
fn sans(tls: &UpstreamTls) -> Vec<String> {
    let validation = tls.common.validation.as_ref().unwrap();
    let text = |san: &ir::tls::SanMatcher| match &san.matcher {
        StringMatcher { pattern: ir::StringMatch::Exact(text), .. } if san.kind == SanKind::Uri => {
            text.to_string()
        }
        other => panic!("{other:?}"),
    };
    validation.match_sans.iter().map(text).collect()
}

#[test]
fn auto_mtls_is_off_where_the_server_or_the_mesh_has_it_off() {
    let off = |selector: &str, mode: &str| {
        format!(
            "---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\n\
             metadata: {{name: off, namespace: shop}}\nspec: {{{selector} mtls: {{mode: {mode}}}}}\n"
        )
    };
    // The namespace: no cluster tries.
    let proxy = Proxy::in_shop(&(reviews() + &off("", "DISABLE")));
    assert!(proxy.cluster(REVIEWS).transport_matches.is_empty());
    // One workload: its endpoint does not say that it can.
    let proxy = Proxy::in_shop(&(reviews() + &off("selector: {matchLabels: {version: v2}},", "DISABLE")));
    assert_eq!(proxy.cluster(REVIEWS).transport_matches.len(), 2);
    let can: Vec<bool> = proxy.endpoints(REVIEWS).localities[0]
        .endpoints
        .iter()
        .map(|e| !e.transport_metadata.is_empty())
        .collect();
    assert_eq!(can, [true, false]);
    // The mesh.
    let mesh = with_mesh(&snapshot(&reviews()), "enableAutoMtls: false");
    let proxy = Proxy::of(&mesh, &sidecar("shop", "10.1.0.9", ""));
    assert!(proxy.cluster(REVIEWS).transport_matches.is_empty());
}

#[test]
fn subsets_have_clusters_endpoints_and_policies_of_their_own() {
    let spec = "  trafficPolicy: {loadBalancer: {simple: RANDOM}}\n  subsets:\n  \
                - {name: v2, labels: {version: v2}, trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}}\n  \
                - {name: v3, labels: {version: v3}}\n";
    let proxy = Proxy::in_shop(&(reviews() + &rule(spec)));
    assert_eq!(proxy.cluster(REVIEWS).lb_policy, LbPolicy::Random);
    let cluster = proxy.cluster(REVIEWS_V2);
    assert_eq!(cluster.lb_policy, LbPolicy::RoundRobin);
    assert_eq!(
        cluster.origin.as_ref().unwrap().to_string(),
        "DestinationRule shop/reviews spec.subsets[0].trafficPolicy"
    );
    assert_eq!(proxy.addresses(REVIEWS_V2), ["10.1.0.2:9080"]);
    // Nobody is there yet, and that is said: else the cluster would wait.
    assert!(proxy.addresses("outbound|9080|v3|reviews.shop.svc.cluster.local").is_empty());
}

#[test]
fn a_rule_decides_on_tls() {
    let tls = |mode: &str| rule(&format!("  trafficPolicy: {{tls: {{mode: {mode}}}}}\n"));
    let proxy = Proxy::in_shop(&(reviews() + &tls("DISABLE")));
    let cluster = proxy.cluster(REVIEWS);
    assert!(cluster.tls.is_none() && cluster.transport_matches.is_empty());
    assert!(proxy.endpoints(REVIEWS).localities[0].endpoints[0].transport_metadata.is_empty());

    let proxy = Proxy::in_shop(&(reviews() + &tls("ISTIO_MUTUAL")));
    let cluster = proxy.cluster(REVIEWS);
    assert!(cluster.tls.is_some() && cluster.transport_matches.is_empty());

    let proxy = Proxy::in_shop(&(reviews() + &tls("SIMPLE")));
    let tls_context = proxy.cluster(REVIEWS).tls.clone().unwrap();
    assert_eq!(tls_context.common.certificate, None);
    assert_eq!(tls_context.sni.as_deref(), Some("reviews.shop.svc.cluster.local"));
    assert!(
        !tls_context.common.validation.unwrap().match_sans.is_empty(),
        "somebody must vouch for the name"
    );
}

#[test]
fn what_cannot_be_secured_as_asked_is_not_called_at_all() {
    let spec = "  trafficPolicy: {tls: {mode: MUTUAL, credentialName: c}}\n";
    let proxy = Proxy::in_shop(&(reviews() + &rule(spec)));
    let ClusterDiscovery::Static(nobody) = &proxy.cluster(REVIEWS).discovery else { panic!() };
    assert!(nobody.localities.is_empty());
}

#[test]
fn only_ready_endpoints_count() {
    let unready = pod("late", "10.1.0.3", "app: reviews").replace("\"True\"", "\"False\"");
    let proxy = Proxy::in_shop(&(reviews() + &unready));
    assert_eq!(proxy.addresses(REVIEWS).len(), 2);
}

#[test]
fn headless_services_are_called_where_the_client_says() {
    let yaml = service("db", "None", "{port: 5432, name: tcp}") + &pod("db", "10.1.0.5", "app: db");
    let proxy = Proxy::in_shop(&yaml);
    let cluster = proxy.cluster("outbound|5432||db.shop.svc.cluster.local");
    assert_eq!(
        (&cluster.discovery, cluster.lb_policy),
        (&ClusterDiscovery::OriginalDst, LbPolicy::ClusterProvided)
    );
    assert!(cluster.tls.is_some(), "all endpoints can, so it is mutual TLS");
    proxy.listener("10.1.0.5_5432");
}

#[test]
fn fixed_clusters_are_there() {
    let proxy = Proxy::in_shop("");
    assert_eq!(proxy.cluster("PassthroughCluster").discovery, ClusterDiscovery::OriginalDst);
    let inbound = proxy.cluster("InboundPassthroughCluster");
    assert_eq!(inbound.bind_source, Some("127.0.0.6".parse().unwrap()));
    let ClusterDiscovery::Static(nobody) = &proxy.cluster("BlackHoleCluster").discovery else { panic!() };
    assert!(nobody.localities.is_empty());
}
