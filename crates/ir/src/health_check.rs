//! Asking endpoints whether they are well.

use std::collections::BTreeMap;
use std::time::Duration;

use stdx::Str;

use crate::StringMatcher;
use crate::route::HeaderValue;

/// `envoy.config.core.v3.HealthCheck`.
/// See <https://www.envoyproxy.io/docs/envoy/v1.40.0/intro/arch_overview/upstream/health_checking>.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HealthCheck {
    pub timeout: Duration,
    pub interval: Duration,
    /// The first check waits for a random time up to this.
    pub initial_jitter: Option<Duration>,
    /// Added at random to each interval.
    pub interval_jitter: Option<Duration>,
    /// Of the interval, added at random.
    pub interval_jitter_percent: u32,
    /// Failures in a row. A status that is not expected is enough alone, unless it is retriable.
    pub unhealthy_threshold: u32,
    /// Successes in a row. The first check after the start is enough alone.
    pub healthy_threshold: u32,
    /// In place of the endpoint's.
    pub alt_port: Option<u16>,
    /// Keep the connection between checks (`None`: yes).
    pub reuse_connection: bool,
    /// While the cluster was never used (`None`: 60 s).
    pub no_traffic_interval: Option<Duration>,
    /// The same, for endpoints that are healthy.
    pub no_traffic_healthy_interval: Option<Duration>,
    /// In place of `interval` while unhealthy.
    pub unhealthy_interval: Option<Duration>,
    /// Just after it became unhealthy.
    pub unhealthy_edge_interval: Option<Duration>,
    /// Just after it became healthy.
    pub healthy_edge_interval: Option<Duration>,
    /// ALPN of checks over TLS, in place of the transport's.
    pub alpn: Vec<Str>,
    /// In place of the endpoint's transport metadata.
    pub transport_criteria: BTreeMap<Str, Str>,
    pub checker: HealthChecker,
}

/// What a check does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HealthChecker {
    Http(HttpCheck),
    Tcp(TcpCheck),
    Grpc(GrpcCheck),
}

/// `HttpHealthCheck`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct HttpCheck {
    /// Empty: the endpoint's host name, else the cluster's name.
    pub host: Str,
    pub path: Str,
    pub method: CheckMethod,
    pub headers: Vec<HeaderValue>,
    /// Lower case.
    pub remove_headers: Vec<Str>,
    /// Half-open ranges; empty: 200.
    pub expected_statuses: Vec<(u16, u16)>,
    /// Not expected, but one alone is not enough.
    pub retriable_statuses: Vec<(u16, u16)>,
    pub http2: bool,
    /// What the body must have in it, each after the one before; looked for in its first bytes.
    pub receive: Vec<Vec<u8>>,
    /// Bytes of the body to look at (`None`: 1,024; zero: all).
    pub response_buffer_size: Option<u64>,
    /// `x-envoy-upstream-healthchecked-cluster` must be like this.
    pub service_name: Option<StringMatcher>,
}

/// The methods that Envoy allows for checks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CheckMethod {
    #[default]
    Get,
    Head,
    Post,
    Put,
    Delete,
    Options,
    Trace,
    Patch,
}

impl CheckMethod {
    pub fn as_str(self) -> &'static str {
        match self {
            CheckMethod::Get => "GET",
            CheckMethod::Head => "HEAD",
            CheckMethod::Post => "POST",
            CheckMethod::Put => "PUT",
            CheckMethod::Delete => "DELETE",
            CheckMethod::Options => "OPTIONS",
            CheckMethod::Trace => "TRACE",
            CheckMethod::Patch => "PATCH",
        }
    }
}

/// `TcpHealthCheck`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TcpCheck {
    /// Empty: connecting is enough.
    pub send: Vec<u8>,
    /// Each after the one before.
    pub receive: Vec<Vec<u8>>,
}

/// `GrpcHealthCheck`: `grpc.health.v1.Health/Check`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrpcCheck {
    /// Empty: the server as a whole.
    pub service_name: Str,
    /// Empty: the endpoint's host name, else the cluster's name.
    pub authority: Str,
    pub initial_metadata: Vec<HeaderValue>,
}
