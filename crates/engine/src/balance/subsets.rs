//! Subsets: endpoints that have the same values under some keys of their metadata.
//! See <https://www.envoyproxy.io/docs/envoy/v1.40.0/intro/arch_overview/upstream/load_balancing/subsets>.

use std::collections::{BTreeMap, HashMap};

use ir::bootstrap::Json;
use ir::lb::{LbSubsets, SelectorFallback, SubsetFallback};
use stdx::{Digest, Str};

use super::{Ask, Balancer, EndpointSet, Seen, Settings};

/// What a request asks of its endpoint's metadata (`metadata_match`).
pub type Criteria = BTreeMap<Str, Json>;

/// A balancer for each subset, made when the endpoints change.
#[derive(Debug)]
pub(super) struct Subsets {
    /// By keys and values.
    found: HashMap<Digest, Balancer>,
    /// By keys.
    selectors: HashMap<Digest, SelectorFallback>,
    fallback: SubsetFallback,
    default: Option<Balancer>,
    panic_mode_any: bool,
}

impl Subsets {
    pub fn compile(
        set: &EndpointSet,
        settings: &Settings,
        config: &LbSubsets,
        seen: &dyn Fn(usize) -> Seen,
    ) -> Self {
        let mut members: HashMap<Digest, Vec<usize>> = HashMap::new();
        for (index, endpoint) in set.endpoints().iter().enumerate() {
            for selector in &config.selectors {
                let keys = selector.keys.iter();
                let values = keys.map(|key| Some((key, values(endpoint.lb_metadata.get(key)?, config))));
                let Some(values) = values.collect::<Option<Vec<_>>>() else { continue };
                for digest in combinations(&values) {
                    members.entry(digest).or_default().push(index);
                }
            }
        }
        let compile = |members: &[usize]| {
            let takes = |index: usize| members.binary_search(&index).is_ok();
            Balancer::of_part(set, settings, seen, &takes, config)
        };
        let found = members.into_iter().map(|(digest, mut members)| {
            members.dedup();
            (digest, compile(&members))
        });
        let selectors = config.selectors.iter();
        let selectors = selectors.filter_map(|it| Some((keys(it.keys.iter()), it.fallback.clone()?)));
        let wants_default = config.fallback == SubsetFallback::DefaultSubset
            || config.selectors.iter().any(|it| it.fallback == Some(SelectorFallback::DefaultSubset));
        let default = wants_default.then(|| {
            let all = set.endpoints().iter().enumerate();
            let fits = all.filter(|(_, it)| has(&it.lb_metadata, &config.default_subset, config.list_as_any));
            compile(&fits.map(|(index, _)| index).collect::<Vec<_>>())
        });
        Subsets {
            found: found.collect(),
            selectors: selectors.collect(),
            fallback: config.fallback,
            default,
            panic_mode_any: config.panic_mode_any,
        }
    }

    /// Picks from the subset that a request asks for. `whole` is of the whole cluster.
    pub fn pick(&self, whole: &Balancer, mut ask: Ask<'_>) -> Option<usize> {
        if let Some(criteria) = ask.criteria.filter(|criteria| !criteria.is_empty()) {
            let mut wanted: Vec<(&Str, &Json)> = criteria.iter().collect();
            // Each round has fewer keys, so that this ends.
            loop {
                if let Some(subset) = self.found.get(&of_values(wanted.iter().copied())) {
                    return subset.pick_whole(&mut ask);
                }
                match self.selectors.get(&keys(wanted.iter().map(|(key, _)| *key))) {
                    None => break,
                    Some(SelectorFallback::NoFallback) => return None,
                    Some(SelectorFallback::AnyEndpoint) => return whole.pick_whole(&mut ask),
                    Some(SelectorFallback::DefaultSubset) => {
                        return self.default.as_ref()?.pick_whole(&mut ask);
                    }
                    Some(SelectorFallback::Keys(fewer)) => {
                        let before = wanted.len();
                        wanted.retain(|(key, _)| fewer.contains(*key));
                        if wanted.len() == before {
                            break;
                        }
                    }
                }
            }
        }
        let found = match self.fallback {
            SubsetFallback::NoFallback => return None,
            SubsetFallback::AnyEndpoint => return whole.pick_whole(&mut ask),
            SubsetFallback::DefaultSubset => self.default.as_ref().and_then(|it| it.pick_whole(&mut ask)),
        };
        found.or_else(|| if self.panic_mode_any { whole.pick_whole(&mut ask) } else { None })
    }
}

/// What counts as an endpoint's values under a key.
fn values<'a>(value: &'a Json, config: &LbSubsets) -> &'a [Json] {
    match value {
        Json::List(all) if config.list_as_any => all,
        one => std::slice::from_ref(one),
    }
}

/// One digest for each way to choose a value for every key.
fn combinations(values: &[(&Str, &[Json])]) -> Vec<Digest> {
    let mut chosen: Vec<Vec<(&Str, &Json)>> = vec![Vec::new()];
    for (key, values) in values {
        let longer = chosen.iter().flat_map(|chosen| {
            values.iter().map(move |value| {
                let mut chosen = chosen.clone();
                chosen.push((*key, value));
                chosen
            })
        });
        chosen = longer.collect();
    }
    chosen.into_iter().map(|it| of_values(it.into_iter())).collect()
}

/// Keys come in order.
fn of_values<'a>(values: impl Iterator<Item = (&'a Str, &'a Json)>) -> Digest {
    stdx::digest(&values.map(|(key, value)| (key, plain(value))).collect::<Vec<_>>())
}

fn keys<'a>(keys: impl Iterator<Item = &'a Str>) -> Digest {
    stdx::digest(&keys.collect::<Vec<_>>())
}

/// 1 and 1.0 are the same number.
fn plain(value: &Json) -> Json {
    match value {
        Json::Number(text) => match text.parse::<f64>() {
            Ok(number) => Json::Number(number.to_string().into()),
            Err(_) => value.clone(),
        },
        other => other.clone(),
    }
}

fn has(metadata: &Criteria, wanted: &Criteria, list_as_any: bool) -> bool {
    wanted.iter().all(|(key, wanted)| match metadata.get(key) {
        Some(Json::List(all)) if list_as_any => all.iter().any(|value| plain(value) == plain(wanted)),
        Some(value) => plain(value) == plain(wanted),
        None => false,
    })
}
