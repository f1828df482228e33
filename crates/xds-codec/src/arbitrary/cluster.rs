//! Clusters and endpoints.

use ir::cluster::{
    OriginalDst, RetryBudget, ServiceRef, TcpKeepalive, Thresholds, TlsFromRequest, TransportMatch,
};
use ir::endpoint::{EndpointHealthCheck, WorkloadRef};
use ir::http::Http2Options;
use ir::{
    Address, Cluster, ClusterDiscovery, Dns, Endpoint, Health, HttpProtocol, LbPolicy, LoadAssignment,
    LocalityEndpoints,
};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use std::sync::Arc;

use super::{balance, dns_cache, http2, matcher, text, tls};

/// Any cluster.
pub fn cluster() -> BoxedStrategy<Cluster> {
    let names = (text::name(), option::of(text::name()), text::origin(), vec(service(), 0..3));
    let transport = (option::of(tls::upstream()), vec(transport_match(), 0..3), option::of(from_request()));
    let socket = (option::of(text::ip()), option::of(any::<u32>()), option::of(keepalive()));
    let limits = (
        option::of(text::duration()),
        thresholds(),
        option::of(any::<u32>()),
        option::of(text::duration()),
        protocol(),
    );
    let more = (
        option::of(1..=u32::MAX),
        option::of(1..=8192u32),
        option::of(text::duration()),
        balance::any(),
        balance::names(),
        any::<bool>(),
    );
    (names, discovery(), transport, socket, limits, more)
        .prop_map(|(names, (discovery, lb_policy), transport, socket, limits, more)| {
            let (tls, transport_matches, tls_from_request) = transport;
            let (name, alt_stat_name, origin, services) = names;
            let (bind_source, socket_mark, tcp_keepalive) = socket;
            let (connect_timeout, thresholds, max_requests_per_connection, idle_timeout, protocol) = limits;
            let (protocol, http2) = protocol;
            let lb = more.3;
            let (dns, original_dst) = discovered(&discovery, more.4);
            let lb_policy = lb.policy(lb_policy);
            let has_slow_start = matches!(lb_policy, LbPolicy::RoundRobin | LbPolicy::LeastRequest);
            let mut cluster = Cluster {
                name,
                alt_stat_name,
                discovery,
                connect_timeout,
                lb_policy,
                least_request: if lb_policy == LbPolicy::LeastRequest {
                    lb.least_request
                } else {
                    Default::default()
                },
                slow_start: lb.slow_start.filter(|_| has_slow_start),
                common_lb: lb.common,
                subsets: lb.subsets.map(Box::new),
                outlier: lb.outlier.map(Box::new),
                health_checks: lb.health_checks,
                ignore_health_on_host_removal: lb.flags.0,
                close_connections_on_health_failure: lb.flags.1,
                dns,
                original_dst,
                proxy_protocol: lb.proxy_protocol,
                high_thresholds: lb.high_thresholds,
                protocol,
                tls,
                transport_matches,
                tls_from_request: None,
                thresholds,
                bind_source,
                socket_mark,
                tcp_keepalive,
                max_requests_per_connection,
                preserve_header_case: more.5 && protocol != HttpProtocol::Http2,
                max_headers_count: more.0,
                max_response_headers_kb: more.1,
                max_connection_duration: more.2,
                idle_timeout,
                http2,
                services,
                origin,
            };
            let judged = cluster.judges_certificates();
            cluster.tls_from_request =
                tls_from_request.filter(|it| judged || !it.san_validation).map(Box::new);
            let both = cluster.tls_from_request.as_ref().is_some_and(|it| it.sni && it.san_validation);
            if let ClusterDiscovery::DynamicForwardProxy(proxy) = &mut cluster.discovery {
                proxy.allow_insecure_cluster_options |= !both;
            }
            cluster
        })
        .boxed()
}

fn from_request() -> impl Strategy<Value = TlsFromRequest> {
    let which = prop_oneof![Just((true, false)), Just((false, true)), Just((true, true))];
    (which, option::of(text::header())).prop_map(|((sni, san_validation), header)| TlsFromRequest {
        sni,
        san_validation,
        header,
    })
}

fn discovery() -> impl Strategy<Value = (ClusterDiscovery, LbPolicy)> {
    let policy =
        || prop_oneof![Just(LbPolicy::RoundRobin), Just(LbPolicy::LeastRequest), Just(LbPolicy::Random)];
    let socket = || text::socket().prop_map(Address::Socket).boxed();
    let named = || (text::name(), any::<u16>()).prop_map(|(host, port)| Address::Name { host, port });
    let anywhere = || prop_oneof![socket(), named()].boxed();
    let fixed = prop_oneof![3 => socket(), 1 => text::path().prop_map(Address::Pipe)].boxed();
    prop_oneof![
        2 => (given(fixed), policy()).prop_map(|(it, policy)| (ClusterDiscovery::Static(it), policy)),
        1 => (given(anywhere()), policy()).prop_map(|(it, policy)| (ClusterDiscovery::StrictDns(it), policy)),
        1 => (text::name(), locality_endpoints(named().boxed()), endpoint(anywhere()), policy()).prop_map(
            |(cluster_name, one, endpoint, policy)| {
                let localities = vec![LocalityEndpoints { endpoints: vec![endpoint], ..one }];
                let it = LoadAssignment { cluster_name, localities, overprovisioning_factor: None };
                (ClusterDiscovery::LogicalDns(it), policy)
            }
        ),
        2 => ((option::of(text::name()), super::config_source())
            .prop_map(|(service_name, source)| ClusterDiscovery::Eds { service_name, source }), policy()),
        1 => (Just(ClusterDiscovery::OriginalDst), Just(LbPolicy::ClusterProvided)),
        1 => dns_cache::cluster().prop_map(|it| {
            (ClusterDiscovery::DynamicForwardProxy(Box::new(it)), LbPolicy::ClusterProvided)
        }),
    ]
}

fn given(address: BoxedStrategy<Address>) -> impl Strategy<Value = LoadAssignment> {
    (text::name(), vec(locality_endpoints(address), 0..3), option::of(100..=u32::MAX)).prop_map(
        |(cluster_name, localities, overprovisioning_factor)| LoadAssignment {
            cluster_name,
            localities,
            overprovisioning_factor,
        },
    )
}

/// What has a meaning for clusters that are discovered so.
fn discovered(discovery: &ClusterDiscovery, all: (Dns, OriginalDst)) -> (Dns, OriginalDst) {
    match discovery {
        ClusterDiscovery::StrictDns(_) | ClusterDiscovery::LogicalDns(_) => (all.0, OriginalDst::default()),
        ClusterDiscovery::OriginalDst => (Dns::default(), all.1),
        ClusterDiscovery::Static(_)
        | ClusterDiscovery::Eds { .. }
        | ClusterDiscovery::DynamicForwardProxy(_) => Default::default(),
    }
}

fn protocol() -> impl Strategy<Value = (HttpProtocol, Http2Options)> {
    let two =
        prop_oneof![Just(HttpProtocol::Http2), Just(HttpProtocol::UseDownstream), Just(HttpProtocol::Auto)];
    prop_oneof![
        1 => Just((HttpProtocol::Http1, Http2Options::default())),
        3 => (two, http2::options()),
    ]
}

fn service() -> impl Strategy<Value = Arc<ServiceRef>> {
    (text::maybe_empty(), text::maybe_empty(), text::maybe_empty())
        .prop_map(|(host, name, namespace)| Arc::new(ServiceRef { host, name, namespace }))
}

fn transport_match() -> BoxedStrategy<TransportMatch> {
    (
        text::name(),
        btree_map(text::name(), text::any_text(), 0..2),
        option::of(tls::upstream()),
        option::of(balance::proxy_protocol()),
    )
        .prop_map(|(name, criteria, tls, proxy_protocol)| TransportMatch {
            name,
            criteria,
            tls,
            proxy_protocol,
        })
        .boxed()
}

pub(super) fn thresholds() -> impl Strategy<Value = Thresholds> {
    let limit = || option::of(any::<u32>());
    let budget = (option::of(matcher::fraction()), option::of(text::duration()), limit()).prop_map(
        |(budget, interval, min_retry_concurrency)| RetryBudget { budget, interval, min_retry_concurrency },
    );
    (limit(), limit(), limit(), limit(), option::of(budget), any::<bool>()).prop_map(
        |(
            max_connections,
            max_pending_requests,
            max_requests,
            max_retries,
            retry_budget,
            track_remaining,
        )| Thresholds {
            max_connections,
            max_pending_requests,
            max_requests,
            max_retries,
            retry_budget,
            track_remaining,
        },
    )
}

fn keepalive() -> impl Strategy<Value = TcpKeepalive> {
    let number = || option::of(any::<u32>());
    (number(), number(), number()).prop_map(|(probes, time, interval)| TcpKeepalive {
        probes,
        time,
        interval,
    })
}

/// Any endpoints of a cluster.
pub fn load_assignment() -> BoxedStrategy<LoadAssignment> {
    given(address().boxed()).boxed()
}

fn locality_endpoints(address: BoxedStrategy<Address>) -> impl Strategy<Value = LocalityEndpoints> {
    (text::locality(), weight(), 0u32..=128, vec(endpoint(address), 0..3)).prop_map(
        |(locality, weight, priority, endpoints)| LocalityEndpoints { locality, weight, priority, endpoints },
    )
}

fn weight() -> impl Strategy<Value = Option<u32>> {
    option::of(1..=u32::MAX)
}

fn endpoint(address: BoxedStrategy<Address>) -> BoxedStrategy<Endpoint> {
    let health = prop_oneof![
        Just(Health::Unknown),
        Just(Health::Healthy),
        Just(Health::Unhealthy),
        Just(Health::Draining),
        Just(Health::Degraded),
    ];
    let metadata = btree_map(text::name(), text::any_text(), 0..2);
    let check = (option::of(text::port()), text::maybe_empty(), option::of(self::address()), any::<bool>())
        .prop_map(|(port, hostname, address, disabled)| EndpointHealthCheck {
            port,
            hostname,
            address,
            disabled,
        })
        .prop_filter("means nothing", |it| *it != EndpointHealthCheck::default());
    let lb = (text::maybe_empty(), option::of(check.prop_map(Box::new)), super::json_map());
    (address, weight(), health, metadata, option::of(workload()), lb)
        .prop_map(
            |(
                address,
                weight,
                health,
                transport_metadata,
                workload,
                (hostname, health_check, lb_metadata),
            )| Endpoint {
                hostname,
                health_check,
                lb_metadata,
                address,
                weight,
                health,
                transport_metadata,
                workload,
            },
        )
        .boxed()
}

fn workload() -> impl Strategy<Value = Arc<WorkloadRef>> {
    let part = text::maybe_empty;
    (part(), part(), part(), part(), part()).prop_map(
        |(name, namespace, canonical_name, canonical_revision, cluster)| {
            Arc::new(WorkloadRef { name, namespace, canonical_name, canonical_revision, cluster })
        },
    )
}

/// Any address.
pub fn address() -> impl Strategy<Value = Address> {
    prop_oneof![
        4 => text::socket().prop_map(Address::Socket),
        1 => (text::name(), any::<u16>()).prop_map(|(host, port)| Address::Name { host, port }),
        1 => text::path().prop_map(Address::Pipe),
    ]
}
