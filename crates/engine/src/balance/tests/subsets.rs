use ir::bootstrap::Json;
use ir::lb::{LbSubsets, SelectorFallback, SubsetFallback, SubsetSelector};

use super::*;

fn text(value: &str) -> Json {
    Json::Text(value.into())
}

fn criteria(all: &[(&str, &str)]) -> Criteria {
    all.iter().map(|(key, value)| ((*key).into(), text(value))).collect()
}

/// Endpoints with these metadata.
fn marked(all: &[&[(&str, &str)]]) -> EndpointSet {
    let endpoints = all
        .iter()
        .enumerate()
        .map(|(i, metadata)| Endpoint { lb_metadata: criteria(metadata), ..Endpoint::new(address(i as u8)) });
    let localities = vec![locality(0, None, endpoints.collect())];
    EndpointSet::compile(&LoadAssignment { localities, ..Default::default() })
}

fn selector(keys: &[&str], fallback: Option<SelectorFallback>) -> SubsetSelector {
    SubsetSelector { keys: keys.iter().map(|key| (*key).into()).collect(), fallback }
}

/// Who is picked, in order.
fn picks(set: &EndpointSet, config: &LbSubsets, asked: &[(&str, &str)]) -> Vec<usize> {
    let settings = Settings::new(LbPolicy::RoundRobin);
    let seen = |index| set.configured(index);
    let balancer = Balancer::compile(set, &settings, &seen).with_subsets(set, &settings, config, &seen);
    let (mut cursor, mut dice) = (Cursor::default(), SplitMix(3));
    let asked = criteria(asked);
    let mut pick = || {
        let (load, skip) = (|_: usize| 0, |_: usize| false);
        balancer.pick(Ask {
            cursor: &mut cursor,
            hash: None,
            criteria: Some(&asked),
            load: &load,
            skip: &skip,
            dice: &mut dice,
        })
    };
    let mut found: Vec<usize> = (0..8).filter_map(|_| pick()).collect();
    found.sort_unstable();
    found.dedup();
    found
}

#[test]
fn requests_go_to_the_endpoints_that_have_what_they_ask_for() {
    let set = marked(&[
        &[("v", "1"), ("stage", "prod")],
        &[("v", "1"), ("stage", "dev")],
        &[("v", "2"), ("stage", "prod")],
        &[],
    ]);
    let mut config = LbSubsets {
        selectors: vec![selector(&["v"], None), selector(&["stage", "v"], None)],
        ..LbSubsets::default()
    };
    assert_eq!(picks(&set, &config, &[("v", "1")]), [0, 1]);
    assert_eq!(picks(&set, &config, &[("v", "1"), ("stage", "prod")]), [0]);
    assert!(picks(&set, &config, &[("stage", "prod")]).is_empty(), "no selector has these keys");
    assert!(picks(&set, &config, &[("v", "3")]).is_empty());
    assert!(picks(&set, &config, &[]).is_empty());
    config.fallback = SubsetFallback::AnyEndpoint;
    assert_eq!(picks(&set, &config, &[("v", "3")]), [0, 1, 2, 3]);
    config.fallback = SubsetFallback::DefaultSubset;
    config.default_subset = criteria(&[("stage", "dev")]);
    assert_eq!(picks(&set, &config, &[("v", "3")]), [1]);
    assert_eq!(picks(&set, &config, &[]), [1]);
    config.default_subset = criteria(&[("stage", "none")]);
    assert!(picks(&set, &config, &[]).is_empty());
    config.panic_mode_any = true;
    assert_eq!(picks(&set, &config, &[]), [0, 1, 2, 3]);
}

#[test]
fn selectors_have_fallbacks_of_their_own() {
    let set = marked(&[&[("v", "1"), ("stage", "prod")], &[("v", "2"), ("stage", "dev")]]);
    let with = |fallback| LbSubsets {
        selectors: vec![selector(&["v"], None), selector(&["stage", "v"], Some(fallback))],
        fallback: SubsetFallback::AnyEndpoint,
        default_subset: criteria(&[("v", "2")]),
        ..LbSubsets::default()
    };
    let asked = [("v", "1"), ("stage", "dev")];
    assert!(picks(&set, &with(SelectorFallback::NoFallback), &asked).is_empty());
    assert_eq!(picks(&set, &with(SelectorFallback::AnyEndpoint), &asked), [0, 1]);
    assert_eq!(picks(&set, &with(SelectorFallback::DefaultSubset), &asked), [1]);
    assert_eq!(picks(&set, &with(SelectorFallback::Keys(["v".into()].into())), &asked), [0]);
}

#[test]
fn lists_are_each_of_their_values() {
    let mut metadata = criteria(&[]);
    metadata.insert("v".into(), Json::List(vec![text("1"), text("2")]));
    let endpoint = Endpoint { lb_metadata: metadata, ..Endpoint::new(address(0)) };
    let set = EndpointSet::compile(&LoadAssignment {
        localities: vec![locality(0, None, vec![endpoint])],
        ..Default::default()
    });
    let mut config = LbSubsets { selectors: vec![selector(&["v"], None)], ..LbSubsets::default() };
    assert!(picks(&set, &config, &[("v", "2")]).is_empty());
    config.list_as_any = true;
    assert_eq!(picks(&set, &config, &[("v", "1")]), [0]);
    assert_eq!(picks(&set, &config, &[("v", "2")]), [0]);
}
