//! `connectionSettings` of a ProxyConfig: limits and timeouts of clients' connections. See
//! <https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/#ProxyConfig-ConnectionSettings>.

use std::time::Duration;

use crate::reader::Item;
use crate::schema::macros::{choice, message};
use crate::schema::{boolean, choice as one_of, text, uint32};

message! {
    /// What clients may take. What is not said is as without these settings, or as the profile says.
    pub struct ConnectionSettings {
        "profile" profile: Option<Profile> = one_of(Profile::NAMES),
        /// Of a connection without requests.
        "httpIdleTimeout" idle_timeout: Option<Duration> = text(),
        "httpMaxConnectionDuration" max_connection_duration: Option<Duration> = text(),
        /// Between the first and the last GOAWAY.
        "httpDrainTimeout" drain_timeout: Option<Duration> = text(),
        /// For a whole request to arrive.
        "httpRequestTimeout" request_timeout: Option<Duration> = text(),
        /// For a request's head to arrive.
        "httpRequestHeadersTimeout" request_headers_timeout: Option<Duration> = text(),
        /// Of a stream on which nothing moves.
        "httpStreamIdleTimeout" stream_idle_timeout: Option<Duration> = text(),
        "httpMaxStreamDuration" max_stream_duration: Option<Duration> = text(),
        /// Of an HTTP/2 connection.
        "httpMaxConcurrentStreams" max_concurrent_streams: Option<u32> = uint32(),
        /// Bytes.
        "http2InitialStreamWindowSize" stream_window: Option<u32> = uint32(),
        "http2InitialConnectionWindowSize" connection_window: Option<u32> = uint32(),
        "httpHeadersWithUnderscoresAction" underscores: Option<Underscores> = one_of(Underscores::NAMES),
        "httpMergeSlashes" merge_slashes: Option<bool> = boolean(),
        "httpPathWithEscapedSlashesAction" escaped_slashes: Option<EscapedSlashes> =
            one_of(EscapedSlashes::NAMES),
        /// Connections of all listeners together.
        "globalDownstreamConnectionLimit" max_connections: Option<u32> = uint32(),
        /// Has no effect, like those below.
        "clusterPerConnectionBufferLimitBytes" cluster_buffer: Option<u32> = uint32(),
        "listenerConnectionLimit" listener_connections: Option<u32> = uint32(),
        "listenerPerConnectionBufferLimitBytes" listener_buffer: Option<u32> = uint32(),
    }
}

choice! {
    /// What holds where nothing is said.
    pub enum Profile {
        "SIDECAR" Sidecar,
        /// Envoy's advice for the edge of a network; for gateways.
        "EDGE" Edge,
    }
}

choice! {
    /// What becomes of headers with `_` in their names.
    pub enum Underscores {
        "HEADERS_WITH_UNDERSCORES_UNSPECIFIED" Unspecified,
        "HEADERS_WITH_UNDERSCORES_ALLOW" Allow,
        "HEADERS_WITH_UNDERSCORES_REJECT_REQUEST" RejectRequest,
        "HEADERS_WITH_UNDERSCORES_DROP_HEADER" DropHeader,
    }
}

choice! {
    /// What becomes of `%2F` and `%5C` in paths.
    pub enum EscapedSlashes {
        "PATH_WITH_ESCAPED_SLASHES_UNSPECIFIED" Unspecified,
        "KEEP_UNCHANGED" KeepUnchanged,
        "REJECT_REQUEST" RejectRequest,
        "UNESCAPE_AND_REDIRECT" UnescapeAndRedirect,
        "UNESCAPE_AND_FORWARD" UnescapeAndForward,
    }
}

/// Of an HTTP/2 window (RFC 9113, section 6.9.2).
const LEAST_WINDOW: u32 = 65_535;
const MOST: u32 = 0x7fff_ffff;

/// Bounds of numbers. Envoy would refuse a listener that breaks them.
const BOUNDS: [(&str, u32); 4] = [
    ("httpMaxConcurrentStreams", 1),
    ("http2InitialStreamWindowSize", LEAST_WINDOW),
    ("http2InitialConnectionWindowSize", LEAST_WINDOW),
    ("globalDownstreamConnectionLimit", 1),
];

/// Buffers of ours are fixed and bounded; Istio itself does not count the
/// connections of one listener.
const NO_EFFECT: [&str; 3] = [
    "clusterPerConnectionBufferLimitBytes",
    "listenerConnectionLimit",
    "listenerPerConnectionBufferLimitBytes",
];

/// Says what cannot be or has no effect, and takes out what cannot be.
pub(super) fn judge(item: &Item<'_>, settings: &mut ConnectionSettings) {
    let numbers = [
        &mut settings.max_concurrent_streams,
        &mut settings.stream_window,
        &mut settings.connection_window,
        &mut settings.max_connections,
    ];
    for ((name, least), number) in BOUNDS.into_iter().zip(numbers) {
        if number.is_some_and(|number| !(least..=MOST).contains(&number))
            && let Some(item) = item.field(name)
        {
            item.invalid(format!("must be from {least} to {MOST}"));
            *number = None;
        }
    }
    for name in NO_EFFECT {
        item.field(name).inspect(Item::no_effect);
    }
}

impl ConnectionSettings {
    /// These settings, and those of `base` where they say nothing.
    pub(super) fn over(self, base: &ConnectionSettings) -> ConnectionSettings {
        let underscores = self.underscores.filter(|own| *own != Underscores::Unspecified);
        let slashes = self.escaped_slashes.filter(|own| *own != EscapedSlashes::Unspecified);
        ConnectionSettings {
            profile: self.profile.filter(|own| *own != Profile::Sidecar).or(base.profile),
            idle_timeout: self.idle_timeout.or(base.idle_timeout),
            max_connection_duration: self.max_connection_duration.or(base.max_connection_duration),
            drain_timeout: self.drain_timeout.or(base.drain_timeout),
            request_timeout: self.request_timeout.or(base.request_timeout),
            request_headers_timeout: self.request_headers_timeout.or(base.request_headers_timeout),
            stream_idle_timeout: self.stream_idle_timeout.or(base.stream_idle_timeout),
            max_stream_duration: self.max_stream_duration.or(base.max_stream_duration),
            max_concurrent_streams: self.max_concurrent_streams.or(base.max_concurrent_streams),
            stream_window: self.stream_window.or(base.stream_window),
            connection_window: self.connection_window.or(base.connection_window),
            underscores: underscores.or(base.underscores),
            merge_slashes: self.merge_slashes.or(base.merge_slashes),
            escaped_slashes: slashes.or(base.escaped_slashes),
            max_connections: self.max_connections.or(base.max_connections),
            ..self
        }
    }

    /// With Istio's values for the edge, at gateways of that profile.
    pub fn at_gateways(self) -> ConnectionSettings {
        if self.profile != Some(Profile::Edge) {
            return self;
        }
        let minutes = |minutes: u64| Some(Duration::from_secs(60 * minutes));
        self.over(&ConnectionSettings {
            idle_timeout: minutes(60),
            stream_idle_timeout: minutes(5),
            request_timeout: minutes(5),
            request_headers_timeout: minutes(1),
            max_concurrent_streams: Some(100),
            stream_window: Some(64 * 1024),
            connection_window: Some(1024 * 1024),
            underscores: Some(Underscores::RejectRequest),
            merge_slashes: Some(true),
            escaped_slashes: Some(EscapedSlashes::UnescapeAndRedirect),
            ..ConnectionSettings::default()
        })
    }
}
