//! The HTTP connection manager.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use stdx::Str;

use crate::local_reply::LocalReplyConfig;
use crate::{AccessLog, ConfigSource, HttpFilter, RouteConfig};

/// `envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HttpConnectionManager {
    pub stat_prefix: Str,
    pub codec: CodecType,
    pub routes: RouteSource,
    /// In order. The router is implied and comes last.
    pub http_filters: Vec<HttpFilter>,
    /// Of filters, by their places, what is not as usual.
    pub filter_marks: BTreeMap<usize, FilterMark>,
    pub access_log: Vec<AccessLog>,
    /// Protocols that `Upgrade` may ask for, lower case (`websocket`); `connect` is CONNECT.
    pub upgrades: Vec<Str>,
    pub use_remote_address: bool,
    /// Proxies in front of this one whose `x-forwarded-for` is believed.
    pub xff_num_trusted_hops: u32,
    pub forward_client_cert: ForwardClientCert,
    pub client_cert_details: ClientCertDetails,
    /// The `server` response header; `None` is `envoy`.
    pub server_name: Option<Str>,
    pub server_header: ServerHeader,
    pub generate_request_id: bool,
    /// Keep an `x-request-id` that came from outside (edge proxies replace it otherwise).
    pub preserve_external_request_id: bool,
    /// RFC 3986 dot segments and percent-encoding of unreserved characters.
    pub normalize_path: bool,
    pub merge_slashes: bool,
    /// What becomes of `%2F` and `%5C`, before the path is normalised.
    pub escaped_slashes: EscapedSlashes,
    pub http2: Http2Options,
    /// Without a byte on the stream in either direction. `None` is Envoy's default of 5 min, zero is off.
    pub stream_idle_timeout: Option<Duration>,
    /// For the whole request to arrive. Zero or `None` is off.
    pub request_timeout: Option<Duration>,
    /// For the request's head to arrive. Zero or `None` is off.
    pub request_headers_timeout: Option<Duration>,
    /// Of a connection without streams. `None` is Envoy's default of 1 h, zero is off.
    pub idle_timeout: Option<Duration>,
    pub max_connection_duration: Option<Duration>,
    /// At random, a connection lives longer by at most so much of it.
    pub max_connection_duration_jitter_percent: Option<u32>,
    /// An HTTP/1 connection that has reached `max_connection_duration` ends with its next response,
    /// told by `connection: close`; without it, also while it is idle.
    pub http1_safe_max_connection_duration: bool,
    /// Of a request and its response, where its route does not say. Zero or `None` is off.
    pub max_stream_duration: Option<Duration>,
    pub max_requests_per_connection: Option<u32>,
    /// Time between the announcement of a drain and the last GOAWAY. `None` is 5 s.
    pub drain_timeout: Option<Duration>,
    /// How long a client has for reading our last response and ending its side, over HTTP/1. `None` is
    /// Envoy's default of 1 s, zero is not at all.
    pub delayed_close_timeout: Option<Duration>,
    /// KiB. `None` is Envoy's default of 60.
    pub max_request_headers_kb: Option<u32>,
    /// Header lines of a request. `None` is Envoy's default of 100.
    pub max_headers_count: Option<u32>,
    pub headers_with_underscores: HeadersWithUnderscores,
    /// `Expect: 100-continue` is forwarded, and so is the upstream's 100. Otherwise we say it.
    pub proxy_100_continue: bool,
    /// HTTP/1.0 is answered, else refused with 426.
    pub accept_http_10: bool,
    /// `x-forwarded-port`: which port the client asked for, where nobody who is trusted has said it. At the
    /// edge (`use_remote_address`) those are proxies in front of this one, else everybody.
    pub append_x_forwarded_port: bool,
    /// The router's `suppress_envoy_headers`: neither endpoints nor clients are told what Envoy says of
    /// itself, such as `x-envoy-upstream-service-time`.
    pub suppress_envoy_headers: bool,
    /// Over HTTP/1 names of headers have the case that they were sent in: Envoy's `preserve_case`. Our
    /// proxy always keeps it.
    pub preserve_header_case: bool,
    /// What becomes of answers of our own.
    pub local_reply: Option<Box<LocalReplyConfig>>,
}

/// What an HTTP filter has besides its configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilterMark {
    /// Where it is not [`HttpFilter::own_name`]: routes switch it by this one.
    pub name: Option<Str>,
    /// Off, where no route switches it on.
    pub disabled: bool,
}

impl Default for HttpConnectionManager {
    /// Envoy's defaults.
    fn default() -> Self {
        HttpConnectionManager {
            stat_prefix: Str::default(),
            codec: CodecType::Auto,
            routes: RouteSource::Rds(Str::default()),
            http_filters: Vec::new(),
            filter_marks: BTreeMap::new(),
            access_log: Vec::new(),
            upgrades: Vec::new(),
            use_remote_address: false,
            xff_num_trusted_hops: 0,
            forward_client_cert: ForwardClientCert::Sanitize,
            client_cert_details: ClientCertDetails::default(),
            server_name: None,
            server_header: ServerHeader::Overwrite,
            generate_request_id: true,
            preserve_external_request_id: false,
            normalize_path: false,
            merge_slashes: false,
            escaped_slashes: EscapedSlashes::KeepUnchanged,
            http2: Http2Options::default(),
            stream_idle_timeout: None,
            request_timeout: None,
            request_headers_timeout: None,
            idle_timeout: None,
            max_connection_duration: None,
            max_connection_duration_jitter_percent: None,
            http1_safe_max_connection_duration: false,
            max_stream_duration: None,
            max_requests_per_connection: None,
            drain_timeout: None,
            delayed_close_timeout: None,
            max_request_headers_kb: None,
            max_headers_count: None,
            headers_with_underscores: HeadersWithUnderscores::Allow,
            proxy_100_continue: false,
            accept_http_10: false,
            append_x_forwarded_port: false,
            suppress_envoy_headers: false,
            preserve_header_case: false,
            local_reply: None,
        }
    }
}

/// `headers_with_underscores_action`: what becomes of a request with `_` in the name of a header. Some
/// servers take it for `-`, so that such a header passes for one that we have looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HeadersWithUnderscores {
    #[default]
    Allow,
    /// 400.
    RejectRequest,
    DropHeader,
}

/// How the protocol of a connection is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CodecType {
    /// By ALPN, else by the first bytes.
    #[default]
    Auto,
    Http1,
    Http2,
}

/// Where the route configuration comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RouteSource {
    /// By name, over ADS.
    Rds(Str),
    /// By name, from somewhere else.
    RdsFrom(Str, ConfigSource),
    Inline(Arc<RouteConfig>),
}

impl RouteSource {
    /// The name of the route configuration.
    pub fn name(&self) -> &Str {
        match self {
            RouteSource::Rds(name) | RouteSource::RdsFrom(name, _) => name,
            RouteSource::Inline(config) => &config.name,
        }
    }

    /// What a discovered route configuration is kept under; `None`: it is not discovered.
    pub fn key(&self) -> Option<Str> {
        match self {
            RouteSource::Rds(name) => Some(name.clone()),
            RouteSource::RdsFrom(name, source) => Some(source.key(name)),
            RouteSource::Inline(_) => None,
        }
    }
}

/// What happens to `x-forwarded-client-cert`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ForwardClientCert {
    #[default]
    Sanitize,
    ForwardOnly,
    AppendForward,
    SanitizeSet,
    AlwaysForwardOnly,
}

/// What an element of `x-forwarded-client-cert` says besides `By` and `Hash`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientCertDetails {
    pub subject: bool,
    pub cert: bool,
    pub chain: bool,
    pub dns: bool,
    pub uri: bool,
}

/// What happens to the `server` header of a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServerHeader {
    #[default]
    Overwrite,
    AppendIfAbsent,
    PassThrough,
}

/// `path_with_escaped_slashes_action`: what becomes of a path with `%2F` or `%5C` in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EscapedSlashes {
    #[default]
    KeepUnchanged,
    /// 400.
    RejectRequest,
    /// 307 to the path without escapes; gRPC, whose clients do not follow, gets 400.
    UnescapeAndRedirect,
    UnescapeAndForward,
}

/// `envoy.config.core.v3.Http2ProtocolOptions`, towards clients or endpoints. `None` is ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Http2Options {
    /// Bytes of HPACK's dynamic table that the peer may use. 4096.
    pub hpack_table_size: Option<u32>,
    /// At a time and connection, 1024. Towards clients what they are told; towards endpoints our own
    /// limit beside theirs.
    pub max_concurrent_streams: Option<u32>,
    /// Bytes. 256 KiB.
    pub initial_stream_window_size: Option<u32>,
    /// Bytes. Towards clients 24 MiB; towards endpoints as much as all streams may have together.
    pub initial_connection_window_size: Option<u32>,
    /// Extended CONNECT (RFC 8441): upgrades such as WebSocket over HTTP/2.
    pub allow_connect: bool,
    pub keepalive: Option<Http2Keepalive>,
}

/// `connection_keepalive`: PINGs, and for how long their answers are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Http2Keepalive {
    /// Between PINGs. `None`: only by `idle_interval`.
    pub interval: Option<Duration>,
    /// After which the connection is closed.
    pub timeout: Duration,
    /// In addition to the interval, at random, at most so much of it. `None` is Envoy's 15 %.
    pub jitter_percent: Option<u32>,
    /// Towards endpoints: a PING goes ahead of a request on a connection that had none for so long.
    pub idle_interval: Option<Duration>,
}
