//! How a cluster's connections are made: protocol, limits, source address, socket options.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use ir::HttpProtocol;
use ir::cluster::TlsFromRequest;
use ir::http::Http2Options;

use super::at::At;
use super::strict::{refuse, refuse_true};
use super::{address, headers, protocol as options, wire};
use crate::Any;
use crate::encode::{SO_MARK, SOL_SOCKET};
use crate::names::HTTP_PROTOCOL_OPTIONS;
use crate::pb::cluster::cluster::ClusterProtocolSelection;
use crate::pb::core;
use crate::pb::google;
use crate::pb::upstream_http::http_protocol_options::explicit_http_config::ProtocolConfig;
use crate::pb::upstream_http::http_protocol_options::{
    AutoHttpConfig, ExplicitHttpConfig, UpstreamProtocolOptions, UseDownstreamHttpConfig,
};
use crate::pb::upstream_http::{self, HttpProtocolOptions};

pub(super) struct Options {
    pub protocol: HttpProtocol,
    pub http2: Http2Options,
    pub idle_timeout: Option<Duration>,
    pub max_requests_per_connection: Option<u32>,
    pub max_headers_count: Option<u32>,
    pub max_response_headers_kb: Option<u32>,
    pub max_connection_duration: Option<Duration>,
    pub tls_from_request: Option<TlsFromRequest>,
    pub preserve_header_case: bool,
}

/// The deprecated fields of a cluster that say the same.
pub(super) struct Legacy {
    pub common: Option<core::HttpProtocolOptions>,
    pub upstream: Option<core::UpstreamHttpProtocolOptions>,
    pub http1: Option<core::Http1ProtocolOptions>,
    pub http2: Option<core::Http2ProtocolOptions>,
    pub max_requests_per_connection: Option<google::UInt32Value>,
    pub protocol_selection: i32,
}

pub(super) fn protocol_options(at: At<'_>, all: HashMap<String, Any>, legacy: Legacy) -> Options {
    let mut found = None;
    for (name, any) in all {
        let at = at.key("typed_extension_protocol_options", &name);
        if name == HTTP_PROTOCOL_OPTIONS && wire::is::<HttpProtocolOptions>(&any) {
            found = Some(typed(at, wire::unpack(at, &any)));
        } else {
            wire::unknown_type(at, &any);
        }
    }
    match found {
        Some(options) => {
            let Legacy {
                common: common_http_protocol_options,
                upstream: upstream_http_protocol_options,
                http1: http_protocol_options,
                http2: http2_protocol_options,
                max_requests_per_connection,
                protocol_selection,
            } = legacy;
            refuse!(at; common_http_protocol_options, upstream_http_protocol_options, http_protocol_options,
                http2_protocol_options, max_requests_per_connection, protocol_selection);
            options
        }
        None => from_legacy(at, legacy),
    }
}

fn typed(at: At<'_>, it: HttpProtocolOptions) -> Options {
    let upstream_http::HttpProtocolOptions {
        common_http_protocol_options,
        upstream_http_protocol_options,
        http_filters,
        header_validation_config,
        outlier_detection,
        request_mirror_policies,
        hash_policy,
        retry_policy,
        upstream_protocol_options,
    } = it;
    refuse!(at; http_filters, header_validation_config, outlier_detection, request_mirror_policies, hash_policy,
        retry_policy);
    let tls_from_request =
        tls_from_request(at.field("upstream_http_protocol_options"), upstream_http_protocol_options);
    let common =
        options::common_options(at.field("common_http_protocol_options"), common_http_protocol_options);
    streams(at.field("common_http_protocol_options"), &common);
    let Spoken { protocol, preserve_header_case, http2 } = protocol(at, upstream_protocol_options);
    Options {
        protocol,
        preserve_header_case,
        http2,
        idle_timeout: common.idle_timeout,
        max_requests_per_connection: common.max_requests_per_connection,
        max_headers_count: common.max_headers_count,
        max_response_headers_kb: common.max_response_headers_kb,
        max_connection_duration: common.max_connection_duration,
        tls_from_request,
    }
}

/// Honoured towards clients only.
fn streams(at: At<'_>, it: &options::CommonOptions) {
    let options::CommonOptions {
        max_stream_duration,
        max_connection_duration_jitter_percent: max_connection_duration_jitter,
        headers_with_underscores: headers_with_underscores_action,
        ..
    } = *it;
    refuse!(at; max_stream_duration, max_connection_duration_jitter, headers_with_underscores_action);
}

/// Server name and expected name from the request.
fn tls_from_request(at: At<'_>, it: Option<core::UpstreamHttpProtocolOptions>) -> Option<TlsFromRequest> {
    let core::UpstreamHttpProtocolOptions { auto_sni, auto_san_validation, override_auto_sni_header } = it?;
    if !(auto_sni || auto_san_validation) {
        if !override_auto_sni_header.is_empty() {
            at.field("override_auto_sni_header")
                .refuse("has no effect without auto_sni or auto_san_validation");
        }
        return None;
    }
    let header = (!override_auto_sni_header.is_empty())
        .then(|| headers::read_name(at.field("override_auto_sni_header"), override_auto_sni_header));
    Some(TlsFromRequest { sni: auto_sni, san_validation: auto_san_validation, header })
}

/// What HTTP is spoken, and how.
struct Spoken {
    protocol: HttpProtocol,
    preserve_header_case: bool,
    http2: Http2Options,
}

fn protocol(at: At<'_>, it: Option<UpstreamProtocolOptions>) -> Spoken {
    match it {
        Some(UpstreamProtocolOptions::ExplicitHttpConfig(it)) => {
            explicit(at.field("explicit_http_config"), it)
        }
        Some(UpstreamProtocolOptions::UseDownstreamProtocolConfig(it)) => {
            let at = at.field("use_downstream_protocol_config");
            let UseDownstreamHttpConfig {
                http_protocol_options,
                http2_protocol_options,
                http3_protocol_options,
            } = it;
            refuse!(at; http3_protocol_options);
            both(at, HttpProtocol::UseDownstream, http_protocol_options, http2_protocol_options)
        }
        Some(UpstreamProtocolOptions::AutoConfig(it)) => {
            let at = at.field("auto_config");
            let AutoHttpConfig {
                http_protocol_options,
                http2_protocol_options,
                http3_protocol_options,
                alternate_protocols_cache_options,
            } = it;
            refuse!(at; http3_protocol_options, alternate_protocols_cache_options);
            both(at, HttpProtocol::Auto, http_protocol_options, http2_protocol_options)
        }
        None => {
            at.refuse("explicit_http_config, use_downstream_protocol_config or auto_config is required");
            neither()
        }
    }
}

/// In place of what was refused.
fn neither() -> Spoken {
    Spoken { protocol: HttpProtocol::Http1, preserve_header_case: false, http2: Http2Options::default() }
}

fn explicit(at: At<'_>, it: ExplicitHttpConfig) -> Spoken {
    match it.protocol_config {
        Some(ProtocolConfig::HttpProtocolOptions(it)) => {
            return Spoken { preserve_header_case: http1(at, Some(it)), ..neither() };
        }
        Some(ProtocolConfig::Http2ProtocolOptions(it)) => {
            let http2 = options::http2(at.field("http2_protocol_options"), it);
            return Spoken { protocol: HttpProtocol::Http2, http2, ..neither() };
        }
        Some(ProtocolConfig::Http3ProtocolOptions(_)) => at.unsupported("http3_protocol_options"),
        None => at.refuse("http_protocol_options or http2_protocol_options is required"),
    }
    neither()
}

fn both(
    at: At<'_>,
    protocol: HttpProtocol,
    one: Option<core::Http1ProtocolOptions>,
    two: Option<core::Http2ProtocolOptions>,
) -> Spoken {
    let preserve_header_case = http1(at, one);
    let http2 =
        two.map_or_else(Http2Options::default, |it| options::http2(at.field("http2_protocol_options"), it));
    Spoken { protocol, preserve_header_case, http2 }
}

/// Whether names of headers keep their case.
fn http1(at: At<'_>, it: Option<core::Http1ProtocolOptions>) -> bool {
    let Some(it) = it else { return false };
    let at = at.field("http_protocol_options");
    let read = options::http1(at, it);
    if read.accept_http_10 {
        at.field("accept_http_10").refuse("has no effect towards an upstream");
    }
    read.preserve_header_case
}

fn from_legacy(at: At<'_>, it: Legacy) -> Options {
    let tls_from_request = tls_from_request(at.field("upstream_http_protocol_options"), it.upstream);
    let common = options::common_options(at.field("common_http_protocol_options"), it.common);
    streams(at.field("common_http_protocol_options"), &common);
    let preserve_header_case = http1(at, it.http1);
    let http2 = it.http2.map(|it| options::http2(at.field("http2_protocol_options"), it));
    let selection = wire::enumeration(at.field("protocol_selection"), it.protocol_selection);
    Options {
        protocol: match (selection, http2.is_some()) {
            (ClusterProtocolSelection::UseDownstreamProtocol, _) => HttpProtocol::UseDownstream,
            (ClusterProtocolSelection::UseConfiguredProtocol, true) => HttpProtocol::Http2,
            (ClusterProtocolSelection::UseConfiguredProtocol, false) => HttpProtocol::Http1,
        },
        http2: http2.unwrap_or_default(),
        preserve_header_case,
        idle_timeout: common.idle_timeout,
        max_requests_per_connection: common
            .max_requests_per_connection
            .or(wire::optional_number(it.max_requests_per_connection)),
        max_headers_count: common.max_headers_count,
        max_response_headers_kb: common.max_response_headers_kb,
        max_connection_duration: common.max_connection_duration,
        tls_from_request,
    }
}

#[derive(Default)]
pub(super) struct Bind {
    pub source: Option<IpAddr>,
    pub mark: Option<u32>,
}

pub(super) fn bind_config(at: At<'_>, it: core::BindConfig) -> Bind {
    let core::BindConfig {
        source_address,
        freebind,
        socket_options,
        extra_source_addresses,
        additional_source_addresses,
        local_address_selector,
        validate_network_namespaces,
    } = it;
    refuse!(at; extra_source_addresses, additional_source_addresses, local_address_selector,
        validate_network_namespaces);
    refuse_true!(at; freebind);
    let mut mark = None;
    for (index, it) in socket_options.into_iter().enumerate() {
        mark = socket_mark(at.index("socket_options", index), it);
    }
    Bind { source: source_address.and_then(|it| address::source(at.field("source_address"), it)), mark }
}

fn socket_mark(at: At<'_>, it: core::SocketOption) -> Option<u32> {
    use core::socket_option::{SocketState, Value};
    let core::SocketOption { description, level, name, state, r#type, ip_version, value } = it;
    super::strict::harmless!(Label; description);
    refuse!(at; r#type, ip_version);
    let known = level == SOL_SOCKET && name == SO_MARK && state == SocketState::StatePrebind as i32;
    match value {
        Some(Value::IntValue(value)) if known => match u32::try_from(value) {
            Ok(mark) => return Some(mark),
            Err(_) => at.field("int_value").refuse(format!("{value} is not a mark")),
        },
        _ => at.refuse("only SO_MARK (level 1, name 36, before binding) is supported"),
    }
    None
}
