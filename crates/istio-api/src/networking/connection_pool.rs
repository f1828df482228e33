//! ConnectionPoolSettings of a DestinationRule or Sidecar:
//! <https://istio.io/latest/docs/reference/config/networking/destination-rule/#ConnectionPoolSettings>.

use std::time::Duration;

use crate::schema::macros::{choice, message};
use crate::schema::{boolean, choice as one_of, duration, int32, object, text, uint32};

message! {
    /// Limits on the connections and requests to a service.
    pub struct ConnectionPool {
        /// For TCP, and for the connections below HTTP.
        "tcp" tcp: Option<TcpSettings> = object(&TcpSettings::MESSAGE),
        "http" http: Option<HttpSettings> = object(&HttpSettings::MESSAGE),
    }
}

message! {
    /// Settings common to HTTP and TCP connections.
    pub struct TcpSettings {
        /// Connections to a destination host; 2^32-1 without.
        "maxConnections" max_connections: Option<i32> = int32(),
        /// 10s without.
        "connectTimeout" connect_timeout: Option<Duration> = duration(),
        "tcpKeepalive" tcp_keepalive: Option<TcpKeepalive> = object(&TcpKeepalive::MESSAGE),
        /// A connection is closed when it is this old.
        "maxConnectionDuration" max_connection_duration: Option<Duration> = duration(),
        /// A connection without traffic is closed after this; 0s means never, 1h without.
        "idleTimeout" idle_timeout: Option<Duration> = text(),
    }
}

message! {
    /// SO_KEEPALIVE and its parameters; the system's own where one is absent.
    pub struct TcpKeepalive {
        /// Probes without an answer until the connection is dead.
        "probes" probes: Option<u32> = uint32(),
        /// Idle time before the first probe.
        "time" time: Option<Duration> = duration(),
        /// Time between probes.
        "interval" interval: Option<Duration> = duration(),
    }
}

message! {
    /// Settings for HTTP/1.1, HTTP/2 and gRPC.
    pub struct HttpSettings {
        /// Requests that wait for a connection.
        "http1MaxPendingRequests" http1_max_pending_requests: Option<i32> = int32(),
        /// Requests under way to a destination host.
        "http2MaxRequests" http2_max_requests: Option<i32> = int32(),
        /// Requests after which a connection is closed; 0: no limit.
        "maxRequestsPerConnection" max_requests_per_connection: Option<i32> = int32(),
        /// Retries under way to a destination host.
        "maxRetries" max_retries: Option<i32> = int32(),
        /// A connection without requests is closed after this; 1h without.
        "idleTimeout" idle_timeout: Option<Duration> = duration(),
        "h2UpgradePolicy" h2_upgrade_policy: Option<H2UpgradePolicy> = one_of(H2UpgradePolicy::NAMES),
        /// The protocol of the client's connection is also used upstream.
        "useClientProtocol" use_client_protocol: bool = boolean(),
        /// Streams of one HTTP/2 connection.
        "maxConcurrentStreams" max_concurrent_streams: Option<i32> = int32(),
        "http2KeepAlive" http2_keep_alive: Option<Http2KeepAlive> = object(&Http2KeepAlive::MESSAGE),
    }
}

message! {
    /// PING frames that find out whether an HTTP/2 connection is alive.
    pub struct Http2KeepAlive {
        /// Time between PINGs.
        "interval" interval: Option<Duration> = duration(),
        /// The connection is closed when no answer came for this long.
        "timeout" timeout: Option<Duration> = duration(),
    }
}

choice! {
    /// Whether HTTP/1.1 is upgraded to HTTP/2.
    pub enum H2UpgradePolicy {
        /// As the mesh says.
        "DEFAULT" Default,
        "DO_NOT_UPGRADE" DoNotUpgrade,
        "UPGRADE" Upgrade,
    }
}
