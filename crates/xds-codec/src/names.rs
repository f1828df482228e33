//! Names on the wire that are no types: extensions, metadata keys, well-known strings.

pub const HTTP_CONNECTION_MANAGER: &str = "envoy.filters.network.http_connection_manager";
pub const TCP_PROXY: &str = "envoy.filters.network.tcp_proxy";
pub const NETWORK_RBAC: &str = "envoy.filters.network.rbac";
pub const CONNECTION_LIMIT: &str = "envoy.filters.network.connection_limit";
pub const NETWORK_DIRECT_RESPONSE: &str = "envoy.filters.network.direct_response";

/// As Istio writes it. Envoy goes by the type.
pub const SNI_FORWARD_PROXY: &str = "envoy.extensions.filters.network.sni_dynamic_forward_proxy";
pub const FORWARD_PROXY_CLUSTER: &str = "envoy.clusters.dynamic_forward_proxy";

pub const ROUTER: &str = "envoy.filters.http.router";
pub const HTTP_RBAC: &str = "envoy.filters.http.rbac";
/// This and the following are also keys of `typed_per_filter_config`.
pub const FAULT: &str = "envoy.filters.http.fault";
pub const SET_FILTER_STATE: &str = "envoy.filters.http.set_filter_state";
pub const GRPC_STATS: &str = "envoy.filters.http.grpc_stats";
pub const CORS: &str = "envoy.filters.http.cors";
pub const JWT_AUTHN: &str = "envoy.filters.http.jwt_authn";
pub const LOCAL_RATE_LIMIT: &str = "envoy.filters.http.local_ratelimit";
pub const EXT_AUTHZ: &str = "envoy.filters.http.ext_authz";
pub const HEADER_MUTATION: &str = "envoy.filters.http.header_mutation";
pub const COMPRESSOR: &str = "envoy.filters.http.compressor";
pub const BUFFER: &str = "envoy.filters.http.buffer";
pub const HEALTH_CHECK: &str = "envoy.filters.http.health_check";
pub const FORWARD_PROXY: &str = "envoy.filters.http.dynamic_forward_proxy";
pub const ISTIO_STATS: &str = "istio.stats";
pub const ISTIO_ALPN: &str = "istio.alpn";
pub const PEER_METADATA: &str = "envoy.filters.http.peer_metadata";

pub const ORIGINAL_DST: &str = "envoy.filters.listener.original_dst";
pub const TLS_INSPECTOR: &str = "envoy.filters.listener.tls_inspector";
pub const HTTP_INSPECTOR: &str = "envoy.filters.listener.http_inspector";

pub const TLS_SOCKET: &str = "envoy.transport_sockets.tls";
pub const RAW_BUFFER_SOCKET: &str = "envoy.transport_sockets.raw_buffer";

pub const LISTENER_PROXY_PROTOCOL: &str = "envoy.filters.listener.proxy_protocol";
pub const UPSTREAM_PROXY_PROTOCOL: &str = "envoy.transport_sockets.upstream_proxy_protocol";
pub const CARES_RESOLVER: &str = "envoy.network.dns_resolver.cares";

pub const FILE_ACCESS_LOG: &str = "envoy.access_loggers.file";
pub const STDOUT_ACCESS_LOG: &str = "envoy.access_loggers.stdout";
pub const STDERR_ACCESS_LOG: &str = "envoy.access_loggers.stderr";

pub const PREVIOUS_ROUTES: &str = "envoy.internal_redirect_predicates.previous_routes";
pub const ALLOW_LISTED_ROUTES: &str = "envoy.internal_redirect_predicates.allow_listed_routes";
pub const SAFE_CROSS_SCHEME: &str = "envoy.internal_redirect_predicates.safe_cross_scheme";

pub const PRESERVE_CASE: &str = "envoy.http.stateful_header_formatters.preserve_case";

pub const PREVIOUS_HOSTS: &str = "envoy.retry_host_predicates.previous_hosts";
pub const PREVIOUS_PRIORITIES: &str = "envoy.retry_priorities.previous_priorities";

/// Key of a cluster's `typed_extension_protocol_options`.
pub const HTTP_PROTOCOL_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// Filter state that overrides the ALPN of the upstream connection, comma separated.
pub const APPLICATION_PROTOCOLS: &str = "envoy.network.application_protocols";

/// Endpoint metadata that chooses a transport.
pub const TRANSPORT_MATCH: &str = "envoy.transport_socket_match";
/// Endpoint metadata that chooses subsets.
pub const LB_METADATA: &str = "envoy.lb";
/// Metadata as Istio writes it: `config`, `services`, `workload`.
pub const ISTIO_METADATA: &str = "istio";
/// Our own metadata: the [`model::Origin`].
pub const LATEEN_METADATA: &str = "lateen";

/// Envoy's limit for the body of a direct response, unless the route configuration raises it.
pub const DIRECT_RESPONSE_LIMIT: usize = 4096;
