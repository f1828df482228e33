//! Clusters of a sidecar, and of every other kind.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ir::cluster::{ServiceRef, TcpKeepalive, Thresholds, TransportMatch};
use ir::dns_cache::ForwardProxy;
use ir::endpoint::WorkloadRef;
use ir::tls::{CommonTls, SanKind, SanMatcher};
use ir::*;
use model::Locality;

use super::sidecar::{common_tls, origin, socket};

const MARK: u32 = 0x539;

fn mutual_upstream() -> UpstreamTls {
    let identity = StringMatcher::exact("spiffe://cluster.local/ns/shop/sa/ratings");
    let sans = vec![SanMatcher { kind: SanKind::Uri, matcher: identity }];
    UpstreamTls {
        common: CommonTls { min_version: None, max_version: None, ..common_tls(sans) },
        sni: Some("outbound_.9080_._.ratings.shop.svc.cluster.local".into()),
    }
}

pub fn clusters() -> Vec<Cluster> {
    let agent = endpoints("sds-grpc", vec![Endpoint::new(Address::Pipe("./var/run/sds".into()))]);
    let control = Address::Name { host: "istiod.istio-system.svc".into(), port: 15012 };
    let ClusterDiscovery::Static(control) = endpoints("xds-grpc", vec![Endpoint::new(control)]) else {
        panic!()
    };
    let xds = ClusterDiscovery::StrictDns(control);
    vec![
        Cluster { protocol: HttpProtocol::Http2, ..Cluster::new("sds-grpc", agent) },
        Cluster {
            protocol: HttpProtocol::Http2,
            connect_timeout: Some(Duration::from_secs(1)),
            tls: Some(UpstreamTls { common: common_tls(Vec::new()), sni: Some("istiod".into()) }),
            tcp_keepalive: Some(TcpKeepalive { time: Some(300), ..Default::default() }),
            thresholds: Thresholds::UNLIMITED,
            ..Cluster::new("xds-grpc", xds)
        },
        Cluster {
            lb_policy: LbPolicy::ClusterProvided,
            protocol: HttpProtocol::UseDownstream,
            bind_source: Some([127, 0, 0, 6].into()),
            socket_mark: Some(MARK),
            ..Cluster::new("inbound|9080||", ClusterDiscovery::OriginalDst)
        },
        Cluster {
            lb_policy: LbPolicy::ClusterProvided,
            socket_mark: Some(MARK),
            ..Cluster::new("PassthroughCluster", ClusterDiscovery::OriginalDst)
        },
        Cluster::new("BlackHoleCluster", endpoints("BlackHoleCluster", Vec::new())),
    ]
}

fn endpoints(name: &str, endpoints: Vec<Endpoint>) -> ClusterDiscovery {
    let locality = Locality::parse("region/zone");
    let one = LocalityEndpoints { locality, weight: Some(3), priority: 0, endpoints };
    ClusterDiscovery::Static(LoadAssignment {
        cluster_name: name.into(),
        localities: vec![one],
        ..Default::default()
    })
}

pub fn all_clusters() -> Vec<Cluster> {
    let criteria = BTreeMap::from([("tlsMode".into(), "istio".into())]);
    let transport =
        |name: &str, criteria, tls| TransportMatch { name: name.into(), criteria, tls, proxy_protocol: None };
    let healths = [Health::Unknown, Health::Healthy, Health::Unhealthy, Health::Draining, Health::Degraded];
    let fixed = healths.map(|health| Endpoint {
        health,
        weight: Some(2),
        transport_metadata: criteria.clone(),
        workload: Some(Arc::new(WorkloadRef {
            name: "w".into(),
            namespace: "n".into(),
            ..Default::default()
        })),
        ..Endpoint::new(socket("[::1]:80"))
    });
    let service = Arc::new(ServiceRef {
        host: "a.b.svc.cluster.local".into(),
        name: "a".into(),
        namespace: "b".into(),
    });
    let eds = |name: Option<&str>| ClusterDiscovery::Eds {
        service_name: name.map(Into::into),
        source: Default::default(),
    };
    let more = [
        Cluster {
            alt_stat_name: Some("outbound|9080||ratings;".into()),
            lb_policy: LbPolicy::LeastRequest,
            transport_matches: vec![
                transport("tlsMode-istio", criteria.clone(), Some(mutual_upstream())),
                transport("tlsMode-disabled", BTreeMap::new(), None),
            ],
            thresholds: Thresholds::UNLIMITED,
            max_requests_per_connection: Some(10),
            idle_timeout: Some(Duration::from_secs(30)),
            services: vec![service],
            origin: origin(),
            ..Cluster::new("outbound|9080||ratings", eds(None))
        },
        Cluster {
            lb_policy: LbPolicy::Random,
            tls: Some(mutual_upstream()),
            protocol: HttpProtocol::Auto,
            bind_source: Some("::6".parse().unwrap()),
            ..Cluster::new("auto", eds(Some("other")))
        },
        Cluster::new("fixed", endpoints("fixed", fixed.to_vec())),
        Cluster {
            lb_policy: LbPolicy::ClusterProvided,
            protocol: HttpProtocol::Http2,
            ..Cluster::new(
                "dynamic",
                ClusterDiscovery::DynamicForwardProxy(Box::new(ForwardProxy {
                    cache: super::filters::cache(),
                    allow_insecure_cluster_options: true,
                })),
            )
        },
    ];
    clusters().into_iter().chain(more).collect()
}
