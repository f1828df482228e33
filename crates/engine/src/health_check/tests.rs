use ir::health_check::{HealthChecker, HttpCheck, TcpCheck};
use ir::{StringMatch, StringMatcher};

use super::*;
use crate::dice::SplitMix;

const S: fn(u64) -> Duration = Duration::from_secs;
const GOOD: Outcome = Outcome::Success { degraded: false };
const BAD: Outcome = Outcome::Failure { retriable: false };

fn config() -> HealthCheck {
    HealthCheck {
        timeout: S(1),
        interval: S(10),
        initial_jitter: None,
        interval_jitter: None,
        interval_jitter_percent: 0,
        unhealthy_threshold: 3,
        healthy_threshold: 2,
        alt_port: None,
        reuse_connection: true,
        no_traffic_interval: None,
        no_traffic_healthy_interval: None,
        unhealthy_interval: None,
        unhealthy_edge_interval: None,
        healthy_edge_interval: None,
        alpn: Vec::new(),
        transport_criteria: Default::default(),
        checker: HealthChecker::Tcp(TcpCheck::default()),
    }
}

#[test]
fn the_first_check_is_enough_and_thresholds_hold_afterwards() {
    let config = config();
    let mut checker = Checker::new(false);
    assert!(!checker.healthy, "not used before it was checked");
    assert_eq!(checker.note(&config, GOOD), Change::Changed);
    assert!(checker.healthy);
    for (outcome, change, healthy) in [
        (GOOD, Change::None, true),
        (Outcome::Timeout, Change::Pending, true),
        (Outcome::NetworkFailure, Change::Pending, true),
        (GOOD, Change::None, true),
        (Outcome::NetworkFailure, Change::Pending, true),
        (Outcome::Failure { retriable: true }, Change::Pending, true),
        (Outcome::Timeout, Change::Changed, false),
        (BAD, Change::None, false),
        (GOOD, Change::Pending, false),
        (BAD, Change::None, false),
        (GOOD, Change::Pending, false),
        (GOOD, Change::Changed, true),
        (BAD, Change::Changed, false),
    ] {
        assert_eq!((checker.note(&config, outcome), checker.healthy), (change, healthy), "{outcome:?}");
        assert_eq!(checker.timed_out, outcome == Outcome::Timeout && !healthy);
    }
    let mut checker = Checker::new(false);
    assert_eq!(checker.note(&config, Outcome::NetworkFailure), Change::Changed, "somebody waits for it");
    assert!(!checker.healthy);
    assert_eq!(checker.note(&config, GOOD), Change::Pending, "only the very first is enough alone");
}

#[test]
fn degraded_comes_and_goes() {
    let (config, mut checker) = (config(), Checker::new(false));
    checker.note(&config, GOOD);
    assert_eq!(checker.note(&config, Outcome::Success { degraded: true }), Change::Changed);
    assert!(checker.healthy && checker.degraded);
    assert_eq!(checker.note(&config, GOOD), Change::Changed);
    assert!(!checker.degraded);
}

#[test]
fn intervals() {
    let mut dice = SplitMix(1);
    let mut wait = |config: &HealthCheck, outcome, change, used| {
        next_wait(config, outcome, change, used, &mut dice).as_secs()
    };
    let plain = config();
    assert_eq!(wait(&plain, GOOD, Change::None, false), 60, "nobody uses it");
    assert_eq!(wait(&plain, BAD, Change::Pending, true), 10);
    let all = HealthCheck {
        no_traffic_interval: Some(S(20)),
        no_traffic_healthy_interval: Some(S(30)),
        unhealthy_interval: Some(S(40)),
        unhealthy_edge_interval: Some(S(50)),
        healthy_edge_interval: Some(S(70)),
        ..config()
    };
    for (outcome, change, used, expected) in [
        (GOOD, Change::None, false, 30),
        (BAD, Change::Pending, false, 20),
        (GOOD, Change::Changed, true, 10),
        (GOOD, Change::Pending, true, 70),
        (Outcome::Timeout, Change::Changed, true, 40),
        (Outcome::Timeout, Change::Pending, true, 50),
    ] {
        assert_eq!(wait(&all, outcome, change, used), expected, "{outcome:?} {change:?} {used}");
    }
    let jitter = HealthCheck { interval_jitter: Some(S(5)), interval_jitter_percent: 50, ..config() };
    let waits: Vec<u64> = (0..200).map(|_| wait(&jitter, GOOD, Change::None, true)).collect();
    assert!(waits.iter().all(|it| (10..20).contains(it)) && waits.iter().any(|it| *it >= 17), "{waits:?}");
    let first = first_wait(&HealthCheck { initial_jitter: Some(S(4)), ..config() }, &mut SplitMix(3));
    assert!(first < S(4) && first > Duration::ZERO);
}

#[test]
fn responses() {
    let check = HttpCheck {
        expected_statuses: vec![(200, 300)],
        retriable_statuses: vec![(500, 504)],
        receive: vec![b"one".to_vec(), b"two".to_vec()],
        service_name: Some(StringMatcher::new(StringMatch::Prefix("lo".into()))),
        ..HttpCheck::default()
    };
    let rules = ResponseRules::compile(&check).unwrap();
    let good = b"one and two";
    let judge =
        |status, cluster: &[u8], degraded, body: &[u8]| rules.judge(status, Some(cluster), degraded, body);
    assert_eq!(judge(204, b"local", false, good), (GOOD, false));
    assert_eq!(judge(204, b"local", true, good).0, Outcome::Success { degraded: true });
    assert_eq!(judge(204, b"other", false, good), (BAD, true));
    assert_eq!(judge(204, b"local", false, b"two one"), (BAD, false));
    assert_eq!(judge(404, b"local", false, good), (BAD, false));
    assert_eq!(judge(503, b"local", false, good).0, Outcome::Failure { retriable: true });
    let plain = ResponseRules::compile(&HttpCheck::default()).unwrap();
    assert!(!plain.wants_body());
    assert_eq!(plain.judge(200, None, false, b""), (GOOD, false));
    assert_eq!(plain.judge(204, None, false, b""), (BAD, false), "200 alone");
}

#[test]
fn grpc_messages() {
    assert_eq!(grpc_request(""), [0, 0, 0, 0, 0]);
    assert_eq!(grpc_request("ab"), [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
    assert_eq!(grpc_request(&"x".repeat(200))[5..8], [0x0a, 0xc8, 1]);
    assert_eq!(grpc_serving(&[0, 0, 0, 0, 2, 8, 1]), Some(true));
    assert_eq!(grpc_serving(&[0, 0, 0, 0, 2, 8, 2]), Some(false));
    assert_eq!(grpc_serving(&[0, 0, 0, 0, 0]), Some(false), "UNKNOWN");
    assert_eq!(grpc_serving(&[0, 0, 0, 0, 5, 0x12, 1, 7, 8, 1]), Some(true), "fields of later versions");
    for broken in [&[][..], &[0, 0, 0, 0, 3, 8, 1], &[1, 0, 0, 0, 2, 8, 1], &[0, 0, 0, 0, 1, 8]] {
        assert_eq!(grpc_serving(broken), None, "{broken:?}");
    }
}
