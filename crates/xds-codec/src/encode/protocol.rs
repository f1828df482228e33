//! Options of HTTP connections, towards clients and towards upstreams.

use ir::http::{Http2Keepalive, Http2Options};

use super::wire;
use crate::names;
use crate::pb::core::http1_protocol_options::{HeaderKeyFormat, header_key_format::HeaderFormat};
use crate::pb::preserve_case::PreserveCaseFormatterConfig;
use crate::pb::{core, envoy_type};

/// Of HTTP/1 connections.
pub(super) fn http1(preserve_header_case: bool) -> core::Http1ProtocolOptions {
    let formatter = || core::TypedExtensionConfig {
        name: names::PRESERVE_CASE.into(),
        typed_config: Some(wire::pack(&PreserveCaseFormatterConfig::default())),
    };
    core::Http1ProtocolOptions {
        header_key_format: preserve_header_case
            .then(|| HeaderKeyFormat { header_format: Some(HeaderFormat::StatefulFormatter(formatter())) }),
        ..Default::default()
    }
}

pub(super) fn http2(it: &Http2Options) -> core::Http2ProtocolOptions {
    core::Http2ProtocolOptions {
        hpack_table_size: wire::optional_number(it.hpack_table_size),
        max_concurrent_streams: wire::optional_number(it.max_concurrent_streams),
        initial_stream_window_size: wire::optional_number(it.initial_stream_window_size),
        initial_connection_window_size: wire::optional_number(it.initial_connection_window_size),
        allow_connect: it.allow_connect,
        connection_keepalive: it.keepalive.as_ref().map(keepalive),
        ..Default::default()
    }
}

fn keepalive(it: &Http2Keepalive) -> core::KeepaliveSettings {
    core::KeepaliveSettings {
        interval: wire::optional_duration(it.interval),
        timeout: Some(wire::duration(it.timeout)),
        interval_jitter: it.jitter_percent.map(percent),
        connection_idle_interval: wire::optional_duration(it.idle_interval),
    }
}

pub(super) fn percent(whole: u32) -> envoy_type::Percent {
    envoy_type::Percent { value: whole.into() }
}
