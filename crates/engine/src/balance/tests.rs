mod subsets;

use std::collections::BTreeMap;

use ir::lb::{HashFunction, Maglev, Millionths, RingHash};
use ir::{Fraction, LocalityEndpoints};

use super::*;
use crate::dice::SplitMix;

type One = (u32, Option<u32>, Health);

/// One locality for each endpoint.
fn set(all: &[One]) -> EndpointSet {
    let localities = all.iter().enumerate().map(|(i, (priority, weight, health))| {
        let endpoint = Endpoint { weight: *weight, health: *health, ..Endpoint::new(address(i as u8)) };
        locality(*priority, None, vec![endpoint])
    });
    EndpointSet::compile(&LoadAssignment { localities: localities.collect(), ..Default::default() })
}

fn address(n: u8) -> Address {
    Address::Socket(([10, 0, 0, n], 80).into())
}

fn locality(priority: u32, weight: Option<u32>, endpoints: Vec<Endpoint>) -> LocalityEndpoints {
    LocalityEndpoints { locality: Default::default(), weight, priority, endpoints }
}

fn even(count: u8) -> EndpointSet {
    set(&vec![(0, None, Health::Unknown); count.into()])
}

fn balancer(set: &EndpointSet, settings: &Settings) -> Balancer {
    Balancer::compile(set, settings, &|index| set.configured(index))
}

fn hits(balancer: &Balancer, count: usize, load: impl Fn(usize) -> u32) -> Vec<u32> {
    let (mut cursor, mut dice) = (Cursor::default(), SplitMix(3));
    let mut hits = vec![0; count];
    for _ in 0..12_000 {
        let ask = Ask {
            cursor: &mut cursor,
            hash: None,
            criteria: None,
            load: &load,
            skip: &|_| false,
            dice: &mut dice,
        };
        if let Some(index) = balancer.pick(ask) {
            hits[index] += 1;
        }
    }
    hits
}

#[track_caller]
fn near(hits: &[u32], expected: &[u32]) {
    let off = |hit: u32, expected: u32| hit.abs_diff(expected) > expected / 10 + 60;
    assert!(
        !hits.iter().zip(expected).any(|(hit, expected)| off(*hit, *expected)),
        "{hits:?}, not {expected:?}"
    );
}

const RING: LbPolicy = LbPolicy::RingHash(RingHash {
    minimum_size: Some(8192),
    maximum_size: None,
    function: HashFunction::XxHash,
});
const MAGLEV: LbPolicy = LbPolicy::Maglev(Maglev { table_size: None });

#[test]
fn every_balancer_keeps_weights() {
    let policies = [LbPolicy::RoundRobin, LbPolicy::Random, LbPolicy::LeastRequest, RING, MAGLEV];
    let weighted =
        set(&[(0, Some(1), Health::Unknown), (0, Some(3), Health::Unknown), (0, Some(2), Health::Healthy)]);
    for policy in policies {
        near(&hits(&balancer(&even(3), &Settings::new(policy)), 3, |_| 0), &[4000; 3]);
        near(&hits(&balancer(&weighted, &Settings::new(policy)), 3, |_| 0), &[2000, 6000, 4000]);
    }
}

#[test]
fn round_robin_is_exact() {
    let weighted = set(&[(0, Some(10), Health::Unknown), (0, Some(30), Health::Unknown)]);
    assert_eq!(hits(&balancer(&weighted, &Settings::new(LbPolicy::RoundRobin)), 2, |_| 0), [3000, 9000]);
}

#[test]
fn least_request_prefers_the_idle() {
    let mut settings = Settings::new(LbPolicy::LeastRequest);
    let load = |index: usize| if index == 0 { 9 } else { 0 };
    near(&hits(&balancer(&even(2), &settings), 2, load), &[3000, 9000]);
    settings.least_request.choice_count = Some(5);
    near(&hits(&balancer(&even(2), &settings), 2, load), &[375, 11_625]);
    // With much load it is shared by weight.
    let weighted = set(&[(0, Some(1), Health::Unknown), (0, Some(3), Health::Unknown)]);
    settings.least_request.choice_count = Some(2);
    settings.least_request.active_request_bias = Some(Millionths::ONE);
    near(&hits(&balancer(&weighted, &settings), 2, |index| [10, 30][index]), &[3000, 9000]);
    near(&hits(&balancer(&weighted, &settings), 2, |index| [10, 31][index]), &[5250, 6750]);
}

#[test]
fn load_spills_over_by_health() {
    use Health::{Degraded, Healthy, Unhealthy};
    let share = |all: &[One]| hits(&balancer(&set(all), &Settings::new(LbPolicy::Random)), all.len(), |_| 0);
    // Half of priority 0 is worth 70 %.
    near(&share(&[(0, None, Unhealthy), (0, None, Healthy), (1, None, Healthy)]), &[0, 8400, 3600]);
    near(&share(&[(0, None, Healthy), (1, None, Healthy)]), &[12_000, 0]);
    near(&share(&[(0, None, Unhealthy), (1, None, Healthy)]), &[0, 12_000]);
    // Degraded endpoints get what the healthy ones of all priorities cannot take.
    near(&share(&[(0, None, Healthy), (0, None, Degraded), (0, None, Unhealthy)]), &[6000, 6000, 0]);
}

#[test]
fn a_panic_uses_everyone() {
    use Health::{Healthy, Unhealthy};
    let all = [(0, None, Unhealthy), (0, None, Unhealthy), (0, None, Healthy)];
    let set = set(&all);
    let mut settings = Settings::new(LbPolicy::Random);
    let in_panic = balancer(&set, &settings);
    assert!(in_panic.in_panic());
    near(&hits(&in_panic, 3, |_| 0), &[4000; 3]);
    settings.common.healthy_panic_threshold = Some(Fraction { parts_per_million: 0 });
    let calm = balancer(&set, &settings);
    assert!(!calm.in_panic());
    near(&hits(&calm, 3, |_| 0), &[0, 0, 12_000]);
    let nobody =
        Balancer::compile(&set, &settings, &|_| Seen { availability: Availability::Unhealthy, share: 1 });
    assert!(nobody.is_empty());
}

#[test]
fn localities_share_by_weight_and_health() {
    let endpoint = |n: u8, health| Endpoint { health, ..Endpoint::new(address(n)) };
    let some = |healths: &[Health], from: u8| {
        healths.iter().enumerate().map(|(i, health)| endpoint(from + i as u8, *health)).collect::<Vec<_>>()
    };
    use Health::{Healthy, Unhealthy};
    let localities = vec![
        locality(0, Some(1), some(&[Healthy, Healthy], 0)),
        locality(0, Some(2), some(&[Healthy, Unhealthy], 2)),
        locality(0, None, some(&[Healthy], 4)),
    ];
    let set = EndpointSet::compile(&LoadAssignment { localities, ..Default::default() });
    let mut settings = Settings::new(LbPolicy::RoundRobin);
    near(&hits(&balancer(&set, &settings), 5, |_| 0), &[3000, 3000, 3000, 0, 3000]);
    settings.common.locality_weighted = true;
    // 1 to 2 * 0.5 * 1.4; the one without a weight gets nothing.
    for policy in [LbPolicy::RoundRobin, LbPolicy::Random, RING, MAGLEV] {
        settings.policy = policy;
        near(&hits(&balancer(&set, &settings), 5, |_| 0), &[2500, 2500, 7000, 0, 0]);
    }
}

#[test]
fn hashes_stick_and_few_move() {
    for policy in [RING, MAGLEV] {
        let (before, after) = (even(10), even(9));
        let settings = Settings::new(policy);
        let (before, after) = (balancer(&before, &settings), balancer(&after, &settings));
        let pick = |balancer: &Balancer, hash| {
            let (mut cursor, mut dice) = (Cursor::default(), SplitMix(hash));
            let ask = Ask {
                cursor: &mut cursor,
                hash: Some(hash),
                criteria: None,
                load: &|_| 0,
                skip: &|_| false,
                dice: &mut dice,
            };
            balancer.pick(ask).unwrap()
        };
        let (mut moved, mut needless) = (0, 0);
        for key in 0..20_000u32 {
            let hash = crate::hash::xxh64(&key.to_le_bytes());
            let (old, new) = (pick(&before, hash), pick(&after, hash));
            assert_eq!(old, pick(&before, hash), "sticks");
            moved += u32::from(old != new);
            needless += u32::from(old != new && old != 9);
        }
        // The tenth that the lost endpoint had. Maglev trades a few more for an even spread. A ring
        // of at least so many places gives the places of the lost one to the others, anywhere.
        let allowed = if policy == MAGLEV { 800 } else { 2_000 };
        assert!((1_500..2_400 + allowed).contains(&moved), "{policy:?}: {moved} of 20000 moved");
        assert!(needless <= allowed, "{policy:?}: {needless} moved for nothing");
    }
}

#[test]
fn skipped_ones_are_passed_over() {
    for policy in [LbPolicy::RoundRobin, LbPolicy::Random, LbPolicy::LeastRequest, RING, MAGLEV] {
        let set = set(&[(0, None, Health::Unknown), (0, None, Health::Unknown), (1, None, Health::Unknown)]);
        let balancer = balancer(&set, &Settings::new(policy));
        let mut seen = BTreeMap::new();
        for hash in 0..100u64 {
            let (mut cursor, mut dice) = (Cursor(hash), SplitMix(hash));
            let mut pick = |skip: &dyn Fn(usize) -> bool| {
                let hash = Some(crate::hash::xxh64(&hash.to_le_bytes()));
                balancer.pick(Ask {
                    cursor: &mut cursor,
                    hash,
                    criteria: None,
                    load: &|_| 0,
                    skip,
                    dice: &mut dice,
                })
            };
            *seen.entry(pick(&|index| index == 0)).or_insert(0) += 1;
            assert_eq!(pick(&|index| index < 2), None, "the next priority gets no load");
            assert_eq!(pick(&|_| true), None);
        }
        assert_eq!(seen, BTreeMap::from([(Some(1), 100)]), "{policy:?}");
    }
    assert!(balancer(&EndpointSet::default(), &Settings::new(RING)).is_empty());
}

#[test]
fn bounded_loads_pass_over_who_has_too_much() {
    let set = even(4);
    for policy in [RING, LbPolicy::Maglev(Maglev { table_size: Some(251) })] {
        let mut settings = Settings::new(policy);
        let pick = |settings: &Settings, load: &dyn Fn(usize) -> u32| {
            let (mut cursor, mut dice) = (Cursor::default(), SplitMix(3));
            let ask = Ask {
                cursor: &mut cursor,
                hash: Some(42),
                criteria: None,
                load,
                skip: &|_| false,
                dice: &mut dice,
            };
            balancer(&set, settings).pick(ask).unwrap()
        };
        let own = pick(&settings, &|_| 0);
        let busy = |index| if index == own { 9 } else { 1 };
        assert_eq!(pick(&settings, &busy), own, "without a bound");
        settings.common.hash_balance_factor = Some(120);
        assert_eq!(pick(&settings, &|_| 0), own);
        assert_eq!(pick(&settings, &|_| 5), own, "nobody has more than the others");
        let other = pick(&settings, &busy);
        assert_ne!(other, own);
        assert_eq!(pick(&settings, &busy), other, "always the same");
        // 13 requests and a factor of 1.2: four each.
        assert_eq!(pick(&settings, &|index| if index == own { 4 } else { 3 }), own);
    }
}
