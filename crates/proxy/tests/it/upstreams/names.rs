//! Clusters of names.

use std::net::SocketAddr;
use std::time::Duration;

use ir::dns::DnsFamily;
use ir::route::{Forward, HostRewrite};
use ir::*;

use super::get_with;
use crate::support::backend::Backend;
use crate::support::{Setup, cluster};

fn named(host: &str, port: u16, discovery: fn(LoadAssignment) -> ClusterDiscovery) -> Cluster {
    let endpoint = Endpoint::new(Address::Name { host: host.into(), port });
    let locality = LocalityEndpoints {
        locality: Default::default(),
        weight: None,
        priority: 0,
        endpoints: vec![endpoint],
    };
    let assignment = LoadAssignment { localities: vec![locality], ..LoadAssignment::default() };
    let dns =
        Dns { family: DnsFamily::V4Only, refresh_rate: Some(Duration::from_millis(20)), ..Dns::default() };
    Cluster { discovery: discovery(assignment), dns, ..cluster("b", &[]) }
}

#[test]
fn a_name_is_resolved_before_it_is_used() {
    let backend = Backend::start("a");
    for discovery in [ClusterDiscovery::StrictDns, ClusterDiscovery::LogicalDns] {
        let mut setup = Setup { concurrency: 1, ..Setup::new() };
        setup.clusters.push(named("localhost", backend.address.port(), discovery));
        let auto = Forward { host_rewrite: Some(HostRewrite::Auto), ..Forward::to("b") };
        let proxy = setup.route_with("/", auto).start();
        assert!(get_with(proxy.address, "/headers", "").text().contains("host: localhost"));
        assert_eq!(proxy.stat("cluster.b.membership_total"), 1);
        std::thread::sleep(Duration::from_millis(60));
        assert_eq!(get_with(proxy.address, "/", "").status, 200, "and asked for again and again");
        assert_eq!(proxy.stat("cluster.b.upstream_cx_total"), 1, "nothing has changed");
    }
}

#[test]
fn a_name_without_an_address_has_no_endpoints() {
    let mut setup = Setup::new();
    setup.clusters.push(named("nowhere.invalid", 80, ClusterDiscovery::StrictDns));
    let proxy = setup.route("/", "b").start();
    assert_eq!(get_with(proxy.address, "/", "").status, 503);
    assert!(proxy.logged("GET /").contains("503 UH"));
    assert_eq!(proxy.stat("cluster.b.membership_total"), 0);
}

#[test]
fn a_header_says_where_a_request_goes() {
    let backend = Backend::start("a");
    let mut setup = Setup::new();
    let mut cluster = Cluster {
        discovery: ClusterDiscovery::OriginalDst,
        lb_policy: LbPolicy::ClusterProvided,
        ..cluster("b", &[])
    };
    cluster.original_dst.header = Some("x-to".into());
    setup.clusters.push(cluster.clone());
    let proxy = setup.route("/", "b").start();
    let reply = get_with(proxy.address, "/", &format!("x-to: {}\r\n", backend.address));
    assert_eq!(reply.status, 200);
    let mut setup = Setup::new();
    cluster.original_dst.port_override = Some(backend.address.port());
    setup.clusters.push(cluster);
    let proxy = setup.route("/", "b").start();
    let elsewhere: SocketAddr = ([127, 0, 0, 1], 1).into();
    assert_eq!(get_with(proxy.address, "/", &format!("x-to: {elsewhere}\r\n")).status, 200);
}
