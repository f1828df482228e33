//! What a failing part does to the whole.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use ir::cluster::{RetryBudget, Thresholds};
use ir::retry::{RetryOn, RetryPolicy};
use ir::route::Forward;
use ir::*;

use super::get_with;
use crate::support::backend::{self, Backend};
use crate::support::client::Client;
use crate::support::{Running, Setup, cluster, update};

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
    let budget =
        RetryBudget { budget: Some(Fraction { parts_per_million: 37_000 }), min_retry_concurrency: Some(0) };
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

/// Answers 503 until it is told to be well.
fn instance(well: Arc<AtomicBool>, served: Arc<AtomicUsize>) -> SocketAddr {
    backend::tcp(move |mut stream| {
        use std::io::{Read, Write};
        let mut buffer = [0; 4096];
        while stream.read(&mut buffer).is_ok_and(|read| read > 0) {
            let status = if well.load(Ordering::SeqCst) { "200 OK" } else { "503 Not yet" };
            served.fetch_add(1, Ordering::SeqCst);
            let _ = stream.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes());
        }
    })
}

#[test]
fn a_rolling_update_with_instances_that_fail_at_first() {
    let yes = || Arc::new(AtomicBool::new(true));
    let later = Arc::new(AtomicBool::new(false));
    let served = Arc::new(AtomicUsize::new(0));
    let old = [instance(yes(), Arc::default()), instance(yes(), Arc::default())];
    let new = [instance(later.clone(), served.clone()), instance(later.clone(), served.clone())];
    let version = |to: &[SocketAddr]| Cluster {
        // As in a mesh; Envoy's default allows three retries at a time.
        thresholds: Thresholds::UNLIMITED,
        outlier: Some(Box::new(OutlierDetection {
            consecutive_5xx: Some(5),
            interval: Some(Duration::from_millis(50)),
            base_ejection_time: Some(Duration::from_millis(200)),
            max_ejection_percent: Some(100),
            ..OutlierDetection::default()
        })),
        ..cluster("b", to)
    };
    let mut setup = Setup::new().route_with("/", retrying(2));
    setup.clusters.push(version(&old));
    let proxy = setup.start_dynamic();
    while !proxy.handle.is_ready() {
        std::thread::sleep(Duration::from_millis(2));
    }
    let over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (over, to) = (over.clone(), proxy.address);
            std::thread::spawn(move || {
                let mut client = Client::connect(to);
                let mut statuses = Vec::new();
                while !over.load(Ordering::SeqCst) {
                    client.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
                    statuses.push(client.read().unwrap().status);
                }
                statuses
            })
        })
        .collect();
    let apply = |to: &[SocketAddr]| {
        let cluster = Resource::Cluster(Arc::new(version(to)));
        assert_eq!(proxy.handle.update(update(vec![cluster], &[])), []);
    };
    std::thread::sleep(Duration::from_millis(50));
    apply(&[old[0], old[1], new[0], new[1]]);
    proxy.expect_stat("cluster.b.outlier_detection.ejections_active", 2);
    std::thread::sleep(Duration::from_millis(300));
    later.store(true, Ordering::SeqCst);
    proxy.expect_stat("cluster.b.outlier_detection.ejections_active", 0);
    apply(&new);
    std::thread::sleep(Duration::from_millis(50));
    over.store(true, Ordering::SeqCst);
    let statuses: Vec<u16> = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
    assert!(statuses.len() > 20 && served.load(Ordering::SeqCst) > 10, "{}", statuses.len());
    let failed = statuses.iter().filter(|status| **status != 200).count();
    assert_eq!(failed, 0, "of {}", statuses.len());
    assert!(proxy.stat("cluster.b.outlier_detection.ejections_enforced_total") >= 2);
}
