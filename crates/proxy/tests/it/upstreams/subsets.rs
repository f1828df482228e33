//! Endpoints by their metadata.

use std::collections::BTreeMap;

use ir::bootstrap::Json;
use ir::lb::{LbSubsets, SubsetFallback, SubsetSelector};
use ir::route::{Forward, RouteClusters, WeightedCluster};
use ir::*;

use super::{backend_of, get_with};
use crate::support::backend::Backend;
use crate::support::{Setup, cluster};

fn metadata(version: &str) -> BTreeMap<Str, Json> {
    [("version".into(), Json::Text(version.into()))].into()
}

#[test]
fn routes_and_weighted_clusters_choose_a_subset() {
    let (one, two) = (Backend::start("one"), Backend::start("two"));
    let selector = SubsetSelector { keys: ["version".into()].into(), fallback: None };
    let subsets =
        LbSubsets { selectors: vec![selector], fallback: SubsetFallback::NoFallback, ..LbSubsets::default() };
    let mut cluster =
        Cluster { subsets: Some(Box::new(subsets)), ..cluster("b", &[one.address, two.address]) };
    let ClusterDiscovery::Static(assignment) = &mut cluster.discovery else { unreachable!() };
    let endpoints = &mut assignment.localities[0].endpoints;
    (endpoints[0].lb_metadata, endpoints[1].lb_metadata) = (metadata("1"), metadata("2"));
    let mut setup = Setup::new();
    setup.clusters.push(cluster);
    let asks = |version| Forward { metadata_match: metadata(version), ..Forward::to("b") };
    let weighted = WeightedCluster { metadata_match: metadata("2"), ..WeightedCluster::new("b", 1) };
    let weighted = Forward { clusters: RouteClusters::Weighted(vec![weighted]), ..asks("1") };
    let proxy = setup
        .route_with("/one", asks("1"))
        .route_with("/two", asks("2"))
        .route_with("/three", asks("3"))
        .route_with("/weighted", weighted)
        .route("/", "b")
        .start();
    for _ in 0..6 {
        assert_eq!(backend_of(&get_with(proxy.address, "/one", "")), "one");
        assert_eq!(backend_of(&get_with(proxy.address, "/two", "")), "two");
        assert_eq!(backend_of(&get_with(proxy.address, "/weighted", "")), "two", "it wins over its route");
    }
    assert_eq!(get_with(proxy.address, "/three", "").status, 503);
    assert_eq!(get_with(proxy.address, "/", "").status, 503, "there is no fallback");
    assert!(proxy.logged("GET /three").contains("503 UH"));
}
