//! Listeners.

use ir::access_log::{AccessLogFilter, Comparison, ComparisonOp, LogContent, LogFormat, LogType};
use ir::filter::Reporter;
use ir::http::{
    ClientCertDetails, CodecType, EscapedSlashes, ForwardClientCert, HeadersWithUnderscores, Http2Options,
    RouteSource, ServerHeader,
};
use ir::listener::{ListenerFilter, SourceType, TransportProtocol};
use ir::local_reply::{LocalReplyConfig, ReplyMapper};
use ir::rbac::RbacAction;
use ir::tcp::TcpClusters;
use ir::{
    AccessLog, AccessLogSink, ConfigSource, ConnectionLimit, Direction, FilterChain, FilterChainMatch,
    HeaderMutation, HttpConnectionManager, HttpFilter, Listener, NetworkFilter, RbacFilter, TcpProxy,
    Terminal,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::{
    action, address, authn, balance, dns_cache, http2, overrides, rbac, route, route_config, text, tls,
};

/// Any listener.
pub fn listener() -> BoxedStrategy<Listener> {
    let direction =
        prop_oneof![Just(Direction::Unspecified), Just(Direction::Inbound), Just(Direction::Outbound)];
    let addresses = (address(), vec(address(), 0..3));
    let names = (text::name(), addresses, direction, text::origin());
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), option::of(text::duration()));
    let chains = (vec(filter_chain(), 0..3), option::of(filter_chain()));
    (names, flags, vec(listener_filter(), 0..3), chains, access_logs())
        .prop_map(|(names, flags, listener_filters, (filter_chains, default_filter_chain), access_log)| {
            let (name, (address, additional_addresses), direction, origin) = names;
            let (bind_to_port, use_original_dst, go_on, listener_filters_timeout) = flags;
            Listener {
                name,
                address,
                additional_addresses,
                bind_to_port,
                use_original_dst,
                direction,
                listener_filters,
                listener_filters_timeout,
                continue_on_listener_filters_timeout: go_on,
                filter_chains,
                default_filter_chain,
                access_log,
                origin,
            }
        })
        .boxed()
}

fn listener_filter() -> impl Strategy<Value = ListenerFilter> {
    let ports = || vec(any::<u16>(), 0..4);
    prop_oneof![
        Just(ListenerFilter::OriginalDst),
        ports().prop_map(|disabled_ports| ListenerFilter::TlsInspector { disabled_ports }),
        ports().prop_map(|disabled_ports| ListenerFilter::HttpInspector { disabled_ports }),
        (any::<bool>(), vec(balance::proxy_protocol(), 0..2))
            .prop_map(|(optional, disallowed)| ListenerFilter::ProxyProtocol { optional, disallowed }),
    ]
}

fn filter_chain() -> BoxedStrategy<FilterChain> {
    let terminal = prop_oneof![
        connection_manager().prop_map(|it| Terminal::Http(Box::new(it))),
        tcp_proxy().prop_map(Terminal::Tcp),
        action::body().prop_map(Terminal::Direct),
    ];
    let security = (option::of(tls::downstream()), option::of(text::duration()));
    (text::maybe_empty(), chain_match(), security, vec(network_filter(), 0..2), terminal, text::origin())
        .prop_map(|(name, matches, (tls, transport_socket_connect_timeout), filters, terminal, origin)| {
            FilterChain { name, matches, tls, transport_socket_connect_timeout, filters, terminal, origin }
        })
        .boxed()
}

fn chain_match() -> impl Strategy<Value = FilterChainMatch> {
    let server_name = prop_oneof![text::name(), text::name().prop_map(|it| format!("*.{it}").into())];
    let transport = prop_oneof![Just(TransportProtocol::Tls), Just(TransportProtocol::RawBuffer)];
    let ranges = (vec(text::cidr(), 0..2), vec(text::cidr(), 0..2));
    (option::of(text::port()), ranges, vec(server_name, 0..2), option::of(transport), vec(text::name(), 0..2))
        .prop_map(
            |(
                destination_port,
                (prefix_ranges, source_prefix_ranges),
                server_names,
                transport,
                protocols,
            )| {
                FilterChainMatch {
                    destination_port,
                    server_names,
                    transport_protocol: transport,
                    application_protocols: protocols,
                    direct_source_prefix_ranges: prefix_ranges.clone(),
                    source_type: if prefix_ranges.is_empty() {
                        SourceType::Any
                    } else {
                        SourceType::External
                    },
                    source_ports: destination_port.into_iter().collect(),
                    prefix_ranges,
                    source_prefix_ranges,
                }
            },
        )
}

fn reporter() -> impl Strategy<Value = Reporter> {
    prop_oneof![Just(Reporter::Source), Just(Reporter::Destination), Just(Reporter::Gateway)]
}

fn network_filter() -> BoxedStrategy<NetworkFilter> {
    prop_oneof![
        rbac_filter().prop_map(network_rbac),
        connection_limit().prop_map(NetworkFilter::ConnectionLimit),
        reporter().prop_map(|reporter| NetworkFilter::IstioStats { reporter }),
        dns_cache::sni().prop_map(|it| NetworkFilter::SniDynamicForwardProxy(Box::new(it))),
    ]
    .boxed()
}

/// Connections know no `LOG`.
fn network_rbac(mut filter: RbacFilter) -> NetworkFilter {
    for rules in [&mut filter.rules, &mut filter.shadow_rules].into_iter().flatten() {
        if rules.action == RbacAction::Log {
            rules.action = RbacAction::Deny;
        }
    }
    NetworkFilter::Rbac(filter)
}

fn connection_limit() -> impl Strategy<Value = ConnectionLimit> {
    let limit = (text::name(), 1..=u64::MAX, option::of(text::duration()), any::<bool>());
    limit.prop_map(|(stat_prefix, max_connections, delay, enabled)| ConnectionLimit {
        stat_prefix,
        max_connections,
        delay,
        enabled,
    })
}

pub(super) fn rbac_filter() -> impl Strategy<Value = RbacFilter> {
    let rules = (option::of(rbac::rbac()), rbac::rbac(), any::<bool>());
    (text::maybe_empty(), rules, text::maybe_empty()).prop_map(
        |(stat_prefix, (shadow_rules, rules, enforced), shadow_stat_prefix)| RbacFilter {
            stat_prefix,
            // One of the two at least.
            rules: (enforced || shadow_rules.is_none()).then_some(rules),
            shadow_rules,
            shadow_stat_prefix,
        },
    )
}

fn http_filter() -> BoxedStrategy<HttpFilter> {
    let protocols = || vec(text::name(), 0..3);
    prop_oneof![
        rbac_filter().prop_map(HttpFilter::Rbac),
        overrides::fault().prop_map(|it| HttpFilter::Fault(Box::new(it))),
        protocols().prop_map(|protocols| HttpFilter::UpstreamAlpn { protocols }),
        (protocols(), protocols(), protocols()).prop_map(|(http10, http11, http2)| HttpFilter::IstioAlpn {
            http10,
            http11,
            http2
        }),
        reporter().prop_map(|reporter| HttpFilter::IstioStats { reporter }),
        Just(HttpFilter::PeerMetadata),
        Just(HttpFilter::GrpcStats),
        Just(HttpFilter::Cors),
        authn::jwt().prop_map(|it| HttpFilter::JwtAuthn(Box::new(it))),
        overrides::rate_limit().prop_map(|it| HttpFilter::LocalRateLimit(Box::new(it))),
        authn::ext_authz().prop_map(|it| HttpFilter::ExtAuthz(Box::new(it))),
        (overrides::mutations(), any::<bool>()).prop_map(|(it, most_specific_wins)| {
            HttpFilter::HeaderMutation(Box::new(HeaderMutation { most_specific_wins, ..it }))
        }),
        overrides::compressor().prop_map(|it| HttpFilter::Compressor(Box::new(it))),
        (1u32..).prop_map(|max_request_bytes| HttpFilter::Buffer { max_request_bytes }),
        overrides::health_check().prop_map(|it| HttpFilter::HealthCheck(Box::new(it))),
        dns_cache::cache().prop_map(|it| HttpFilter::DynamicForwardProxy(Box::new(it))),
    ]
    .boxed()
}

fn access_logs() -> BoxedStrategy<Vec<AccessLog>> {
    let sink = prop_oneof![
        text::path().prop_map(AccessLogSink::File),
        Just(AccessLogSink::Stdout),
        Just(AccessLogSink::Stderr),
    ];
    let flags = prop::sample::select(vec!["NR", "UH", "UF"]);
    let filter = prop_oneof![
        vec(flags.prop_map(|it| it.into()), 0..3).prop_map(AccessLogFilter::ResponseFlags),
        comparison().prop_map(AccessLogFilter::Status),
        comparison().prop_map(AccessLogFilter::Duration),
        Just(AccessLogFilter::NotHealthCheck),
        Just(AccessLogFilter::Traceable),
        (0u32..=1_000_000, any::<bool>()).prop_map(|(parts_per_million, independent)| {
            AccessLogFilter::Runtime { share: ir::Fraction { parts_per_million }, independent }
        }),
        super::matcher::header().prop_map(|it| AccessLogFilter::Header(Box::new(it))),
        (vec(0u32..17, 0..3), any::<bool>())
            .prop_map(|(statuses, exclude)| AccessLogFilter::GrpcStatus { statuses, exclude }),
        (vec(log_type(), 0..3), any::<bool>())
            .prop_map(|(types, exclude)| AccessLogFilter::LogType { types, exclude }),
    ];
    let filter = filter.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 2..4).prop_map(AccessLogFilter::And),
            vec(inner, 2..4).prop_map(AccessLogFilter::Or),
        ]
    });
    let content = prop_oneof![
        text::any_text().prop_map(LogContent::Text),
        text::path().prop_map(LogContent::File),
        text::name().prop_map(LogContent::Environment),
        super::json_map().prop_map(LogContent::Json),
    ];
    let format = (content, any::<bool>())
        .prop_map(|(content, omit_empty_values)| LogFormat { content, omit_empty_values });
    let log = (sink, option::of(format), option::of(filter)).prop_map(|(sink, format, filter)| AccessLog {
        sink,
        format,
        filter,
    });
    vec(log, 0..2).boxed()
}

fn comparison() -> impl Strategy<Value = Comparison> {
    let op = prop_oneof![
        Just(ComparisonOp::Equal),
        Just(ComparisonOp::AtLeast),
        Just(ComparisonOp::AtMost),
        Just(ComparisonOp::NotEqual)
    ];
    (op, 0u32..600).prop_map(|(op, value)| Comparison { op, value })
}

fn log_type() -> impl Strategy<Value = LogType> {
    prop_oneof![Just(LogType::NotSet), Just(LogType::TcpConnectionEnd), Just(LogType::DownstreamEnd)]
}

fn tcp_proxy() -> BoxedStrategy<TcpProxy> {
    let clusters = prop_oneof![
        text::name().prop_map(TcpClusters::Single),
        vec((text::name(), 1u32..1000), 1..3).prop_map(TcpClusters::Weighted),
    ];
    let time = || (1u64..10_000).prop_map(std::time::Duration::from_millis);
    let back_off = (time(), option::of(time())).prop_map(|(base, more)| (base, more.map(|more| base + more)));
    let more = (
        option::of(back_off),
        option::of(time()),
        any::<bool>(),
        super::json_map(),
        option::of(Just("db.example.com:443".into())),
    );
    (text::maybe_empty(), clusters, option::of(text::duration()), 1..=u32::MAX, access_logs(), more)
        .prop_map(|(stat_prefix, clusters, idle_timeout, max_connect_attempts, access_log, more)| TcpProxy {
            stat_prefix,
            clusters,
            idle_timeout,
            max_connect_attempts,
            connect_back_off: more.0,
            max_downstream_connection_duration: more.1,
            hash_source_ip: more.2,
            metadata_match: more.3,
            tunnel_to: more.4,
            access_log,
        })
        .boxed()
}

fn connection_manager() -> BoxedStrategy<HttpConnectionManager> {
    let codec = prop_oneof![Just(CodecType::Auto), Just(CodecType::Http1), Just(CodecType::Http2)];
    let routes = prop_oneof![
        3 => (text::name(), super::config_source()).prop_map(|(name, source)| match source {
            ConfigSource::Ads => RouteSource::Rds(name),
            other => RouteSource::RdsFrom(name, other),
        }),
        1 => route_config().prop_map(|it| RouteSource::Inline(std::sync::Arc::new(it))),
    ];
    let names = (text::maybe_empty(), codec, routes, option::of(text::name()));
    let lists = (vec(http_filter(), 0..4), access_logs(), vec(text::name(), 0..2));
    let peer = (any::<bool>(), any::<u32>(), forward_client_cert(), client_cert_details(), server_header());
    let flags = any::<(bool, bool, bool, bool, bool, bool, bool, bool, bool, bool)>();
    let time = || option::of(text::duration());
    let times = (time(), time(), time(), time(), time(), time(), time());
    let limits = (
        option::of(any::<u32>()),
        option::of(1..=8192u32),
        option::of(1..=u32::MAX),
        option::of(0..=100u32),
        underscores(),
    );
    let http2 = (escaped_slashes(), http2_options(), option::of(local_reply().prop_map(Box::new)), time());
    (names, lists, peer, flags, times, limits, http2)
        .prop_map(|(names, lists, peer, flags, times, limits, http2)| {
            let (stat_prefix, codec, routes, server_name) = names;
            let (http_filters, access_log, upgrades) = lists;
            let (use_remote_address, xff_num_trusted_hops, forward, client_cert_details, server_header) =
                peer;
            let off =
                |it: &HttpFilter| !matches!(it, HttpFilter::IstioStats { .. } | HttpFilter::PeerMetadata);
            let first =
                http_filters.first().filter(|it: &&HttpFilter| off(it) && xff_num_trusted_hops % 2 == 1);
            let filter_marks =
                first.map(|_| (0, ir::http::FilterMark { name: None, disabled: true })).into_iter().collect();
            HttpConnectionManager {
                filter_marks,
                stat_prefix,
                codec,
                routes,
                http_filters,
                access_log,
                upgrades,
                use_remote_address,
                xff_num_trusted_hops,
                forward_client_cert: forward,
                client_cert_details,
                server_name,
                server_header,
                generate_request_id: flags.0,
                preserve_external_request_id: flags.1,
                normalize_path: flags.2,
                merge_slashes: flags.3,
                escaped_slashes: http2.0,
                http2: http2.1,
                local_reply: http2.2,
                delayed_close_timeout: http2.3,
                accept_http_10: flags.4,
                stream_idle_timeout: times.0,
                request_timeout: times.1,
                request_headers_timeout: times.2,
                idle_timeout: times.3,
                max_connection_duration: times.4,
                drain_timeout: times.5,
                max_stream_duration: times.6,
                max_requests_per_connection: limits.0,
                max_request_headers_kb: limits.1,
                max_headers_count: limits.2,
                max_connection_duration_jitter_percent: limits.3,
                headers_with_underscores: limits.4,
                proxy_100_continue: flags.5,
                http1_safe_max_connection_duration: flags.6,
                append_x_forwarded_port: flags.7,
                suppress_envoy_headers: flags.8,
                preserve_header_case: flags.9,
            }
        })
        .boxed()
}

fn local_reply() -> impl Strategy<Value = LocalReplyConfig> {
    let format = || option::of(action::body_format());
    let mapper = (
        comparison().prop_map(AccessLogFilter::Status),
        option::of(200u16..600),
        option::of(action::body()),
        format(),
        vec(route::header_value(), 0..2),
    )
        .prop_map(|(filter, status, body, format, headers)| ReplyMapper {
            filter,
            status,
            body,
            format,
            headers,
        });
    (vec(mapper, 0..2), format()).prop_map(|(mappers, format)| LocalReplyConfig { mappers, format })
}

fn underscores() -> impl Strategy<Value = HeadersWithUnderscores> {
    prop_oneof![
        Just(HeadersWithUnderscores::Allow),
        Just(HeadersWithUnderscores::RejectRequest),
        Just(HeadersWithUnderscores::DropHeader),
    ]
}

fn escaped_slashes() -> impl Strategy<Value = EscapedSlashes> {
    prop_oneof![
        Just(EscapedSlashes::KeepUnchanged),
        Just(EscapedSlashes::RejectRequest),
        Just(EscapedSlashes::UnescapeAndRedirect),
        Just(EscapedSlashes::UnescapeAndForward),
    ]
}

fn http2_options() -> impl Strategy<Value = Http2Options> {
    prop_oneof![Just(Http2Options::default()), http2::options()]
}

fn forward_client_cert() -> impl Strategy<Value = ForwardClientCert> {
    prop_oneof![
        Just(ForwardClientCert::Sanitize),
        Just(ForwardClientCert::ForwardOnly),
        Just(ForwardClientCert::AppendForward),
        Just(ForwardClientCert::SanitizeSet),
        Just(ForwardClientCert::AlwaysForwardOnly),
    ]
}

fn client_cert_details() -> impl Strategy<Value = ClientCertDetails> {
    any::<(bool, bool, bool, bool, bool)>().prop_map(|(subject, cert, chain, dns, uri)| ClientCertDetails {
        subject,
        cert,
        chain,
        dns,
        uri,
    })
}

fn server_header() -> impl Strategy<Value = ServerHeader> {
    prop_oneof![
        Just(ServerHeader::Overwrite),
        Just(ServerHeader::AppendIfAbsent),
        Just(ServerHeader::PassThrough)
    ]
}
