//! What a failing part does to the whole.

use std::net::SocketAddr;

use ir::cluster::{RetryBudget, Thresholds};
use ir::retry::{RetryOn, RetryPolicy};
use ir::route::Forward;
use ir::*;

use super::get_with;
use crate::support::backend::Backend;
use crate::support::client::Client;
use crate::support::{Running, Setup};

fn retrying(num_retries: u32) -> Forward {
    let retry = RetryPolicy {
        on: [RetryOn::FiveXx].into(),
        num_retries,
        avoid_previous_hosts: true,
        host_selection_attempts: 5,
        ..RetryPolicy::default()
    };
    Forward { retry: Some(retry), ..Forward::to("b") }
}

/// Proxies behind each other, the last one before `leaf`. The first is to be asked.
fn hops(count: usize, leaf: SocketAddr, thresholds: Thresholds) -> Vec<Running> {
    let mut next = leaf;
    let mut all = Vec::new();
    for _ in 0..count {
        let mut setup = Setup::new().cluster("b", &[next]).route_with("/", retrying(1));
        setup.clusters[0].thresholds = thresholds;
        setup.concurrency = 1;
        next = setup.address;
        all.insert(0, setup.start());
    }
    all
}

#[test]
fn budgets_keep_a_failing_leaf_from_a_storm_of_retries() {
    let leaf = Backend::start("leaf");
    let unbounded = hops(5, leaf.address, Thresholds::UNLIMITED);
    assert_eq!(get_with(unbounded[0].address, "/status/503", "").status, 503);
    assert_eq!(leaf.seen(), 32, "every hop doubles what it is asked");
    drop(unbounded);

    let leaf = Backend::start("leaf");
    // A fifth of what is asked at the leaf, over five hops.
    let budget = RetryBudget {
        budget: Some(Fraction { parts_per_million: 37_000 }),
        interval: None,
        min_retry_concurrency: Some(0),
    };
    let hops = hops(5, leaf.address, Thresholds { retry_budget: Some(budget), ..Thresholds::UNLIMITED });
    let to = hops[0].address;
    let (clients, each) = (60, 15);
    let asking: Vec<_> = (0..clients)
        .map(|_| {
            std::thread::spawn(move || {
                let mut client = Client::connect(to);
                for _ in 0..each {
                    client.send("GET /status/503 HTTP/1.1\r\nHost: a.example\r\n\r\n");
                    assert_eq!(client.read().unwrap().status, 503);
                }
            })
        })
        .collect();
    asking.into_iter().for_each(|client| client.join().unwrap());
    let (asked, seen) = (clients * each, leaf.seen());
    assert!(seen >= asked && seen * 10 <= asked * 12, "{seen} of {asked}");
    let retries: u64 = hops.iter().map(|hop| hop.stat("cluster.b.upstream_rq_retry")).sum();
    assert!(retries > 0, "some were tried again");
}
