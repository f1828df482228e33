//! `load_balancing_policy`: the newer place for what `lb_policy` and the settings beside it say.

use ir::LbPolicy;
use ir::lb::{CommonLb, HashFunction, LeastRequest, Maglev, RingHash};

use super::at::At;
use super::balance::{self, Balance};
use super::strict::refuse;
use super::wire;
use crate::Any;
use crate::pb::cluster::LoadBalancingPolicy;
use crate::pb::cluster::cluster as old;
use crate::pb::core;
use crate::pb::lb_cluster_provided::ClusterProvided;
use crate::pb::lb_common::locality_lb_config::LocalityConfigSpecifier;
use crate::pb::lb_common::{ConsistentHashingLbConfig, LocalityLbConfig, SlowStartConfig};
use crate::pb::lb_least_request::{self, least_request::SelectionMethod};
use crate::pb::lb_maglev;
use crate::pb::lb_random::Random;
use crate::pb::lb_ring_hash::{self, ring_hash};
use crate::pb::lb_round_robin::RoundRobin;

/// The first of the policies: Envoy takes the first that it knows, and it knows more than we do. What
/// `common_lb_config` has elsewhere goes to `common`.
pub(super) fn chosen(at: At<'_>, it: LoadBalancingPolicy, common: &mut CommonLb) -> Balance {
    let first = it.policies.into_iter().next().and_then(|it| it.typed_extension_config);
    let Some(core::TypedExtensionConfig { name: _, typed_config: Some(any) }) = first else {
        at.index("policies", 0).refuse("is required");
        return of(LbPolicy::RoundRobin);
    };
    let at = at.index("policies", 0);
    let at = at.field("typed_extension_config");
    policy(at.field("typed_config"), &any, common)
}

fn of(policy: LbPolicy) -> Balance {
    let (least_request, slow_start, original_dst) = Default::default();
    Balance { policy, least_request, slow_start, original_dst }
}

fn policy(at: At<'_>, any: &Any, common: &mut CommonLb) -> Balance {
    if wire::is::<RoundRobin>(any) {
        let RoundRobin { slow_start_config, locality_lb_config } = wire::unpack(at, any);
        locality(at, locality_lb_config, common);
        let slow_start = balance::slow_start(at, slow_start_config.map(slow));
        return Balance { slow_start, ..of(LbPolicy::RoundRobin) };
    }
    if wire::is::<lb_least_request::LeastRequest>(any) {
        return least_request(at, wire::unpack(at, any), common);
    }
    if wire::is::<Random>(any) {
        let Random { locality_lb_config } = wire::unpack(at, any);
        locality(at, locality_lb_config, common);
        return of(LbPolicy::Random);
    }
    if wire::is::<lb_ring_hash::RingHash>(any) {
        return ring_hash(at, wire::unpack(at, any), common);
    }
    if wire::is::<lb_maglev::Maglev>(any) {
        let lb_maglev::Maglev { table_size, consistent_hashing_lb_config, locality_weighted_lb_config } =
            wire::unpack(at, any);
        hashing(at, consistent_hashing_lb_config, common);
        common.locality_weighted = locality_weighted_lb_config.is_some();
        let maglev: Maglev = balance::maglev(at, old::MaglevLbConfig { table_size });
        return of(LbPolicy::Maglev(maglev));
    }
    if wire::is::<ClusterProvided>(any) {
        let ClusterProvided {} = wire::unpack(at, any);
        return of(LbPolicy::ClusterProvided);
    }
    wire::unknown_type(at, any);
    of(LbPolicy::RoundRobin)
}

fn least_request(at: At<'_>, it: lb_least_request::LeastRequest, common: &mut CommonLb) -> Balance {
    let lb_least_request::LeastRequest {
        choice_count,
        active_request_bias,
        slow_start_config,
        locality_lb_config,
        enable_full_scan,
        selection_method,
    } = it;
    let method: SelectionMethod = wire::enumeration(at.field("selection_method"), selection_method);
    if method != SelectionMethod::NChoices || wire::flag(enable_full_scan, false) {
        at.field("selection_method").refuse("a full scan is not supported");
    }
    locality(at, locality_lb_config, common);
    let it = old::LeastRequestLbConfig {
        choice_count,
        active_request_bias,
        slow_start_config: slow_start_config.map(slow),
    };
    let (least_request, slow_start): (LeastRequest, _) = balance::least_request(at, it);
    Balance { least_request, slow_start, ..of(LbPolicy::LeastRequest) }
}

fn ring_hash(at: At<'_>, it: lb_ring_hash::RingHash, common: &mut CommonLb) -> Balance {
    let lb_ring_hash::RingHash {
        hash_function,
        minimum_ring_size,
        maximum_ring_size,
        use_hostname_for_hashing,
        hash_balance_factor,
        consistent_hashing_lb_config,
        locality_weighted_lb_config,
    } = it;
    // The older place for what `consistent_hashing_lb_config` says.
    let older =
        ConsistentHashingLbConfig { use_hostname_for_hashing, hash_balance_factor, hash_policy: Vec::new() };
    hashing(at, Some(consistent_hashing_lb_config.unwrap_or(older)), common);
    common.locality_weighted = locality_weighted_lb_config.is_some();
    let function = match wire::enumeration(at.field("hash_function"), hash_function) {
        ring_hash::HashFunction::DefaultHash | ring_hash::HashFunction::XxHash => HashFunction::XxHash,
        ring_hash::HashFunction::MurmurHash2 => HashFunction::MurmurHash2,
    };
    let it = old::RingHashLbConfig { minimum_ring_size, hash_function: 0, maximum_ring_size };
    of(LbPolicy::RingHash(RingHash { function, ..balance::ring_hash(at, it) }))
}

fn hashing(at: At<'_>, it: Option<ConsistentHashingLbConfig>, common: &mut CommonLb) {
    let ConsistentHashingLbConfig { use_hostname_for_hashing, hash_balance_factor, hash_policy } =
        it.unwrap_or_default();
    let at = at.field("consistent_hashing_lb_config");
    refuse!(at; hash_policy);
    common.use_hostname_for_hashing = use_hostname_for_hashing;
    common.hash_balance_factor = balance::balance_factor(at, hash_balance_factor);
}

fn locality(at: At<'_>, it: Option<LocalityLbConfig>, common: &mut CommonLb) {
    common.locality_weighted = match it.and_then(|it| it.locality_config_specifier) {
        None => false,
        Some(LocalityConfigSpecifier::LocalityWeightedLbConfig(_)) => true,
        Some(LocalityConfigSpecifier::ZoneAwareLbConfig(_)) => {
            at.field("locality_lb_config").unsupported("zone_aware_lb_config");
            false
        }
    };
}

fn slow(it: SlowStartConfig) -> old::SlowStartConfig {
    let SlowStartConfig { slow_start_window, aggression, min_weight_percent } = it;
    old::SlowStartConfig { slow_start_window, aggression, min_weight_percent }
}
