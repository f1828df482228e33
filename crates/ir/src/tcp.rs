//! The TCP proxy filter.

use std::time::Duration;

use stdx::Str;

use crate::AccessLog;

/// `envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TcpProxy {
    pub stat_prefix: Str,
    pub clusters: TcpClusters,
    /// Closes a connection on which no byte moved. `None` is Envoy's default of 1 h, zero is off.
    pub idle_timeout: Option<Duration>,
    /// At least 1.
    pub max_connect_attempts: u32,
    pub access_log: Vec<AccessLog>,
}

/// Where the bytes go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TcpClusters {
    Single(Str),
    /// Name and weight; weights are relative.
    Weighted(Vec<(Str, u32)>),
}
