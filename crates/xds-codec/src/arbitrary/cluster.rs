//! Clusters and endpoints.

use ir::cluster::{ServiceRef, TcpKeepalive, Thresholds, TransportMatch};
use ir::endpoint::WorkloadRef;
use ir::http::Http2Options;
use ir::{
    Address, Cluster, ClusterDiscovery, Endpoint, Health, HttpProtocol, LbPolicy, LoadAssignment,
    LocalityEndpoints,
};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

use super::{http2, text, tls};

/// Any cluster.
pub fn cluster() -> BoxedStrategy<Cluster> {
    let names = (text::name(), option::of(text::name()), text::origin(), vec(service(), 0..3));
    let transport = (option::of(tls::upstream()), vec(transport_match(), 0..3));
    let socket = (option::of(text::ip()), option::of(any::<u32>()), option::of(keepalive()));
    let limits = (
        option::of(text::duration()),
        thresholds(),
        option::of(any::<u32>()),
        option::of(text::duration()),
        protocol(),
    );
    let more = (option::of(1..=u32::MAX), option::of(1..=8192u32), option::of(text::duration()));
    (names, discovery(), transport, socket, limits, more)
        .prop_map(|(names, (discovery, lb_policy), (tls, transport_matches), socket, limits, more)| {
            let (name, alt_stat_name, origin, services) = names;
            let (bind_source, socket_mark, tcp_keepalive) = socket;
            let (connect_timeout, thresholds, max_requests_per_connection, idle_timeout, protocol) = limits;
            let (protocol, http2) = protocol;
            Cluster {
                name,
                alt_stat_name,
                discovery,
                connect_timeout,
                lb_policy,
                protocol,
                tls,
                transport_matches,
                thresholds,
                bind_source,
                socket_mark,
                tcp_keepalive,
                max_requests_per_connection,
                max_headers_count: more.0,
                max_response_headers_kb: more.1,
                max_connection_duration: more.2,
                idle_timeout,
                http2,
                services,
                origin,
            }
        })
        .boxed()
}

fn discovery() -> impl Strategy<Value = (ClusterDiscovery, LbPolicy)> {
    let policy =
        || prop_oneof![Just(LbPolicy::RoundRobin), Just(LbPolicy::LeastRequest), Just(LbPolicy::Random)];
    prop_oneof![
        (load_assignment().prop_map(ClusterDiscovery::Static), policy()),
        (option::of(text::name()).prop_map(|service_name| ClusterDiscovery::Eds { service_name }), policy()),
        (Just(ClusterDiscovery::OriginalDst), Just(LbPolicy::ClusterProvided)),
    ]
}

fn protocol() -> impl Strategy<Value = (HttpProtocol, Http2Options)> {
    let two =
        prop_oneof![Just(HttpProtocol::Http2), Just(HttpProtocol::UseDownstream), Just(HttpProtocol::Auto)];
    prop_oneof![
        1 => Just((HttpProtocol::Http1, Http2Options::default())),
        3 => (two, http2::options()),
    ]
}

fn service() -> impl Strategy<Value = ServiceRef> {
    (text::maybe_empty(), text::maybe_empty(), text::maybe_empty())
        .prop_map(|(host, name, namespace)| ServiceRef { host, name, namespace })
}

fn transport_match() -> BoxedStrategy<TransportMatch> {
    (text::name(), btree_map(text::name(), text::any_text(), 0..2), option::of(tls::upstream()))
        .prop_map(|(name, criteria, tls)| TransportMatch { name, criteria, tls })
        .boxed()
}

fn thresholds() -> impl Strategy<Value = Thresholds> {
    let limit = || option::of(any::<u32>());
    (limit(), limit(), limit(), limit()).prop_map(
        |(max_connections, max_pending_requests, max_requests, max_retries)| Thresholds {
            max_connections,
            max_pending_requests,
            max_requests,
            max_retries,
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
    (text::name(), vec(locality_endpoints(), 0..3))
        .prop_map(|(cluster_name, localities)| LoadAssignment { cluster_name, localities })
        .boxed()
}

fn locality_endpoints() -> impl Strategy<Value = LocalityEndpoints> {
    (text::locality(), weight(), 0u32..=128, vec(endpoint(), 0..3)).prop_map(
        |(locality, weight, priority, endpoints)| LocalityEndpoints { locality, weight, priority, endpoints },
    )
}

fn weight() -> impl Strategy<Value = Option<u32>> {
    option::of(1..=u32::MAX)
}

fn endpoint() -> BoxedStrategy<Endpoint> {
    let health = prop_oneof![
        Just(Health::Unknown),
        Just(Health::Healthy),
        Just(Health::Unhealthy),
        Just(Health::Draining),
        Just(Health::Degraded),
    ];
    let metadata = btree_map(text::name(), text::any_text(), 0..2);
    (address(), weight(), health, metadata, option::of(workload()))
        .prop_map(|(address, weight, health, transport_metadata, workload)| Endpoint {
            address,
            weight,
            health,
            transport_metadata,
            workload,
        })
        .boxed()
}

fn workload() -> impl Strategy<Value = WorkloadRef> {
    let part = text::maybe_empty;
    (part(), part(), part(), part(), part()).prop_map(
        |(name, namespace, canonical_name, canonical_revision, cluster)| WorkloadRef {
            name,
            namespace,
            canonical_name,
            canonical_revision,
            cluster,
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
