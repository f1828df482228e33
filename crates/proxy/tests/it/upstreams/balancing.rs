//! Balancers, hash policies, priorities and localities.

use std::collections::BTreeSet;
use std::time::Duration;

use ir::hash_policy::{HashBy, HashCookie};
use ir::lb::{Maglev, RingHash};
use ir::route::Forward;
use ir::*;

use super::{backend_of, get_with};
use crate::support::backend::Backend;
use crate::support::{Setup, cluster};

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// Four backends behind one cluster.
fn four(lb_policy: LbPolicy, policies: Vec<HashPolicy>) -> (Vec<Backend>, Setup) {
    let backends: Vec<Backend> = NAMES.into_iter().map(Backend::start).collect();
    let addresses: Vec<_> = backends.iter().map(|backend| backend.address).collect();
    let mut setup = Setup::new();
    setup.clusters.push(Cluster { lb_policy, ..cluster("b", &addresses) });
    let setup = setup.route_with("/", Forward { hash_policy: policies, ..Forward::to("b") });
    (backends, setup)
}

fn by(by: HashBy) -> Vec<HashPolicy> {
    vec![HashPolicy { by, terminal: false }]
}

#[test]
fn a_header_sticks_to_an_endpoint() {
    for policy in [LbPolicy::RingHash(RingHash::default()), LbPolicy::Maglev(Maglev::default())] {
        let (_backends, setup) = four(policy, by(HashBy::Header("x-user".into())));
        let proxy = setup.start();
        let answers = |user: u32| -> BTreeSet<String> {
            let ask = || get_with(proxy.address, "/", &format!("X-User: user-{user}\r\n"));
            (0..4).map(|_| backend_of(&ask())).collect()
        };
        let all: Vec<BTreeSet<String>> = (0..16).map(answers).collect();
        assert!(all.iter().all(|of_user| of_user.len() == 1), "{policy:?}: {all:?}");
        let used: BTreeSet<&String> = all.iter().flatten().collect();
        assert!(used.len() >= 3, "{policy:?}: {used:?}");
        // Without the header anyone may answer.
        let anyone: BTreeSet<String> =
            (0..32).map(|_| backend_of(&get_with(proxy.address, "/", ""))).collect();
        assert!(anyone.len() >= 3, "{anyone:?}");
    }
}

#[test]
fn a_cookie_is_given_once_and_sticks() {
    let cookie = HashCookie {
        name: "user".into(),
        ttl: Some(Duration::from_secs(60)),
        path: "/".into(),
        attributes: Vec::new(),
    };
    let (_backends, setup) = four(LbPolicy::RingHash(RingHash::default()), by(HashBy::Cookie(cookie)));
    let proxy = setup.start();
    for _ in 0..4 {
        let first = get_with(proxy.address, "/", "");
        let given = first.header("set-cookie").unwrap();
        assert!(given.ends_with("; Max-Age=60; Path=/; HttpOnly"), "{given}");
        let pair = given.split(';').next().unwrap();
        for _ in 0..4 {
            let reply = get_with(proxy.address, "/", &format!("Cookie: x=y; {pair}\r\n"));
            assert_eq!(backend_of(&reply), backend_of(&first));
            assert_eq!(reply.header("set-cookie"), None);
        }
    }
}

#[test]
fn a_client_and_a_parameter_stick_to_an_endpoint() {
    let ring = LbPolicy::RingHash(RingHash::default());
    let (_backends, setup) = four(ring, by(HashBy::SourceIp));
    let proxy = setup.start();
    let answers: BTreeSet<String> = (0..8).map(|_| backend_of(&get_with(proxy.address, "/", ""))).collect();
    assert_eq!(answers.len(), 1);
    let (_backends, setup) = four(ring, by(HashBy::QueryParameter("k".into())));
    let proxy = setup.start();
    let of_key = |key: u32| -> BTreeSet<String> {
        (0..3).map(|_| backend_of(&get_with(proxy.address, &format!("/?a=b&k={key}"), ""))).collect()
    };
    let all: Vec<BTreeSet<String>> = (0..12).map(of_key).collect();
    assert!(all.iter().all(|it| it.len() == 1), "{all:?}");
    assert!(all.iter().flatten().collect::<BTreeSet<_>>().len() >= 3);
}

#[test]
fn load_goes_by_priority_locality_and_health() {
    let (backends, mut setup) = four(LbPolicy::RoundRobin, Vec::new());
    let endpoint =
        |at: usize, health| Endpoint { health, ..Endpoint::new(Address::Socket(backends[at].address)) };
    let locality = |priority, weight, endpoints| LocalityEndpoints {
        locality: Default::default(),
        weight,
        priority,
        endpoints,
    };
    let localities = vec![
        locality(0, Some(3), vec![endpoint(0, Health::Healthy)]),
        locality(0, Some(1), vec![endpoint(1, Health::Healthy)]),
        locality(0, None, vec![endpoint(2, Health::Healthy)]),
        locality(1, Some(1), vec![endpoint(3, Health::Healthy)]),
    ];
    let assignment = LoadAssignment { cluster_name: "b".into(), localities, ..Default::default() };
    let cluster = &mut setup.clusters[0];
    cluster.discovery = ClusterDiscovery::Static(assignment);
    cluster.common_lb.locality_weighted = true;
    setup.concurrency = 1;
    let proxy = setup.start();
    for _ in 0..80 {
        assert_eq!(get_with(proxy.address, "/", "").status, 200);
    }
    let seen: Vec<usize> = backends.iter().map(Backend::seen).collect();
    assert!((45..75).contains(&seen[0]) && seen[1] == 80 - seen[0], "{seen:?}");
}

#[test]
fn a_panic_uses_unhealthy_endpoints_unless_it_is_off() {
    let run = |threshold: Option<u32>| {
        let backend = Backend::start("a");
        let mut setup = Setup::new().cluster("b", &[backend.address]).route("/", "b");
        let cluster = &mut setup.clusters[0];
        cluster.common_lb.healthy_panic_threshold =
            threshold.map(|parts_per_million| Fraction { parts_per_million });
        if let ClusterDiscovery::Static(assignment) = &mut cluster.discovery {
            assignment.localities[0].endpoints[0].health = Health::Unhealthy;
        }
        let proxy = setup.start();
        let reply = get_with(proxy.address, "/", "");
        (
            reply.status,
            proxy.stat("cluster.b.lb_healthy_panic"),
            proxy.stat("cluster.b.upstream_cx_none_healthy"),
        )
    };
    assert_eq!(run(None), (200, 1, 0));
    assert_eq!(run(Some(0)), (503, 0, 1));
}
