use super::*;
use crate::dice::SplitMix;

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

struct Cluster {
    config: OutlierDetection,
    detector: Detector,
    tallies: Vec<Tally>,
    dice: SplitMix,
}

impl Cluster {
    fn new(count: usize, config: OutlierDetection) -> Self {
        let mut detector = Detector::new(config, Duration::ZERO);
        detector.update(config, 0..count as u64);
        let tallies = (0..count).map(|_| Tally::default()).collect();
        Cluster { config, detector, tallies, dice: SplitMix(5) }
    }

    fn note(&mut self, id: usize, outcome: Outcome, now: u64) -> Option<(Cause, Verdict)> {
        let cause = self.tallies[id].note(&self.config, outcome)?;
        Some((cause, self.detector.eject(id as u64, cause, secs(now), &mut self.dice)))
    }

    fn fail(&mut self, id: usize, times: usize, now: u64) -> Option<(Cause, Verdict)> {
        (0..times).filter_map(|_| self.note(id, Outcome::Status(500), now)).last()
    }

    fn interval(&mut self, now: u64) -> Vec<(u64, Change)> {
        let tallies = self.tallies.iter().enumerate().map(|(id, tally)| (id as u64, tally));
        self.detector.interval(secs(now), tallies, &mut self.dice)
    }
}

const ALL: OutlierDetection = OutlierDetection { max_ejection_percent: Some(100), ..ir_default() };

/// `OutlierDetection::default()`, which is no `const fn`.
const fn ir_default() -> OutlierDetection {
    OutlierDetection {
        consecutive_5xx: None,
        interval: None,
        base_ejection_time: None,
        max_ejection_time: None,
        max_ejection_time_jitter: None,
        max_ejection_percent: None,
        always_eject_one_host: false,
        enforcing_consecutive_5xx: None,
        consecutive_gateway_failure: None,
        enforcing_consecutive_gateway_failure: None,
        split_external_local_origin_errors: false,
        consecutive_local_origin_failure: None,
        enforcing_consecutive_local_origin_failure: None,
        enforcing_success_rate: None,
        enforcing_local_origin_success_rate: None,
        success_rate_minimum_hosts: None,
        success_rate_request_volume: None,
        success_rate_stdev_factor: None,
        failure_percentage_threshold: None,
        enforcing_failure_percentage: None,
        enforcing_failure_percentage_local_origin: None,
        failure_percentage_minimum_hosts: None,
        failure_percentage_request_volume: None,
        successful_active_health_check_uneject_host: None,
    }
}

#[test]
fn five_failures_in_a_row_eject() {
    let mut cluster = Cluster::new(3, ALL);
    assert_eq!(cluster.fail(0, 4, 0), None);
    cluster.note(0, Outcome::Status(404), 0);
    assert_eq!(cluster.fail(0, 4, 0), None, "the row was broken");
    let (cause, verdict) = cluster.fail(0, 1, 0).unwrap();
    assert_eq!((cause, verdict), (Cause::Consecutive5xx, Verdict::Ejected));
    assert!(cluster.detector.is_ejected(0) && !cluster.detector.is_ejected(1));
    assert_eq!(cluster.detector.eject(0, cause, secs(1), &mut SplitMix(1)), Verdict::Nothing);
}

#[test]
fn what_fails_without_a_response_counts_as_503_unless_it_is_split_off() {
    let mut cluster = Cluster::new(1, ALL);
    let local = |cluster: &mut Cluster, outcome| (0..5).filter_map(|_| cluster.note(0, outcome, 0)).last();
    assert_eq!(local(&mut cluster, Outcome::LocalFailure).unwrap().0, Cause::Consecutive5xx);
    let gateway = OutlierDetection { enforcing_consecutive_gateway_failure: Some(100), ..ALL };
    let mut cluster = Cluster::new(1, gateway);
    assert_eq!(local(&mut cluster, Outcome::LocalTimeout).unwrap().0, Cause::ConsecutiveGatewayFailure);
    let mut cluster = Cluster::new(1, OutlierDetection { split_external_local_origin_errors: true, ..ALL });
    cluster.fail(0, 4, 0);
    assert_eq!(local(&mut cluster, Outcome::LocalFailure).unwrap().0, Cause::ConsecutiveLocalOriginFailure);
}

#[test]
fn no_more_than_allowed_are_ejected() {
    let some = |percent, one| OutlierDetection {
        max_ejection_percent: Some(percent),
        always_eject_one_host: one,
        ..ALL
    };
    let mut cluster = Cluster::new(4, some(50, false));
    let verdicts: Vec<_> = (0..4).map(|id| cluster.fail(id, 5, 0).unwrap().1).collect();
    use Verdict::{Ejected, Overflow};
    assert_eq!(verdicts, [Ejected, Ejected, Overflow, Overflow]);
    assert_eq!(Cluster::new(4, some(10, false)).fail(0, 5, 0).unwrap().1, Overflow);
    let mut cluster = Cluster::new(4, some(10, true));
    assert_eq!([0, 1].map(|id| cluster.fail(id, 5, 0).unwrap().1), [Ejected, Overflow]);
}

#[test]
fn ejections_grow_longer_and_are_forgiven() {
    let config = OutlierDetection { max_ejection_time: Some(secs(80)), ..ALL };
    let mut cluster = Cluster::new(1, config);
    let mut now = 0;
    for expected in [30, 60, 80, 80] {
        cluster.fail(0, 5, now);
        let begin = now;
        while cluster.detector.is_ejected(0) {
            now += 10;
            cluster.interval(now);
        }
        let took = now - begin;
        assert!((expected..expected + 10).contains(&took), "{took} s, not {expected}");
    }
    // Four intervals without an ejection take the back-off down.
    for _ in 0..4 {
        now += 10;
        assert_eq!(cluster.interval(now), []);
    }
    cluster.fail(0, 5, now);
    assert_eq!(cluster.interval(now + 30), [(0, Change::Returned)]);
}

#[test]
fn the_dice_say_how_often() {
    let config = OutlierDetection { enforcing_consecutive_5xx: Some(30), ..ALL };
    let ejected = (0..1000)
        .filter(|seed| {
            let mut cluster = Cluster::new(1, config);
            cluster.dice = SplitMix(*seed);
            cluster.fail(0, 5, 0).unwrap().1 == Verdict::Ejected
        })
        .count();
    assert!((250..350).contains(&ejected), "{ejected}");
    let gateway_only = OutlierDetection { enforcing_consecutive_5xx: Some(0), ..ALL };
    assert_eq!(Cluster::new(1, gateway_only).fail(0, 5, 0).unwrap().1, Verdict::NotEnforced);
}

#[test]
fn low_rates_eject() {
    let config = OutlierDetection { consecutive_5xx: Some(0), ..ALL };
    let mut cluster = Cluster::new(6, config);
    let run = |cluster: &mut Cluster, failing: usize| {
        for id in 0..6 {
            for n in 0..100 {
                let bad = id == 3 && n < failing;
                cluster.note(id, Outcome::Status(if bad { 500 } else { 200 }), 0);
            }
        }
    };
    run(&mut cluster, 40);
    let judged = Change::Judged(Cause::SuccessRate, Verdict::Ejected);
    assert_eq!(cluster.interval(10), [(3, judged)]);
    assert_eq!(cluster.interval(20), [], "counts begin anew");
    // All alike: nobody is an outlier.
    let mut cluster = Cluster::new(6, config);
    run(&mut cluster, 0);
    assert_eq!(cluster.interval(10), []);
    // A percentage looks at nobody else.
    let config = OutlierDetection {
        enforcing_failure_percentage: Some(100),
        failure_percentage_threshold: Some(40),
        enforcing_success_rate: Some(0),
        ..config
    };
    let mut cluster = Cluster::new(6, config);
    run(&mut cluster, 40);
    let judged = Change::Judged(Cause::FailurePercentage, Verdict::Ejected);
    assert_eq!(cluster.interval(10).last(), Some(&(3, judged)));
    let mut few = Cluster::new(6, OutlierDetection { failure_percentage_minimum_hosts: Some(7), ..config });
    run(&mut few, 40);
    assert!(!few.interval(10).contains(&(3, judged)));
}

#[test]
fn endpoints_come_and_go() {
    let mut cluster = Cluster::new(3, ALL);
    cluster.fail(1, 5, 0);
    cluster.detector.update(ALL, [1, 2].into_iter());
    assert!(cluster.detector.is_ejected(1));
    cluster.detector.update(ALL, [2].into_iter());
    assert_eq!(cluster.detector.ejected(), 0);
    assert!(!cluster.detector.found_healthy(2));
}
