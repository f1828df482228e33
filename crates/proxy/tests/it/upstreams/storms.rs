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

const UNBOUNDED: Thresholds = Thresholds::UNLIMITED;

/// With Envoy's default of 20 % of what is in flight, and so many in any case.
const fn budget(min_retry_concurrency: Option<u32>) -> Thresholds {
    let budget = RetryBudget { budget: None, interval: None, min_retry_concurrency };
    Thresholds { retry_budget: Some(budget), ..Thresholds::UNLIMITED }
}

/// Three retries are more than a fifth of what is in flight where a busy machine brings few requests at a time.
const BUDGET: Thresholds = budget(Some(0));

fn retrying(on: RetryOn, num_retries: u32) -> Forward {
    let retry = RetryPolicy {
        on: [on].into(),
        num_retries,
        avoid_previous_hosts: true,
        host_selection_attempts: 5,
        ..RetryPolicy::default()
    };
    Forward { retry: Some(retry), ..Forward::to("b") }
}

/// Proxies behind each other, the last one before `leaf`. The first is to be asked.
fn hops(count: usize, leaf: SocketAddr, forward: &Forward, edit: impl Fn(&mut Cluster)) -> Vec<Running> {
    let mut next = leaf;
    let mut all = Vec::new();
    for _ in 0..count {
        let mut setup = Setup::new().cluster("b", &[next]).route_with("/", forward.clone());
        edit(&mut setup.clusters[0]);
        setup.concurrency = 1;
        next = setup.address;
        all.insert(0, setup.start());
    }
    all
}

fn limited(thresholds: Thresholds) -> impl Fn(&mut Cluster) {
    move |cluster| cluster.thresholds = thresholds
}

const CLIENTS: usize = 60;
const EACH: usize = 15;

/// Many clients ask for it: how many succeed.
fn ask(first: &Running, request: &'static str) -> usize {
    let to = first.address;
    let one = move || {
        let mut client = Client::connect(to);
        let asked = (0..EACH).map(|_| {
            client.send(request);
            client.read().unwrap()
        });
        let well = |reply: &crate::support::client::Reply| {
            reply.status == 200 && reply.header("grpc-status").is_none_or(|status| status == "0")
        };
        asked.filter(well).count()
    };
    let clients: Vec<_> = (0..CLIENTS).map(|_| std::thread::spawn(one)).collect();
    clients.into_iter().map(|client| client.join().unwrap()).sum()
}

#[test]
fn budgets_keep_a_failing_leaf_from_a_storm_of_retries() {
    let leaf = Backend::start("leaf");
    let unbounded = hops(5, leaf.address, &retrying(RetryOn::FiveXx, 1), limited(UNBOUNDED));
    let reply = get_with(unbounded[0].address, "/status/503", "");
    assert_eq!((reply.status, reply.header("x-envoy-overloaded")), (503, None));
    assert_eq!(leaf.seen(), 32, "every hop doubles what it is asked");
    drop(unbounded);

    let leaf = Backend::start("leaf");
    let hops = hops(5, leaf.address, &retrying(RetryOn::FiveXx, 5), limited(BUDGET));
    assert_eq!(ask(&hops[0], "GET /status/503?after=20 HTTP/1.1\r\nHost: a.example\r\n\r\n"), 0);
    let (asked, seen) = (CLIENTS * EACH, leaf.seen());
    assert!(seen > asked && seen * 10 <= asked * 12, "{seen} of {asked}");
    let retries = |hop: &Running| hop.stat("cluster.b.upstream_rq_retry");
    let (last, before) = hops.split_last().unwrap();
    assert!(retries(last) > 0, "some were tried again");
    assert!(before.iter().all(|hop| retries(hop) == 0), "by the hop next to the fault alone");
}

#[test]
fn budgets_bound_a_storm_of_grpc() {
    let leaf = Backend::start("leaf");
    let hops = hops(5, leaf.address, &retrying(RetryOn::GrpcUnavailable, 5), |cluster| {
        cluster.thresholds = BUDGET;
        cluster.protocol = HttpProtocol::Http2;
    });
    let call = "POST /grpc-status/14?after=20 HTTP/1.1\r\nHost: a.example\r\nContent-Type: application/grpc\r\n\
                Content-Length: 0\r\n\r\n";
    assert_eq!(ask(&hops[0], call), 0);
    let (asked, seen) = (CLIENTS * EACH, leaf.seen());
    assert!(seen > asked && seen * 10 <= asked * 12, "{seen} of {asked}");
}

#[test]
fn budgets_leave_room_for_retries_that_help() {
    let leaf = Backend::start("leaf");
    let hops = hops(5, leaf.address, &retrying(RetryOn::FiveXx, 5), limited(BUDGET));
    let well = ask(&hops[0], "GET /half?after=20 HTTP/1.1\r\nHost: a.example\r\n\r\n");
    let (asked, seen) = (CLIENTS * EACH, leaf.seen());
    assert!(seen * 10 <= asked * 12, "{seen} of {asked}");
    // Of what the leaf is asked it answers exactly half.
    assert!(well == seen / 2 && well > asked / 2, "{well} of {asked}");
    drop(hops);
    // With Envoy's three a single one that fails now and then is tried again until it is well.
    let hops = self::hops(5, leaf.address, &retrying(RetryOn::FiveXx, 5), limited(budget(None)));
    let mut client = Client::connect(hops[0].address);
    for _ in 0..10 {
        assert_eq!(client.get("/half").status, 200);
    }
}

#[test]
fn who_gives_up_says_so_also_where_nobody_answers() {
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (thresholds, said) in [(budget(None), Some("retries")), (UNBOUNDED, None)] {
        let hops = hops(2, dead, &retrying(RetryOn::FiveXx, 1), limited(thresholds));
        let reply = get_with(hops[0].address, "/", "");
        assert_eq!((reply.status, reply.header("x-envoy-overloaded")), (503, said));
        let retries: Vec<_> = hops.iter().map(|hop| hop.stat("cluster.b.upstream_rq_retry")).collect();
        assert_eq!(retries, if said.is_some() { [0, 1] } else { [1, 2] });
    }
}
