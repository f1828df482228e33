//! Balancing, checking and breaking.

use std::collections::BTreeSet;
use std::time::Duration;

use ir::cluster::{OriginalDst, ProxyProtocol, Thresholds};
use ir::dns::{Dns, DnsFamily};
use ir::hash_policy::{HashBy, HashCookie};
use ir::health_check::{CheckMethod, GrpcCheck, HealthChecker, HttpCheck, TcpCheck};
use ir::lb::{
    CommonLb, HashFunction, LbSubsets, LeastRequest, Maglev, Millionths, RingHash, SelectorFallback,
    SlowStart, SubsetFallback, SubsetSelector,
};
use ir::{HashPolicy, HealthCheck, LbPolicy, OutlierDetection};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;

use super::{cluster, matcher, route, text};

/// What a cluster has of these.
#[derive(Clone, Debug)]
pub struct Parts {
    ring: RingHash,
    maglev: Maglev,
    pub least_request: LeastRequest,
    pub slow_start: Option<SlowStart>,
    pub common: CommonLb,
    pub subsets: Option<LbSubsets>,
    pub outlier: Option<OutlierDetection>,
    pub health_checks: Vec<HealthCheck>,
    pub flags: (bool, bool, u8),
    pub high_thresholds: Option<Thresholds>,
    pub proxy_protocol: Option<ProxyProtocol>,
}

impl Parts {
    /// Balancers that hash in place of some random ones.
    pub fn policy(&self, policy: LbPolicy) -> LbPolicy {
        match (policy, self.flags.2) {
            (LbPolicy::Random, 0) => LbPolicy::RingHash(self.ring),
            (LbPolicy::Random, 1) => LbPolicy::Maglev(self.maglev),
            _ => policy,
        }
    }
}

pub fn any() -> BoxedStrategy<Parts> {
    let lb = (ring(), maglev(), least_request(), option::of(slow_start()), common(), option::of(subsets()));
    let health = (option::of(outlier()), vec(health_check(), 0..2), (any_bool(), any_bool(), 0u8..3));
    (lb, health, option::of(cluster::thresholds()), option::of(proxy_protocol()))
        .prop_map(|(lb, health, high_thresholds, proxy_protocol)| Parts {
            ring: lb.0,
            maglev: lb.1,
            least_request: lb.2,
            slow_start: lb.3,
            common: lb.4,
            subsets: lb.5,
            outlier: health.0,
            health_checks: health.1,
            flags: health.2,
            high_thresholds,
            proxy_protocol,
        })
        .boxed()
}

fn any_bool() -> impl Strategy<Value = bool> {
    proptest::bool::ANY
}

pub fn proxy_protocol() -> impl Strategy<Value = ProxyProtocol> {
    prop_oneof![Just(ProxyProtocol::V1), Just(ProxyProtocol::V2)]
}

fn ring() -> impl Strategy<Value = RingHash> {
    let function = prop_oneof![Just(HashFunction::XxHash), Just(HashFunction::MurmurHash2)];
    (option::of(0u64..=2000), option::of(2000u64..=8 << 20), function)
        .prop_map(|(minimum_size, maximum_size, function)| RingHash { minimum_size, maximum_size, function })
}

fn maglev() -> impl Strategy<Value = Maglev> {
    option::of(prop_oneof![Just(2), Just(251), Just(5_000_011)]).prop_map(|table_size| Maglev { table_size })
}

fn millionths() -> impl Strategy<Value = Millionths> {
    (1u64..1_000_000_000_000).prop_map(Millionths)
}

fn least_request() -> impl Strategy<Value = LeastRequest> {
    (option::of(2..=u32::MAX), option::of(millionths()))
        .prop_map(|(choice_count, active_request_bias)| LeastRequest { choice_count, active_request_bias })
}

fn slow_start() -> impl Strategy<Value = SlowStart> {
    (text::duration(), option::of(millionths()), option::of(matcher::fraction()))
        .prop_map(|(window, aggression, min_weight)| SlowStart { window, aggression, min_weight })
}

fn common() -> impl Strategy<Value = CommonLb> {
    let flags = (any_bool(), any_bool(), any_bool(), any_bool());
    (option::of(matcher::fraction()), flags, option::of(100..=u32::MAX)).prop_map(
        |(healthy_panic_threshold, flags, hash_balance_factor)| CommonLb {
            healthy_panic_threshold,
            locality_weighted: flags.0,
            close_connections_on_host_set_change: flags.1,
            ignore_new_hosts_until_first_hc: flags.2,
            use_hostname_for_hashing: flags.3,
            hash_balance_factor,
        },
    )
}

fn subsets() -> impl Strategy<Value = LbSubsets> {
    let fallback = prop_oneof![
        Just(SubsetFallback::NoFallback),
        Just(SubsetFallback::AnyEndpoint),
        Just(SubsetFallback::DefaultSubset)
    ];
    let flags = (any_bool(), any_bool(), any_bool(), any_bool());
    (vec(selector(), 0..3), fallback, super::json_map(), flags).prop_map(
        |(selectors, fallback, default_subset, flags)| LbSubsets {
            selectors,
            fallback,
            default_subset,
            locality_weight_aware: flags.0,
            scale_locality_weight: flags.1,
            panic_mode_any: flags.2,
            list_as_any: flags.3,
        },
    )
}

fn selector() -> impl Strategy<Value = SubsetSelector> {
    (btree_set(text::name(), 2..4), 0u8..5).prop_map(|(keys, fallback)| {
        let fallback = match fallback {
            0 => None,
            1 => Some(SelectorFallback::NoFallback),
            2 => Some(SelectorFallback::AnyEndpoint),
            3 => Some(SelectorFallback::DefaultSubset),
            _ => Some(SelectorFallback::Keys(keys.iter().take(1).cloned().collect::<BTreeSet<_>>())),
        };
        SubsetSelector { keys, fallback }
    })
}

fn outlier() -> BoxedStrategy<OutlierDetection> {
    let number = || option::of(proptest::num::u32::ANY);
    let percent = || option::of(0u32..=100);
    let time = || option::of((1u64..100_000).prop_map(Duration::from_millis));
    let times = (time(), time(), time(), option::of(text::duration()));
    let percents = proptest::array::uniform9(percent());
    let counts = proptest::array::uniform8(number());
    let flags = (any_bool(), any_bool(), option::of(any_bool()));
    (times, percents, counts, flags, percent())
        .prop_map(|(times, percents, counts, flags, threshold)| OutlierDetection {
            consecutive_5xx: counts[0],
            interval: times.0,
            base_ejection_time: times.1,
            max_ejection_time: times.2,
            max_ejection_time_jitter: times.3,
            max_ejection_percent: percents[0],
            always_eject_one_host: flags.0,
            enforcing_consecutive_5xx: percents[1],
            consecutive_gateway_failure: counts[1],
            enforcing_consecutive_gateway_failure: percents[2],
            split_external_local_origin_errors: flags.1,
            consecutive_local_origin_failure: counts[2],
            enforcing_consecutive_local_origin_failure: percents[3],
            enforcing_success_rate: percents[4],
            enforcing_local_origin_success_rate: percents[5],
            success_rate_minimum_hosts: counts[3],
            success_rate_request_volume: counts[4],
            success_rate_stdev_factor: counts[5],
            failure_percentage_threshold: threshold,
            enforcing_failure_percentage: percents[6],
            enforcing_failure_percentage_local_origin: percents[7],
            failure_percentage_minimum_hosts: counts[6],
            failure_percentage_request_volume: counts[7],
            successful_active_health_check_uneject_host: flags.2,
        })
        .boxed()
}

fn health_check() -> BoxedStrategy<HealthCheck> {
    let needed = || (1u64..100_000).prop_map(Duration::from_millis);
    let time = || option::of(text::duration());
    let times = (needed(), needed(), time(), time());
    let intervals = (time(), time(), time(), time(), time());
    let counts = (0u32..1000, 1u32..9, 1u32..9, option::of(text::port()), any_bool());
    let tls = (vec(text::name(), 0..2), btree_map(text::name(), text::any_text(), 0..2));
    (times, intervals, counts, tls, checker())
        .prop_map(|(times, intervals, counts, tls, checker)| HealthCheck {
            timeout: times.0,
            interval: times.1,
            initial_jitter: times.2,
            interval_jitter: times.3,
            interval_jitter_percent: counts.0,
            unhealthy_threshold: counts.1,
            healthy_threshold: counts.2,
            alt_port: counts.3,
            reuse_connection: counts.4,
            no_traffic_interval: intervals.0,
            no_traffic_healthy_interval: intervals.1,
            unhealthy_interval: intervals.2,
            unhealthy_edge_interval: intervals.3,
            healthy_edge_interval: intervals.4,
            alpn: tls.0,
            transport_criteria: tls.1,
            checker,
        })
        .boxed()
}

fn checker() -> BoxedStrategy<HealthChecker> {
    let bytes = || vec(proptest::num::u8::ANY, 1..4);
    let tcp = (prop_oneof![Just(Vec::new()), bytes()], vec(bytes(), 0..2))
        .prop_map(|(send, receive)| HealthChecker::Tcp(TcpCheck { send, receive }));
    let grpc = (text::maybe_empty(), text::maybe_empty(), vec(route::header_value(), 0..2)).prop_map(
        |(service_name, authority, initial_metadata)| {
            HealthChecker::Grpc(GrpcCheck { service_name, authority, initial_metadata })
        },
    );
    let method = prop_oneof![Just(CheckMethod::Get), Just(CheckMethod::Head), Just(CheckMethod::Post)];
    let statuses = || vec((100u16..400, 1u16..200).prop_map(|(start, length)| (start, start + length)), 0..2);
    let headers = (vec(route::header_value(), 0..2), vec(text::header(), 0..2));
    let rest =
        (any_bool(), vec(bytes(), 0..2), option::of(proptest::num::u64::ANY), option::of(matcher::string()));
    let http = (text::maybe_empty(), text::path(), method, headers, statuses(), statuses(), rest).prop_map(
        |(host, path, method, headers, expected_statuses, retriable_statuses, rest)| {
            HealthChecker::Http(HttpCheck {
                host,
                path,
                method,
                headers: headers.0,
                remove_headers: headers.1,
                expected_statuses,
                retriable_statuses,
                http2: rest.0,
                receive: rest.1,
                response_buffer_size: rest.2,
                service_name: rest.3,
            })
        },
    );
    prop_oneof![2 => http, 1 => tcp, 1 => grpc].boxed()
}

pub fn names() -> BoxedStrategy<(Dns, OriginalDst)> {
    let family = prop_oneof![
        Just(DnsFamily::Auto),
        Just(DnsFamily::V4Only),
        Just(DnsFamily::V6Only),
        Just(DnsFamily::V4Preferred),
        Just(DnsFamily::All),
    ];
    let time = || (2u64..10_000).prop_map(Duration::from_millis);
    let failure = (time(), option::of(time())).prop_map(|(base, more)| (base, more.map(|more| base + more)));
    let times = (option::of(time()), option::of(text::duration()), option::of(failure));
    let dns = (times, any_bool(), family, vec(text::socket(), 0..2), any_bool()).prop_map(
        |((refresh_rate, jitter, failure_refresh), respect_ttl, family, resolvers, use_tcp)| Dns {
            refresh_rate,
            jitter,
            failure_refresh,
            respect_ttl,
            family,
            resolvers,
            use_tcp,
        },
    );
    let original = (option::of(text::header()), option::of(text::port()))
        .prop_map(|(header, port_override)| OriginalDst { header, port_override });
    (dns, original).boxed()
}

pub fn hash_policy() -> BoxedStrategy<HashPolicy> {
    let attribute = (text::name(), text::maybe_empty());
    let cookie = (text::name(), option::of(text::duration()), text::maybe_empty(), vec(attribute, 0..2))
        .prop_map(|(name, ttl, path, attributes)| HashBy::Cookie(HashCookie { name, ttl, path, attributes }));
    let by = prop_oneof![
        text::header().prop_map(HashBy::Header),
        cookie,
        Just(HashBy::SourceIp),
        text::name().prop_map(HashBy::QueryParameter),
    ];
    (by, any_bool()).prop_map(|(by, terminal)| HashPolicy { by, terminal }).boxed()
}
