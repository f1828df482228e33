//! The HTTP connection manager.

use ir::HttpConnectionManager;
use ir::http::{
    ClientCertDetails, CodecType, EscapedSlashes, ForwardClientCert, HeadersWithUnderscores, Http2Options,
    RouteSource, ServerHeader,
};

use super::{access_log, filter, local_reply, protocol, route, wire};
use crate::pb::core;
use crate::pb::core::http_protocol_options::HeadersWithUnderscoresAction;
use crate::pb::hcm::{self as pb, http_connection_manager as nested};

pub(super) fn connection_manager(it: &HttpConnectionManager) -> pb::HttpConnectionManager {
    let mut http_filters: Vec<_> = it.http_filters.iter().map(filter::http_filter).collect();
    for (place, mark) in &it.filter_marks {
        let Some(filter) = http_filters.get_mut(*place) else { continue };
        filter.disabled = mark.disabled;
        if let Some(name) = &mark.name {
            filter.name = name.to_string();
        }
    }
    http_filters.push(filter::router(it.suppress_envoy_headers));
    pb::HttpConnectionManager {
        codec_type: codec(it.codec).into(),
        stat_prefix: it.stat_prefix.to_string(),
        http_filters,
        common_http_protocol_options: connection_limits(it),
        http_protocol_options: (it.accept_http_10 || it.preserve_header_case).then(|| {
            core::Http1ProtocolOptions {
                accept_http_10: it.accept_http_10,
                ..protocol::http1(it.preserve_header_case)
            }
        }),
        http2_protocol_options: (it.http2 != Http2Options::default()).then(|| protocol::http2(&it.http2)),
        server_name: wire::optional_text(&it.server_name),
        server_header_transformation: server_header(it.server_header).into(),
        http1_safe_max_connection_duration: it.http1_safe_max_connection_duration,
        proxy_100_continue: it.proxy_100_continue,
        max_request_headers_kb: wire::optional_number(it.max_request_headers_kb),
        stream_idle_timeout: wire::optional_duration(it.stream_idle_timeout),
        request_timeout: wire::optional_duration(it.request_timeout),
        request_headers_timeout: wire::optional_duration(it.request_headers_timeout),
        drain_timeout: wire::optional_duration(it.drain_timeout),
        delayed_close_timeout: wire::optional_duration(it.delayed_close_timeout),
        access_log: access_log::access_logs(&it.access_log),
        use_remote_address: wire::truth(it.use_remote_address),
        xff_num_trusted_hops: it.xff_num_trusted_hops,
        append_x_forwarded_port: it.append_x_forwarded_port,
        generate_request_id: (!it.generate_request_id).then(|| wire::boolean(false)).flatten(),
        preserve_external_request_id: it.preserve_external_request_id,
        forward_client_cert_details: forward_client_cert(it.forward_client_cert).into(),
        set_current_client_cert_details: client_cert_details(it.client_cert_details),
        upgrade_configs: it.upgrades.iter().map(|name| upgrade(name)).collect(),
        normalize_path: wire::truth(it.normalize_path),
        merge_slashes: it.merge_slashes,
        path_with_escaped_slashes_action: escaped_slashes(it.escaped_slashes).into(),
        local_reply_config: it.local_reply.as_deref().map(local_reply::config),
        route_specifier: Some(route_specifier(&it.routes)),
        ..Default::default()
    }
}

fn codec(it: CodecType) -> nested::CodecType {
    match it {
        CodecType::Auto => nested::CodecType::Auto,
        CodecType::Http1 => nested::CodecType::Http1,
        CodecType::Http2 => nested::CodecType::Http2,
    }
}

/// What Envoy keeps to itself by default is said only where something else is wanted.
fn escaped_slashes(it: EscapedSlashes) -> nested::PathWithEscapedSlashesAction {
    use nested::PathWithEscapedSlashesAction as Action;
    match it {
        EscapedSlashes::KeepUnchanged => Action::ImplementationSpecificDefault,
        EscapedSlashes::RejectRequest => Action::RejectRequest,
        EscapedSlashes::UnescapeAndRedirect => Action::UnescapeAndRedirect,
        EscapedSlashes::UnescapeAndForward => Action::UnescapeAndForward,
    }
}

fn connection_limits(it: &HttpConnectionManager) -> Option<core::HttpProtocolOptions> {
    let options = core::HttpProtocolOptions {
        idle_timeout: wire::optional_duration(it.idle_timeout),
        max_connection_duration: wire::optional_duration(it.max_connection_duration),
        max_stream_duration: wire::optional_duration(it.max_stream_duration),
        max_requests_per_connection: wire::optional_number(it.max_requests_per_connection),
        max_headers_count: wire::optional_number(it.max_headers_count),
        max_connection_duration_jitter: it.max_connection_duration_jitter_percent.map(protocol::percent),
        headers_with_underscores_action: underscores(it.headers_with_underscores).into(),
        ..Default::default()
    };
    (options != core::HttpProtocolOptions::default()).then_some(options)
}

fn underscores(it: HeadersWithUnderscores) -> HeadersWithUnderscoresAction {
    match it {
        HeadersWithUnderscores::Allow => HeadersWithUnderscoresAction::Allow,
        HeadersWithUnderscores::RejectRequest => HeadersWithUnderscoresAction::RejectRequest,
        HeadersWithUnderscores::DropHeader => HeadersWithUnderscoresAction::DropHeader,
    }
}

fn server_header(it: ServerHeader) -> nested::ServerHeaderTransformation {
    match it {
        ServerHeader::Overwrite => nested::ServerHeaderTransformation::Overwrite,
        ServerHeader::AppendIfAbsent => nested::ServerHeaderTransformation::AppendIfAbsent,
        ServerHeader::PassThrough => nested::ServerHeaderTransformation::PassThrough,
    }
}

fn forward_client_cert(it: ForwardClientCert) -> nested::ForwardClientCertDetails {
    match it {
        ForwardClientCert::Sanitize => nested::ForwardClientCertDetails::Sanitize,
        ForwardClientCert::ForwardOnly => nested::ForwardClientCertDetails::ForwardOnly,
        ForwardClientCert::AppendForward => nested::ForwardClientCertDetails::AppendForward,
        ForwardClientCert::SanitizeSet => nested::ForwardClientCertDetails::SanitizeSet,
        ForwardClientCert::AlwaysForwardOnly => nested::ForwardClientCertDetails::AlwaysForwardOnly,
    }
}

fn client_cert_details(it: ClientCertDetails) -> Option<nested::SetCurrentClientCertDetails> {
    (it != ClientCertDetails::default()).then(|| nested::SetCurrentClientCertDetails {
        subject: wire::truth(it.subject),
        cert: it.cert,
        chain: it.chain,
        dns: it.dns,
        uri: it.uri,
        ..Default::default()
    })
}

fn upgrade(name: &str) -> nested::UpgradeConfig {
    nested::UpgradeConfig { upgrade_type: name.to_owned(), ..Default::default() }
}

fn route_specifier(it: &RouteSource) -> nested::RouteSpecifier {
    match it {
        RouteSource::Rds(name) => nested::RouteSpecifier::Rds(pb::Rds {
            config_source: Some(wire::ads()),
            route_config_name: name.to_string(),
        }),
        RouteSource::RdsFrom(name, source) => nested::RouteSpecifier::Rds(pb::Rds {
            config_source: Some(wire::config_source(source)),
            route_config_name: name.to_string(),
        }),
        RouteSource::Inline(config) => nested::RouteSpecifier::RouteConfig(route::route_config(config)),
    }
}
