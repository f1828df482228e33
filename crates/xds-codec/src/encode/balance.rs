//! How a cluster's endpoints are chosen.

use std::collections::BTreeSet;

use ir::lb::{CommonLb, HashFunction, LbSubsets, Millionths, SelectorFallback, SlowStart, SubsetFallback};
use ir::{Cluster, Fraction, LbPolicy, Str};

use super::wire;
use crate::pb::cluster as pb;
use crate::pb::cluster::cluster::common_lb_config::{
    ConsistentHashingLbConfig, LocalityConfigSpecifier, LocalityWeightedLbConfig,
};
use crate::pb::cluster::cluster::lb_subset_config::{
    LbSubsetFallbackPolicy, LbSubsetSelector, lb_subset_selector::LbSubsetSelectorFallbackPolicy,
};
use crate::pb::cluster::cluster::{
    CommonLbConfig, LbConfig, LbSubsetConfig, LeastRequestLbConfig, MaglevLbConfig, OriginalDstLbConfig,
    RingHashLbConfig, RoundRobinLbConfig, SlowStartConfig, ring_hash_lb_config,
};
use crate::pb::{core, envoy_type, google};

pub(super) fn lb_policy(it: LbPolicy) -> pb::cluster::LbPolicy {
    match it {
        LbPolicy::RoundRobin => pb::cluster::LbPolicy::RoundRobin,
        LbPolicy::LeastRequest => pb::cluster::LbPolicy::LeastRequest,
        LbPolicy::Random => pb::cluster::LbPolicy::Random,
        LbPolicy::RingHash(_) => pb::cluster::LbPolicy::RingHash,
        LbPolicy::Maglev(_) => pb::cluster::LbPolicy::Maglev,
        LbPolicy::ClusterProvided => pb::cluster::LbPolicy::ClusterProvided,
    }
}

/// Settings other than Envoy's own.
pub(super) fn lb_config(it: &Cluster) -> Option<LbConfig> {
    let slow_start_config = it.slow_start.map(slow_start);
    match it.lb_policy {
        LbPolicy::RoundRobin => {
            slow_start_config.as_ref()?;
            Some(LbConfig::RoundRobinLbConfig(RoundRobinLbConfig { slow_start_config }))
        }
        LbPolicy::LeastRequest => {
            let config = LeastRequestLbConfig {
                choice_count: wire::optional_number(it.least_request.choice_count),
                active_request_bias: it.least_request.active_request_bias.map(runtime_double),
                slow_start_config,
            };
            (config != LeastRequestLbConfig::default()).then_some(LbConfig::LeastRequestLbConfig(config))
        }
        LbPolicy::Random => None,
        LbPolicy::RingHash(ring) => {
            let function = match ring.function {
                HashFunction::XxHash => ring_hash_lb_config::HashFunction::XxHash,
                HashFunction::MurmurHash2 => ring_hash_lb_config::HashFunction::MurmurHash2,
            };
            let config = RingHashLbConfig {
                minimum_ring_size: ring.minimum_size.map(long),
                hash_function: function.into(),
                maximum_ring_size: ring.maximum_size.map(long),
            };
            (config != RingHashLbConfig::default()).then_some(LbConfig::RingHashLbConfig(config))
        }
        LbPolicy::Maglev(maglev) => {
            let table_size = Some(long(maglev.table_size?));
            Some(LbConfig::MaglevLbConfig(MaglevLbConfig { table_size }))
        }
        LbPolicy::ClusterProvided => {
            let config = OriginalDstLbConfig {
                use_http_header: it.original_dst.header.is_some(),
                http_header_name: wire::optional_text(&it.original_dst.header),
                upstream_port_override: wire::optional_number(it.original_dst.port_override.map(u32::from)),
                metadata_key: None,
            };
            (config != OriginalDstLbConfig::default()).then_some(LbConfig::OriginalDstLbConfig(config))
        }
    }
}

fn slow_start(it: SlowStart) -> SlowStartConfig {
    SlowStartConfig {
        slow_start_window: Some(wire::duration(it.window)),
        aggression: it.aggression.map(runtime_double),
        min_weight_percent: it.min_weight.map(percent),
    }
}

fn long(value: u64) -> google::UInt64Value {
    google::UInt64Value { value }
}

/// Envoy demands a key; nobody has set it.
fn runtime_double(it: Millionths) -> core::RuntimeDouble {
    core::RuntimeDouble { default_value: it.as_f64(), runtime_key: "lateen.unused".into() }
}

pub(super) fn percent(it: Fraction) -> envoy_type::Percent {
    envoy_type::Percent { value: f64::from(it.parts_per_million) / 1e4 }
}

pub(super) fn common_lb_config(it: &CommonLb) -> Option<CommonLbConfig> {
    if *it == CommonLb::default() {
        return None;
    }
    let hashing = ConsistentHashingLbConfig {
        use_hostname_for_hashing: it.use_hostname_for_hashing,
        hash_balance_factor: wire::optional_number(it.hash_balance_factor),
    };
    Some(CommonLbConfig {
        healthy_panic_threshold: it.healthy_panic_threshold.map(percent),
        ignore_new_hosts_until_first_hc: it.ignore_new_hosts_until_first_hc,
        close_connections_on_host_set_change: it.close_connections_on_host_set_change,
        consistent_hashing_lb_config: (hashing != ConsistentHashingLbConfig::default()).then_some(hashing),
        locality_config_specifier: it
            .locality_weighted
            .then_some(LocalityConfigSpecifier::LocalityWeightedLbConfig(LocalityWeightedLbConfig {})),
        ..Default::default()
    })
}

pub(super) fn subsets(it: &LbSubsets) -> LbSubsetConfig {
    let fallback = match it.fallback {
        SubsetFallback::NoFallback => LbSubsetFallbackPolicy::NoFallback,
        SubsetFallback::AnyEndpoint => LbSubsetFallbackPolicy::AnyEndpoint,
        SubsetFallback::DefaultSubset => LbSubsetFallbackPolicy::DefaultSubset,
    };
    LbSubsetConfig {
        fallback_policy: fallback.into(),
        default_subset: (!it.default_subset.is_empty()).then(|| wire::json_struct(&it.default_subset)),
        subset_selectors: it.selectors.iter().map(selector).collect(),
        locality_weight_aware: it.locality_weight_aware,
        scale_locality_weight: it.scale_locality_weight,
        panic_mode_any: it.panic_mode_any,
        list_as_any: it.list_as_any,
        ..Default::default()
    }
}

fn selector(it: &ir::lb::SubsetSelector) -> LbSubsetSelector {
    let texts = |set: &BTreeSet<Str>| set.iter().map(ToString::to_string).collect();
    let (policy, keys_subset) = match &it.fallback {
        None => (LbSubsetSelectorFallbackPolicy::NotDefined, Vec::new()),
        Some(SelectorFallback::NoFallback) => (LbSubsetSelectorFallbackPolicy::NoFallback, Vec::new()),
        Some(SelectorFallback::AnyEndpoint) => (LbSubsetSelectorFallbackPolicy::AnyEndpoint, Vec::new()),
        Some(SelectorFallback::DefaultSubset) => (LbSubsetSelectorFallbackPolicy::DefaultSubset, Vec::new()),
        Some(SelectorFallback::Keys(keys)) => (LbSubsetSelectorFallbackPolicy::KeysSubset, texts(keys)),
    };
    LbSubsetSelector {
        keys: texts(&it.keys),
        single_host_per_subset: false,
        fallback_policy: policy.into(),
        fallback_keys_subset: keys_subset,
    }
}
