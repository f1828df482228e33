//! How a cluster's endpoints are chosen.

use ir::LbPolicy;
use ir::lb::{CommonLb, HashFunction, LeastRequest, Maglev, RingHash, SlowStart};

use super::at::At;
use super::strict::{harmless, refuse};
use super::{number, wire};
use crate::pb::cluster as pb;
use crate::pb::cluster::cluster::common_lb_config::{ConsistentHashingLbConfig, LocalityConfigSpecifier};
use crate::pb::cluster::cluster::{
    CommonLbConfig, LbConfig, LeastRequestLbConfig, MaglevLbConfig, OriginalDstLbConfig, RingHashLbConfig,
    RoundRobinLbConfig, SlowStartConfig, ring_hash_lb_config,
};
use crate::pb::google;

/// Envoy's bounds.
const MAX_RING: u64 = 8 << 20;
const MAX_MAGLEV: u64 = 5_000_011;

/// What `lb_policy` and the settings beside it say.
pub(super) struct Balance {
    pub policy: LbPolicy,
    pub least_request: LeastRequest,
    pub slow_start: Option<SlowStart>,
    pub original_dst: ir::cluster::OriginalDst,
}

pub(super) fn balance(at: At<'_>, policy: i32, config: Option<LbConfig>) -> Balance {
    let mut found = Balance {
        policy: lb_policy(at.field("lb_policy"), policy),
        least_request: LeastRequest::default(),
        slow_start: None,
        original_dst: ir::cluster::OriginalDst::default(),
    };
    match (config, found.policy) {
        (None, _) => {}
        (Some(LbConfig::LeastRequestLbConfig(it)), LbPolicy::LeastRequest) => {
            (found.least_request, found.slow_start) = least_request(at.field("least_request_lb_config"), it);
        }
        (Some(LbConfig::RoundRobinLbConfig(it)), LbPolicy::RoundRobin) => {
            let RoundRobinLbConfig { slow_start_config } = it;
            found.slow_start = slow_start(at.field("round_robin_lb_config"), slow_start_config);
        }
        (Some(LbConfig::OriginalDstLbConfig(it)), LbPolicy::ClusterProvided) => {
            found.original_dst = original_dst(at.field("original_dst_lb_config"), it);
        }
        (Some(LbConfig::RingHashLbConfig(it)), LbPolicy::RingHash(_)) => {
            found.policy = LbPolicy::RingHash(ring_hash(at.field("ring_hash_lb_config"), it));
        }
        (Some(LbConfig::MaglevLbConfig(it)), LbPolicy::Maglev(_)) => {
            found.policy = LbPolicy::Maglev(maglev(at.field("maglev_lb_config"), it));
        }
        (Some(_), _) => at.field("lb_config").refuse("is that of another lb_policy"),
    }
    found
}

fn lb_policy(at: At<'_>, it: i32) -> LbPolicy {
    match wire::enumeration(at, it) {
        pb::cluster::LbPolicy::RoundRobin => LbPolicy::RoundRobin,
        pb::cluster::LbPolicy::LeastRequest => LbPolicy::LeastRequest,
        pb::cluster::LbPolicy::Random => LbPolicy::Random,
        pb::cluster::LbPolicy::RingHash => LbPolicy::RingHash(RingHash::default()),
        pb::cluster::LbPolicy::Maglev => LbPolicy::Maglev(Maglev::default()),
        pb::cluster::LbPolicy::ClusterProvided => LbPolicy::ClusterProvided,
        other @ pb::cluster::LbPolicy::LoadBalancingPolicyConfig => {
            at.refuse(format!("{} is not supported", other.as_str_name()));
            LbPolicy::RoundRobin
        }
    }
}

pub(super) fn least_request(at: At<'_>, it: LeastRequestLbConfig) -> (LeastRequest, Option<SlowStart>) {
    let LeastRequestLbConfig { choice_count, active_request_bias, slow_start_config } = it;
    let choice_count = wire::optional_number(choice_count);
    if choice_count.is_some_and(|count| count < 2) {
        at.field("choice_count").refuse("must be at least 2");
    }
    let active_request_bias =
        active_request_bias.map(|it| number::runtime_double(at.field("active_request_bias"), it));
    (LeastRequest { choice_count, active_request_bias }, slow_start(at, slow_start_config))
}

pub(super) fn slow_start(at: At<'_>, it: Option<SlowStartConfig>) -> Option<SlowStart> {
    let SlowStartConfig { slow_start_window, aggression, min_weight_percent } = it?;
    let at = at.field("slow_start_config");
    let window = wire::optional_duration(at.field("slow_start_window"), slow_start_window)?;
    let aggression = aggression.map(|it| number::runtime_double(at.field("aggression"), it));
    if aggression.is_some_and(|it| it.0 == 0) {
        at.field("aggression").refuse("must be more than 0");
    }
    Some(SlowStart {
        window,
        aggression,
        min_weight: number::percent(at.field("min_weight_percent"), min_weight_percent),
    })
}

pub(super) fn ring_hash(at: At<'_>, it: RingHashLbConfig) -> RingHash {
    let RingHashLbConfig { minimum_ring_size, hash_function, maximum_ring_size } = it;
    let minimum_size = minimum_ring_size.map(|it| it.value);
    let maximum_size = maximum_ring_size.map(|it| it.value);
    for (name, size) in [("minimum_ring_size", minimum_size), ("maximum_ring_size", maximum_size)] {
        if size.is_some_and(|size| size > MAX_RING) {
            at.field(name).refuse(format!("must be at most {MAX_RING}"));
        }
    }
    if minimum_size.unwrap_or(1024) > maximum_size.unwrap_or(MAX_RING) {
        at.field("minimum_ring_size").refuse("is more than maximum_ring_size");
    }
    let function = match wire::enumeration(at.field("hash_function"), hash_function) {
        ring_hash_lb_config::HashFunction::XxHash => HashFunction::XxHash,
        ring_hash_lb_config::HashFunction::MurmurHash2 => HashFunction::MurmurHash2,
    };
    RingHash { minimum_size, maximum_size, function }
}

pub(super) fn maglev(at: At<'_>, it: MaglevLbConfig) -> Maglev {
    let MaglevLbConfig { table_size } = it;
    let table_size = table_size.map(|it| it.value);
    if table_size.is_some_and(|size| size > MAX_MAGLEV || !is_prime(size)) {
        at.field("table_size").refuse(format!("must be a prime number up to {MAX_MAGLEV}"));
    }
    Maglev { table_size }
}

/// For numbers up to [`MAX_MAGLEV`].
fn is_prime(n: u64) -> bool {
    n >= 2 && (2..n).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d))
}

fn original_dst(at: At<'_>, it: OriginalDstLbConfig) -> ir::cluster::OriginalDst {
    let OriginalDstLbConfig { use_http_header, http_header_name, upstream_port_override, metadata_key } = it;
    refuse!(at; metadata_key);
    let header = wire::optional_text(http_header_name).map(|name| wire::lower(name.to_string()));
    if header.is_some() && !use_http_header {
        at.field("http_header_name").refuse("has no effect without use_http_header");
    }
    let port = wire::optional_number(upstream_port_override);
    ir::cluster::OriginalDst {
        header: use_http_header.then(|| header.unwrap_or_else(|| "x-envoy-original-dst-host".into())),
        port_override: port.map(|port| wire::port(at.field("upstream_port_override"), port)),
    }
}

pub(super) fn common_lb_config(at: At<'_>, it: CommonLbConfig) -> CommonLb {
    let CommonLbConfig {
        healthy_panic_threshold,
        update_merge_window,
        ignore_new_hosts_until_first_hc,
        close_connections_on_host_set_change,
        consistent_hashing_lb_config,
        override_host_status,
        locality_config_specifier,
    } = it;
    refuse!(at; override_host_status);
    harmless!(Tuning; update_merge_window);
    let locality_weighted = match locality_config_specifier {
        None => false,
        Some(LocalityConfigSpecifier::LocalityWeightedLbConfig(_)) => true,
        Some(LocalityConfigSpecifier::ZoneAwareLbConfig(_)) => {
            at.unsupported("zone_aware_lb_config");
            false
        }
    };
    let ConsistentHashingLbConfig { use_hostname_for_hashing, hash_balance_factor } =
        consistent_hashing_lb_config.unwrap_or_default();
    let hash_balance_factor = balance_factor(at.field("consistent_hashing_lb_config"), hash_balance_factor);
    CommonLb {
        healthy_panic_threshold: number::percent(
            at.field("healthy_panic_threshold"),
            healthy_panic_threshold,
        ),
        locality_weighted,
        close_connections_on_host_set_change,
        ignore_new_hosts_until_first_hc,
        use_hostname_for_hashing,
        hash_balance_factor,
    }
}

pub(super) fn balance_factor(at: At<'_>, it: Option<google::UInt32Value>) -> Option<u32> {
    let factor = wire::optional_number(it);
    if factor.is_some_and(|factor| factor < 100) {
        at.field("hash_balance_factor").refuse("must be at least 100");
    }
    factor
}
