//! Subsets of a cluster's endpoints, by their metadata.

use std::collections::BTreeSet;

use ir::lb::{LbSubsets, SelectorFallback, SubsetFallback, SubsetSelector};
use stdx::Str;

use super::at::At;
use super::strict::refuse;
use super::{metadata, wire};
use crate::pb::cluster::cluster::LbSubsetConfig;
use crate::pb::cluster::cluster::lb_subset_config::{
    LbSubsetFallbackPolicy, LbSubsetSelector, lb_subset_selector::LbSubsetSelectorFallbackPolicy,
};

pub(super) fn subsets(at: At<'_>, it: LbSubsetConfig) -> LbSubsets {
    let LbSubsetConfig {
        fallback_policy,
        default_subset,
        subset_selectors,
        locality_weight_aware,
        scale_locality_weight,
        panic_mode_any,
        list_as_any,
        metadata_fallback_policy,
    } = it;
    refuse!(at; metadata_fallback_policy);
    let fallback = match wire::enumeration(at.field("fallback_policy"), fallback_policy) {
        LbSubsetFallbackPolicy::NoFallback => SubsetFallback::NoFallback,
        LbSubsetFallbackPolicy::AnyEndpoint => SubsetFallback::AnyEndpoint,
        LbSubsetFallbackPolicy::DefaultSubset => SubsetFallback::DefaultSubset,
    };
    let one = |(index, it)| selector(at.index("subset_selectors", index), it);
    LbSubsets {
        selectors: subset_selectors.into_iter().enumerate().map(one).collect(),
        fallback,
        default_subset: default_subset.map(metadata::json_map).unwrap_or_default(),
        locality_weight_aware,
        scale_locality_weight,
        panic_mode_any,
        list_as_any,
    }
}

fn selector(at: At<'_>, it: LbSubsetSelector) -> SubsetSelector {
    let LbSubsetSelector { keys, single_host_per_subset, fallback_policy, fallback_keys_subset } = it;
    refuse!(at; single_host_per_subset);
    let keys = set(keys);
    let subset = set(fallback_keys_subset);
    let policy = wire::enumeration(at.field("fallback_policy"), fallback_policy);
    let by_keys = policy == LbSubsetSelectorFallbackPolicy::KeysSubset;
    let fits = !subset.is_empty() && subset.is_subset(&keys) && subset != keys;
    if by_keys == subset.is_empty() || (by_keys && !fits) {
        at.field("fallback_keys_subset").refuse("goes with KEYS_SUBSET, and is a part of the keys");
    }
    let fallback = match policy {
        LbSubsetSelectorFallbackPolicy::NotDefined => None,
        LbSubsetSelectorFallbackPolicy::NoFallback => Some(SelectorFallback::NoFallback),
        LbSubsetSelectorFallbackPolicy::AnyEndpoint => Some(SelectorFallback::AnyEndpoint),
        LbSubsetSelectorFallbackPolicy::DefaultSubset => Some(SelectorFallback::DefaultSubset),
        LbSubsetSelectorFallbackPolicy::KeysSubset => Some(SelectorFallback::Keys(subset)),
    };
    SubsetSelector { keys, fallback }
}

fn set(all: Vec<String>) -> BTreeSet<Str> {
    all.into_iter().map(Str::from).collect()
}
