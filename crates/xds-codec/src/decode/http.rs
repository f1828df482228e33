//! The HTTP connection manager.

use std::collections::BTreeMap;

use ir::http::{
    ClientCertDetails, CodecType, EscapedSlashes, FilterMark, ForwardClientCert, Http2Options, RouteSource,
    ServerHeader,
};
use ir::{ConfigSource, Direction, HttpConnectionManager, HttpFilter, Str};

use super::at::At;
use super::strict::{harmless, refuse, refuse_true};
use super::{access_log, filter, local_reply, protocol, route, wire};
use crate::Any;
use crate::pb::hcm::http_connection_manager::PathWithEscapedSlashesAction;
use crate::pb::hcm::http_filter::ConfigType;
use crate::pb::hcm::{self as pb, http_connection_manager as nested};
use crate::pb::router::Router;

pub(super) fn connection_manager(
    at: At<'_>,
    direction: Direction,
    it: pb::HttpConnectionManager,
) -> HttpConnectionManager {
    let pb::HttpConnectionManager {
        codec_type,
        stat_prefix,
        http_filters,
        add_user_agent,
        tracing,
        common_http_protocol_options,
        http1_safe_max_connection_duration,
        http_protocol_options,
        http2_protocol_options,
        http3_protocol_options,
        server_name,
        server_header_transformation,
        scheme_header_transformation,
        max_request_headers_kb,
        stream_idle_timeout,
        stream_flush_timeout,
        request_timeout,
        request_headers_timeout,
        drain_timeout,
        drain_timeout_jitter,
        delayed_close_timeout,
        access_log: logs,
        access_log_flush_interval,
        flush_access_log_on_new_request,
        access_log_options,
        use_remote_address,
        xff_num_trusted_hops,
        original_ip_detection_extensions,
        early_header_mutation_extensions,
        internal_address_config,
        skip_xff_append,
        via,
        generate_request_id,
        preserve_external_request_id,
        always_set_request_id_in_response,
        forward_client_cert_details,
        set_current_client_cert_details,
        forward_client_cert_matcher,
        proxy_100_continue,
        represent_ipv4_remote_address_as_ipv4_mapped_ipv6,
        upgrade_configs,
        normalize_path,
        merge_slashes,
        path_with_escaped_slashes_action,
        request_id_extension,
        local_reply_config,
        strip_matching_host_port,
        stream_error_on_invalid_http_message,
        path_normalization_options,
        strip_trailing_host_dot,
        proxy_status_config,
        typed_header_validation_config,
        append_x_forwarded_port,
        append_local_overload,
        add_proxy_protocol_connection_state,
        forward_proto_config,
        route_specifier,
        strip_port_mode,
    } = it;
    refuse!(at; tracing, http3_protocol_options,
        scheme_header_transformation, stream_flush_timeout, drain_timeout_jitter,
        access_log_flush_interval, flush_access_log_on_new_request, access_log_options,
        original_ip_detection_extensions, early_header_mutation_extensions, internal_address_config,
        skip_xff_append, via, always_set_request_id_in_response, forward_client_cert_matcher,
        represent_ipv4_remote_address_as_ipv4_mapped_ipv6, request_id_extension,
        strip_matching_host_port, path_normalization_options, strip_trailing_host_dot, proxy_status_config,
        typed_header_validation_config, append_local_overload, forward_proto_config);
    refuse_true!(at; add_user_agent, stream_error_on_invalid_http_message, add_proxy_protocol_connection_state);
    if let Some(nested::StripPortMode::StripAnyHostPort(true)) = strip_port_mode {
        at.unsupported("strip_any_host_port");
    }
    let limits =
        protocol::common_options(at.field("common_http_protocol_options"), common_http_protocol_options);
    if limits.max_response_headers_kb.is_some() {
        at.field("common_http_protocol_options.max_response_headers_kb")
            .refuse("has no effect towards clients");
    }
    let (http_filters, filter_marks, suppress_envoy_headers) = filters(at, direction, http_filters);
    let http1 = http_protocol_options
        .map(|it| protocol::http1(at.field("http_protocol_options"), it))
        .unwrap_or_default();
    let duration = |name, it| wire::optional_duration(at.field(name), it);
    HttpConnectionManager {
        stat_prefix: stat_prefix.into(),
        codec: codec(at.field("codec_type"), codec_type),
        routes: route_source(at, route_specifier),
        http_filters,
        filter_marks,
        access_log: access_log::access_logs(&at, logs),
        upgrades: super::upgrades::of_manager(at, upgrade_configs),
        use_remote_address: wire::flag(use_remote_address, false),
        xff_num_trusted_hops,
        forward_client_cert: forward_client_cert(at, forward_client_cert_details),
        client_cert_details: client_cert_details(at, set_current_client_cert_details),
        server_name: wire::optional_text(server_name),
        server_header: server_header(at, server_header_transformation),
        generate_request_id: wire::flag(generate_request_id, true),
        preserve_external_request_id,
        normalize_path: wire::flag(normalize_path, false),
        merge_slashes,
        escaped_slashes: escaped_slashes(at, path_with_escaped_slashes_action),
        http2: http2_protocol_options
            .map_or_else(Http2Options::default, |it| protocol::http2(at.field("http2_protocol_options"), it)),
        stream_idle_timeout: duration("stream_idle_timeout", stream_idle_timeout),
        request_timeout: duration("request_timeout", request_timeout),
        request_headers_timeout: duration("request_headers_timeout", request_headers_timeout),
        idle_timeout: limits.idle_timeout,
        max_connection_duration: limits.max_connection_duration,
        max_connection_duration_jitter_percent: limits.max_connection_duration_jitter_percent,
        http1_safe_max_connection_duration,
        max_stream_duration: limits.max_stream_duration,
        max_requests_per_connection: limits.max_requests_per_connection,
        drain_timeout: duration("drain_timeout", drain_timeout),
        delayed_close_timeout: duration("delayed_close_timeout", delayed_close_timeout),
        max_request_headers_kb: protocol::head_kb(at.field("max_request_headers_kb"), max_request_headers_kb),
        max_headers_count: limits.max_headers_count,
        headers_with_underscores: limits.headers_with_underscores,
        proxy_100_continue,
        local_reply: local_reply_config
            .map(|it| Box::new(local_reply::config(at.field("local_reply_config"), it))),
        accept_http_10: http1.accept_http_10,
        append_x_forwarded_port,
        suppress_envoy_headers,
        preserve_header_case: http1.preserve_header_case,
    }
}

fn escaped_slashes(at: At<'_>, it: i32) -> EscapedSlashes {
    use PathWithEscapedSlashesAction as Action;
    match wire::enumeration(at.field("path_with_escaped_slashes_action"), it) {
        Action::ImplementationSpecificDefault | Action::KeepUnchanged => EscapedSlashes::KeepUnchanged,
        Action::RejectRequest => EscapedSlashes::RejectRequest,
        Action::UnescapeAndRedirect => EscapedSlashes::UnescapeAndRedirect,
        Action::UnescapeAndForward => EscapedSlashes::UnescapeAndForward,
    }
}

fn codec(at: At<'_>, it: i32) -> CodecType {
    match wire::enumeration(at, it) {
        nested::CodecType::Auto => CodecType::Auto,
        nested::CodecType::Http1 => CodecType::Http1,
        nested::CodecType::Http2 => CodecType::Http2,
        nested::CodecType::Http3 => {
            at.refuse("HTTP3 is not supported");
            CodecType::Auto
        }
    }
}

fn route_source(at: At<'_>, it: Option<nested::RouteSpecifier>) -> RouteSource {
    match it {
        Some(nested::RouteSpecifier::Rds(pb::Rds { config_source, route_config_name })) => {
            let at = at.field("rds");
            let source = wire::config_source(at.field("config_source"), config_source).unwrap_or_default();
            let name = wire::required(at.field("route_config_name"), route_config_name);
            return match source {
                ConfigSource::Ads => RouteSource::Rds(name),
                other => RouteSource::RdsFrom(name, other),
            };
        }
        Some(nested::RouteSpecifier::RouteConfig(it)) => {
            return RouteSource::Inline(std::sync::Arc::new(route::inline(at.field("route_config"), it)));
        }
        Some(nested::RouteSpecifier::ScopedRoutes(_)) => at.unsupported("scoped_routes"),
        None => at.field("rds").refuse("rds or route_config is required"),
    }
    RouteSource::Rds(Str::default())
}

/// All but the last, which must be the router, and whether that one is to keep quiet about itself.
fn filters(
    at: At<'_>,
    direction: Direction,
    all: Vec<pb::HttpFilter>,
) -> (Vec<HttpFilter>, BTreeMap<usize, FilterMark>, bool) {
    let mut filters: Vec<HttpFilter> = Vec::with_capacity(all.len());
    let mut marks = BTreeMap::new();
    let last = all.len().checked_sub(1);
    let (mut routed, mut quiet) = (false, false);
    for (index, it) in all.into_iter().enumerate() {
        let at = at.index("http_filters", index);
        let pb::HttpFilter { name, is_optional, disabled, config_type } = it;
        let any = match config_type {
            Some(ConfigType::TypedConfig(any)) => any,
            Some(ConfigType::ConfigDiscovery(_)) => {
                at.unsupported("config_discovery");
                continue;
            }
            None => {
                at.field("typed_config").refuse("is required");
                continue;
            }
        };
        let config_at = at.field("typed_config");
        if wire::is::<Router>(&any) {
            refuse!(at; disabled);
            quiet = router(config_at, &any);
            routed = Some(index) == last;
        } else if is_optional && !filter::is_known(&any) {
            // What the flag means: go without it where it is unknown.
            at.ignored(format!("the optional filter {} is unknown", wire::type_name(&any)));
        } else {
            let Some(filter) = filter::http_filter(config_at, direction, &name, &any) else { continue };
            if disabled && matches!(filter, HttpFilter::IstioStats { .. } | HttpFilter::PeerMetadata) {
                at.unsupported("disabled");
            }
            let name = (name != filter.own_name()).then(|| name.into());
            if disabled || name.is_some() {
                marks.insert(filters.len(), FilterMark { name, disabled });
            }
            filters.push(filter);
        }
    }
    if !routed {
        at.field("http_filters").refuse("the last filter, and only the last, must be the router");
    }
    (filters, marks, quiet)
}

/// `suppress_envoy_headers`.
fn router(at: At<'_>, any: &Any) -> bool {
    let Router {
        dynamic_stats,
        start_child_span,
        upstream_log,
        upstream_log_options,
        suppress_envoy_headers,
        strict_check_headers,
        respect_expected_rq_timeout,
        suppress_grpc_request_failure_code_stats,
        upstream_http_filters,
        reject_connect_request_early_data,
    } = wire::unpack(at, any);
    refuse!(at; start_child_span, upstream_log, upstream_log_options, strict_check_headers,
        respect_expected_rq_timeout, upstream_http_filters, reject_connect_request_early_data);
    harmless!(Statistics; dynamic_stats, suppress_grpc_request_failure_code_stats);
    suppress_envoy_headers
}

fn forward_client_cert(at: At<'_>, it: i32) -> ForwardClientCert {
    match wire::enumeration(at.field("forward_client_cert_details"), it) {
        nested::ForwardClientCertDetails::Sanitize => ForwardClientCert::Sanitize,
        nested::ForwardClientCertDetails::ForwardOnly => ForwardClientCert::ForwardOnly,
        nested::ForwardClientCertDetails::AppendForward => ForwardClientCert::AppendForward,
        nested::ForwardClientCertDetails::SanitizeSet => ForwardClientCert::SanitizeSet,
        nested::ForwardClientCertDetails::AlwaysForwardOnly => ForwardClientCert::AlwaysForwardOnly,
    }
}

fn client_cert_details(at: At<'_>, it: Option<nested::SetCurrentClientCertDetails>) -> ClientCertDetails {
    let nested::SetCurrentClientCertDetails { subject, cert, chain, dns, uri, issuer, format } =
        it.unwrap_or_default();
    let at = at.field("set_current_client_cert_details");
    refuse!(at; issuer, format);
    ClientCertDetails { subject: wire::flag(subject, false), cert, chain, dns, uri }
}

fn server_header(at: At<'_>, it: i32) -> ServerHeader {
    match wire::enumeration(at.field("server_header_transformation"), it) {
        nested::ServerHeaderTransformation::Overwrite => ServerHeader::Overwrite,
        nested::ServerHeaderTransformation::AppendIfAbsent => ServerHeader::AppendIfAbsent,
        nested::ServerHeaderTransformation::PassThrough => ServerHeader::PassThrough,
    }
}
