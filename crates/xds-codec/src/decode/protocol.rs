//! Options of HTTP connections, towards clients and towards upstreams.

use std::time::Duration;

use ir::http::{HeadersWithUnderscores, Http2Keepalive, Http2Options};

use super::at::At;
use super::strict::{harmless, refuse, refuse_true};
use super::wire;
use crate::pb::core::http_protocol_options::HeadersWithUnderscoresAction;
use crate::pb::core::http1_protocol_options::header_key_format::HeaderFormat;
use crate::pb::preserve_case::PreserveCaseFormatterConfig;
use crate::pb::{core, google};

/// Of Envoy's `max_request_headers_kb` and `max_response_headers_kb`.
const MAX_HEAD_KB: u32 = 8192;

/// What of `core.v3.HttpProtocolOptions` is honoured, for listeners and clusters alike.
#[derive(Default)]
pub(super) struct CommonOptions {
    pub idle_timeout: Option<Duration>,
    pub max_connection_duration: Option<Duration>,
    pub max_stream_duration: Option<Duration>,
    pub max_requests_per_connection: Option<u32>,
    pub max_headers_count: Option<u32>,
    pub max_response_headers_kb: Option<u32>,
    /// For clients only.
    pub max_connection_duration_jitter_percent: Option<u32>,
    pub headers_with_underscores: HeadersWithUnderscores,
}

pub(super) fn common_options(at: At<'_>, it: Option<core::HttpProtocolOptions>) -> CommonOptions {
    let Some(core::HttpProtocolOptions {
        idle_timeout,
        max_connection_duration,
        max_connection_duration_jitter,
        max_headers_count,
        max_response_headers_kb,
        max_stream_duration,
        headers_with_underscores_action,
        max_requests_per_connection,
    }) = it
    else {
        return CommonOptions::default();
    };
    CommonOptions {
        idle_timeout: wire::optional_duration(at.field("idle_timeout"), idle_timeout),
        max_connection_duration: wire::optional_duration(
            at.field("max_connection_duration"),
            max_connection_duration,
        ),
        max_stream_duration: wire::optional_duration(at.field("max_stream_duration"), max_stream_duration),
        max_requests_per_connection: wire::optional_number(max_requests_per_connection),
        max_headers_count: at_least_one(at.field("max_headers_count"), max_headers_count),
        max_response_headers_kb: head_kb(at.field("max_response_headers_kb"), max_response_headers_kb),
        max_connection_duration_jitter_percent: max_connection_duration_jitter
            .map(|it| whole_percent(at.field("max_connection_duration_jitter"), it.value)),
        headers_with_underscores: underscores(
            at.field("headers_with_underscores_action"),
            headers_with_underscores_action,
        ),
    }
}

fn underscores(at: At<'_>, it: i32) -> HeadersWithUnderscores {
    match wire::enumeration(at, it) {
        HeadersWithUnderscoresAction::Allow => HeadersWithUnderscores::Allow,
        HeadersWithUnderscoresAction::RejectRequest => HeadersWithUnderscores::RejectRequest,
        HeadersWithUnderscoresAction::DropHeader => HeadersWithUnderscores::DropHeader,
    }
}

/// Zero would refuse every message; Envoy refuses it, too.
fn at_least_one(at: At<'_>, it: Option<google::UInt32Value>) -> Option<u32> {
    let count = wire::optional_number(it);
    if count == Some(0) {
        at.refuse("must not be 0");
    }
    count
}

/// The size of a head in KiB, within Envoy's bounds.
pub(super) fn head_kb(at: At<'_>, it: Option<google::UInt32Value>) -> Option<u32> {
    let kb = wire::optional_number(it);
    if let Some(kb) = kb.filter(|kb| !(1..=MAX_HEAD_KB).contains(kb)) {
        at.refuse(format!("{kb} is not from 1 to {MAX_HEAD_KB}"));
    }
    kb
}

/// What of `core.v3.Http1ProtocolOptions` is honoured.
#[derive(Default)]
pub(super) struct Http1Options {
    pub accept_http_10: bool,
    pub preserve_header_case: bool,
}

pub(super) fn http1(at: At<'_>, it: core::Http1ProtocolOptions) -> Http1Options {
    let core::Http1ProtocolOptions {
        allow_absolute_url,
        accept_http_10,
        default_host_for_http_10,
        header_key_format,
        enable_trailers,
        allow_chunked_length,
        override_stream_error_on_invalid_http_message,
        send_fully_qualified_url,
        use_balsa_parser,
        allow_custom_methods,
        ignore_http_11_upgrade,
    } = it;
    refuse!(at; default_host_for_http_10, allow_chunked_length,
        send_fully_qualified_url, ignore_http_11_upgrade);
    refuse_true!(at; override_stream_error_on_invalid_http_message);
    // Trailers are always read and passed on. Our parser takes any method that is a token.
    let _ = enable_trailers;
    harmless!(NoSuchMechanism; use_balsa_parser, allow_custom_methods);
    if !wire::flag(allow_absolute_url, true) {
        at.field("allow_absolute_url").refuse("false is not supported");
    }
    let preserve_header_case =
        header_key_format.is_some_and(|it| keeps_case(at.field("header_key_format"), it));
    Http1Options { accept_http_10, preserve_header_case }
}

/// Whether names of headers keep their case. Of other formats there is none.
fn keeps_case(at: At<'_>, it: core::http1_protocol_options::HeaderKeyFormat) -> bool {
    match it.header_format {
        Some(HeaderFormat::StatefulFormatter(core::TypedExtensionConfig {
            name,
            typed_config: Some(any),
        })) if wire::is::<PreserveCaseFormatterConfig>(&any) => {
            harmless!(Label; name);
            let at = at.field("stateful_formatter.typed_config");
            let PreserveCaseFormatterConfig { forward_reason_phrase, formatter_type_on_envoy_headers } =
                wire::unpack(at, &any);
            refuse!(at; forward_reason_phrase, formatter_type_on_envoy_headers);
            true
        }
        Some(HeaderFormat::StatefulFormatter(_)) => {
            at.unsupported("stateful_formatter");
            false
        }
        Some(HeaderFormat::ProperCaseWords(_)) => {
            at.unsupported("proper_case_words");
            false
        }
        None => {
            at.refuse("stateful_formatter is required");
            false
        }
    }
}

pub(super) fn http2(at: At<'_>, it: core::Http2ProtocolOptions) -> Http2Options {
    let core::Http2ProtocolOptions {
        hpack_table_size,
        max_concurrent_streams,
        initial_stream_window_size,
        initial_connection_window_size,
        allow_connect,
        allow_metadata,
        max_outbound_frames,
        max_outbound_control_frames,
        max_consecutive_inbound_frames_with_empty_payload,
        max_inbound_priority_frames_per_stream,
        max_inbound_window_update_frames_per_data_frame_sent,
        stream_error_on_invalid_http_messaging,
        override_stream_error_on_invalid_http_message,
        custom_settings_parameters,
        connection_keepalive,
        use_oghttp2_codec,
        max_metadata_size,
        enable_huffman_encoding,
        max_header_field_size_kb,
        disallow_obs_text,
        stream_reset_burst,
        stream_reset_rate,
    } = it;
    refuse!(at; allow_metadata, custom_settings_parameters, max_header_field_size_kb);
    refuse_true!(at; disallow_obs_text);
    // Limits against floods, for which we have our own.
    harmless!(Tuning; max_outbound_frames, max_outbound_control_frames,
        max_consecutive_inbound_frames_with_empty_payload, max_inbound_priority_frames_per_stream,
        max_inbound_window_update_frames_per_data_frame_sent, enable_huffman_encoding, stream_reset_burst,
        stream_reset_rate);
    harmless!(NoSuchMechanism; use_oghttp2_codec, max_metadata_size);
    // A malformed message always ends its stream, and never the connection.
    harmless!(NoSuchMechanism; stream_error_on_invalid_http_messaging,
        override_stream_error_on_invalid_http_message);
    let bounded = |name, least, it| bounded(at.field(name), least, wire::optional_number(it));
    Http2Options {
        hpack_table_size: wire::optional_number(hpack_table_size),
        max_concurrent_streams: bounded("max_concurrent_streams", 1, max_concurrent_streams),
        initial_stream_window_size: bounded(
            "initial_stream_window_size",
            MIN_WINDOW,
            initial_stream_window_size,
        ),
        initial_connection_window_size: bounded(
            "initial_connection_window_size",
            MIN_WINDOW,
            initial_connection_window_size,
        ),
        allow_connect,
        keepalive: connection_keepalive.and_then(|it| keepalive(at.field("connection_keepalive"), it)),
    }
}

/// Envoy's bounds for windows and counts of streams (RFC 9113, section 6.9.1).
const MIN_WINDOW: u32 = 65_535;
const MAX_WINDOW: u32 = 0x7fff_ffff;

fn bounded(at: At<'_>, least: u32, it: Option<u32>) -> Option<u32> {
    let value = it?;
    if !(least..=MAX_WINDOW).contains(&value) {
        at.refuse(format!("{value} is not from {least} to {MAX_WINDOW}"));
        return None;
    }
    Some(value)
}

/// `None` where it asks for nothing.
fn keepalive(at: At<'_>, it: core::KeepaliveSettings) -> Option<Http2Keepalive> {
    let core::KeepaliveSettings { interval, timeout, interval_jitter, connection_idle_interval } = it;
    let duration = |name, it| wire::optional_duration(at.field(name), it).filter(|it| !it.is_zero());
    let interval = duration("interval", interval);
    let idle_interval = duration("connection_idle_interval", connection_idle_interval);
    let timeout = duration("timeout", timeout).unwrap_or_else(|| {
        at.field("timeout").refuse("is required and must not be zero");
        Duration::ZERO
    });
    let jitter_percent = interval_jitter.map(|it| whole_percent(at.field("interval_jitter"), it.value));
    (interval.is_some() || idle_interval.is_some()).then_some(Http2Keepalive {
        interval,
        timeout,
        jitter_percent,
        idle_interval,
    })
}

fn whole_percent(at: At<'_>, value: f64) -> u32 {
    match (0..=100u32).find(|whole| f64::from(*whole) == value) {
        Some(whole) => whole,
        None => {
            at.refuse(format!("{value} is not a whole number from 0 to 100"));
            0
        }
    }
}
