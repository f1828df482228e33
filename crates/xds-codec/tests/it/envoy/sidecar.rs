//! Configurations of the kind that Lateen's control plane makes for a stock Envoy.

use std::collections::BTreeMap;
use std::time::Duration;

use ir::access_log::AccessLogFilter;
use ir::bootstrap::{AdsConfig, Bootstrap, BootstrapNode, Json};
use ir::http::{
    ClientCertDetails, EscapedSlashes, ForwardClientCert, Http2Keepalive, Http2Options, RouteSource,
};
use ir::listener::{ListenerFilter, SourceType, TransportProtocol};
use ir::matcher::HeaderMatch;
use ir::rbac::{Permission, Policy, Principal, RbacAction};
use ir::tcp::TcpClusters;
use ir::tls::{
    CertificateSource, CommonTls, RootsSource, SanMatcher, SdsRef, SdsVia, TlsVersion, Validation,
};
use ir::*;
use model::{Locality, ObjectRef};

use super::clusters::clusters;
use super::routes::{route, route_config};

pub fn bootstrap() -> Bootstrap {
    let list = Json::List(vec![Json::Null, Json::Number("1.5".into()), Json::Bool(true)]);
    Bootstrap {
        node: BootstrapNode {
            id: "sidecar~10.0.0.1~reviews-v1.shop~shop.svc.cluster.local".into(),
            cluster: "reviews.shop".into(),
            locality: Locality::parse("r/z/s"),
            metadata: BTreeMap::from([("NAME".into(), Json::Text("reviews".into())), ("LIST".into(), list)]),
        },
        admin: Some(socket("127.0.0.1:0")),
        listeners: vec![outbound(), bound_elsewhere(), inbound()],
        clusters: clusters(),
        secrets: Vec::new(),
        ads: Some(AdsConfig {
            cluster: "xds-grpc".into(),
            delta: true,
            metadata: vec![("a".into(), "b".into())],
        }),
        lds: Some(ConfigSource::Ads),
        cds: Some(ConfigSource::Ads),
        overload: Some(overload()),
    }
}

fn overload() -> Overload {
    let rule = |action| OverloadRule { action, threshold: 950_000 };
    Overload {
        refresh_interval: Some(Duration::from_millis(250)),
        max_heap_bytes: Some(1 << 34),
        max_connections: Some(50_000),
        actions: OverloadAction::ALL.into_iter().map(rule).collect(),
    }
}

pub fn socket(text: &str) -> Address {
    Address::Socket(text.parse().unwrap())
}

pub fn origin() -> Option<Origin> {
    Some(Origin { object: ObjectRef::new("VirtualService", "shop", "reviews"), field: "spec.http[0]".into() })
}

fn sds(name: &str) -> SdsRef {
    SdsRef { name: name.into(), via: SdsVia::Cluster("sds-grpc".into()) }
}

pub fn common_tls(match_sans: Vec<SanMatcher>) -> CommonTls {
    CommonTls {
        certificate: Some(CertificateSource::Sds(sds("default"))),
        validation: Some(Validation::new(RootsSource::Sds(sds("ROOTCA")), match_sans)),
        alpn: vec!["istio-peer-exchange".into(), "istio".into()],
        min_version: Some(TlsVersion::V1_2),
        max_version: Some(TlsVersion::V1_3),
        ..CommonTls::default()
    }
}

fn rbac() -> Rbac {
    let policy = Policy {
        permissions: vec![
            Permission::And(vec![
                Permission::Or(vec![
                    Permission::UrlPath(StringMatcher::prefix("/api")),
                    Permission::Header(header(":method", HeaderMatch::Value(StringMatcher::exact("GET")))),
                ]),
                Permission::Not(Box::new(Permission::DestinationPort(9080))),
                Permission::DestinationPortRange { start: 1, end: 65_536 },
                Permission::DestinationIp(Cidr::parse("10.0.0.0/8").unwrap()),
                Permission::RequestedServerName(StringMatcher::suffix(".local")),
            ]),
            Permission::Any,
        ],
        principals: vec![
            Principal::And(vec![
                Principal::Authenticated(Some(StringMatcher::regex(".*/ns/shop/.*"))),
                Principal::Not(Box::new(Principal::DirectRemoteIp(Cidr::parse("::1").unwrap()))),
                Principal::RemoteIp(Cidr::parse("0.0.0.0/0").unwrap()),
                Principal::Header(header("x", HeaderMatch::Present(true))),
                Principal::UrlPath(StringMatcher::exact("/")),
            ]),
            Principal::Or(vec![Principal::Any, Principal::Authenticated(None)]),
        ],
    };
    Rbac {
        action: RbacAction::Allow,
        policies: BTreeMap::from([("ns[shop]-policy[x]-rule[0]".into(), policy)]),
    }
}

fn tcp_rbac() -> Rbac {
    let policy = Policy {
        permissions: vec![Permission::DestinationPort(3306)],
        principals: vec![Principal::Authenticated(Some(StringMatcher::prefix("spiffe://")))],
    };
    Rbac { action: RbacAction::Deny, policies: BTreeMap::from([("deny".into(), policy)]) }
}

pub fn header(name: &str, matches: HeaderMatch) -> HeaderMatcher {
    HeaderMatcher { name: name.into(), matches, invert: false, treat_missing_as_empty: true }
}

fn logs() -> Vec<AccessLog> {
    let format = "[%START_TIME%] %RESPONSE_CODE% %RESPONSE_FLAGS%\n";
    vec![
        AccessLog { sink: AccessLogSink::Stdout, format: Some(format.into()), filter: None },
        AccessLog {
            sink: AccessLogSink::File("/dev/null".into()),
            format: None,
            filter: Some(AccessLogFilter::ResponseFlags(vec!["NR".into()])),
        },
        AccessLog {
            sink: AccessLogSink::Stderr,
            format: None,
            filter: Some(AccessLogFilter::Status(ir::access_log::Comparison {
                op: ir::access_log::ComparisonOp::AtLeast,
                value: 500,
            })),
        },
    ]
}

pub fn manager(routes: RouteSource, http_filters: Vec<HttpFilter>) -> HttpConnectionManager {
    HttpConnectionManager {
        stat_prefix: "outbound_0.0.0.0_9080".into(),
        routes,
        http_filters,
        access_log: logs(),
        upgrades: vec!["websocket".into()],
        forward_client_cert: ForwardClientCert::AppendForward,
        client_cert_details: ClientCertDetails { subject: true, dns: true, uri: true, ..Default::default() },
        server_name: Some("istio-envoy".into()),
        normalize_path: true,
        merge_slashes: true,
        escaped_slashes: EscapedSlashes::UnescapeAndForward,
        http2: Http2Options {
            hpack_table_size: Some(8192),
            max_concurrent_streams: Some(100),
            initial_stream_window_size: Some(65_535),
            initial_connection_window_size: Some(1 << 20),
            allow_connect: true,
            keepalive: Some(Http2Keepalive {
                interval: Some(Duration::from_secs(30)),
                timeout: Duration::from_secs(5),
                jitter_percent: Some(20),
                idle_interval: Some(Duration::from_secs(60)),
            }),
        },
        max_stream_duration: Some(Duration::from_secs(600)),
        stream_idle_timeout: Some(Duration::ZERO),
        request_timeout: Some(Duration::ZERO),
        request_headers_timeout: Some(Duration::from_millis(1500)),
        idle_timeout: Some(Duration::from_secs(10)),
        max_connection_duration: Some(Duration::from_secs(3600)),
        max_requests_per_connection: Some(1000),
        drain_timeout: Some(Duration::from_secs(7)),
        max_request_headers_kb: Some(96),
        accept_http_10: true,
        ..HttpConnectionManager::default()
    }
}

fn tcp(clusters: TcpClusters) -> Terminal {
    Terminal::Tcp(TcpProxy {
        clusters,
        idle_timeout: Some(Duration::from_secs(60)),
        max_connect_attempts: 3,
        access_log: logs(),
        ..TcpProxy::to("tcp", "")
    })
}

pub fn chain(name: &str, matches: FilterChainMatch, terminal: Terminal) -> FilterChain {
    FilterChain {
        name: name.into(),
        matches,
        tls: None,
        transport_socket_connect_timeout: None,
        filters: Vec::new(),
        terminal,
        origin: origin(),
    }
}

pub fn listener(name: &str, address: &str, direction: Direction) -> Listener {
    Listener {
        name: name.into(),
        address: socket(address),
        additional_addresses: vec![socket(&address.replace(":15", ":25"))],
        bind_to_port: true,
        use_original_dst: false,
        direction,
        listener_filters: Vec::new(),
        listener_filters_timeout: Some(Duration::ZERO),
        continue_on_listener_filters_timeout: true,
        filter_chains: Vec::new(),
        default_filter_chain: None,
        access_log: Vec::new(),
        origin: origin(),
    }
}

fn outbound() -> Listener {
    let to_self = FilterChainMatch { destination_port: Some(15001), ..Default::default() };
    Listener {
        use_original_dst: true,
        listener_filters: vec![ListenerFilter::OriginalDst],
        filter_chains: vec![
            chain("virtualOutbound-blackhole", to_self, tcp(TcpClusters::Single("BlackHoleCluster".into()))),
            chain("all", FilterChainMatch::default(), tcp(TcpClusters::Single("PassthroughCluster".into()))),
        ],
        access_log: vec![AccessLog {
            sink: AccessLogSink::File("/dev/stdout".into()),
            format: Some("%RESPONSE_FLAGS%\n".into()),
            filter: Some(AccessLogFilter::ResponseFlags(vec!["NR".into()])),
        }],
        ..listener("virtualOutbound", "0.0.0.0:15001", Direction::Outbound)
    }
}

/// Found by `use_original_dst` of the one before.
fn bound_elsewhere() -> Listener {
    let http = FilterChainMatch {
        transport_protocol: Some(TransportProtocol::RawBuffer),
        application_protocols: vec!["http/1.0".into(), "http/1.1".into(), "h2c".into()],
        ..Default::default()
    };
    let filters = vec![
        HttpFilter::UpstreamAlpn {
            protocols: vec!["istio-http/1.1".into(), "istio".into(), "http/1.1".into()],
        },
        HttpFilter::Fault(Box::default()),
        HttpFilter::GrpcStats,
        HttpFilter::Cors,
    ];
    let terminal = Terminal::Http(Box::new(manager(RouteSource::Rds("9080".into()), filters)));
    let weighted =
        TcpClusters::Weighted(vec![("inbound|9080||".into(), 20), ("BlackHoleCluster".into(), 80)]);
    Listener {
        additional_addresses: Vec::new(),
        bind_to_port: false,
        listener_filters: vec![
            ListenerFilter::TlsInspector { disabled_ports: vec![3306] },
            ListenerFilter::HttpInspector { disabled_ports: vec![3306, 3307, 65_535] },
        ],
        filter_chains: vec![chain("", http, terminal)],
        default_filter_chain: Some(chain("tcp", FilterChainMatch::default(), tcp(weighted))),
        ..listener("0.0.0.0_9080", "0.0.0.0:9080", Direction::Outbound)
    }
}

fn inbound() -> Listener {
    let mtls = FilterChainMatch {
        destination_port: Some(9080),
        prefix_ranges: vec![Cidr::parse("10.0.0.0/8").unwrap()],
        source_prefix_ranges: vec![Cidr::parse("10.0.0.0/8").unwrap(), Cidr::parse("fd00::/8").unwrap()],
        server_names: vec!["*.shop.svc.cluster.local".into(), "a.b".into()],
        transport_protocol: Some(TransportProtocol::Tls),
        application_protocols: vec!["istio".into(), "istio-http/1.1".into(), "istio-h2".into()],
        direct_source_prefix_ranges: vec![Cidr::parse("10.1.0.0/16").unwrap()],
        source_type: SourceType::External,
        source_ports: vec![1000, 1001],
    };
    let rules = HttpFilter::Rbac(RbacFilter {
        shadow_rules: Some(rbac()),
        shadow_stat_prefix: "dry_run_".into(),
        ..RbacFilter::enforce("istio", rbac())
    });
    let routes = RouteSource::Inline(std::sync::Arc::new(route_config(
        "inbound|9080||",
        vec![route("inbound|9080||")],
    )));
    let terminal = Terminal::Http(Box::new(manager(routes, vec![rules, HttpFilter::Fault(Box::default())])));
    let tls = DownstreamTls { common: common_tls(Vec::new()), require_client_certificate: true };
    let secure = FilterChain {
        tls: Some(tls.clone()),
        transport_socket_connect_timeout: Some(Duration::from_secs(10)),
        ..chain("0.0.0.0_9080", mtls, terminal)
    };
    let plain = FilterChainMatch {
        transport_protocol: Some(TransportProtocol::RawBuffer),
        destination_port: Some(3306),
        ..Default::default()
    };
    let guarded = FilterChain {
        filters: vec![NetworkFilter::Rbac(RbacFilter::enforce("tcp.", tcp_rbac()))],
        ..chain("0.0.0.0_3306", plain, tcp(TcpClusters::Single("inbound|9080||".into())))
    };
    Listener {
        listener_filters: vec![
            ListenerFilter::OriginalDst,
            ListenerFilter::TlsInspector { disabled_ports: Vec::new() },
            ListenerFilter::HttpInspector { disabled_ports: Vec::new() },
        ],
        filter_chains: vec![secure, guarded],
        ..listener("virtualInbound", "0.0.0.0:15006", Direction::Inbound)
    }
}
