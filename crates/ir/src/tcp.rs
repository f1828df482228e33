//! The TCP proxy filter.

use std::collections::BTreeMap;
use std::time::Duration;

use stdx::Str;

use crate::AccessLog;
use crate::bootstrap::Json;

/// `envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TcpProxy {
    pub stat_prefix: Str,
    pub clusters: TcpClusters,
    /// Closes a connection on which no byte moved. `None` is Envoy's default of 1 h, zero is off.
    pub idle_timeout: Option<Duration>,
    /// At least 1.
    pub max_connect_attempts: u32,
    /// Between attempts: base and maximum of a back-off. `None`: at once.
    pub connect_back_off: Option<(Duration, Option<Duration>)>,
    /// From when it was accepted; `None`: no limit.
    pub max_downstream_connection_duration: Option<Duration>,
    /// For balancers that hash: the client's address.
    pub hash_source_ip: bool,
    /// `metadata_match` on `envoy.lb`: the subset.
    pub metadata_match: BTreeMap<Str, Json>,
    /// `tunneling_config`: the endpoint is an HTTP proxy, and is asked with CONNECT for this `HOST:PORT`.
    pub tunnel_to: Option<Str>,
    pub access_log: Vec<AccessLog>,
}

/// Where the bytes go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TcpClusters {
    Single(Str),
    /// Name and weight; weights are relative.
    Weighted(Vec<(Str, u32)>),
}

impl TcpProxy {
    /// To one cluster, with Envoy's defaults.
    pub fn to(stat_prefix: impl Into<Str>, cluster: impl Into<Str>) -> Self {
        TcpProxy {
            stat_prefix: stat_prefix.into(),
            clusters: TcpClusters::Single(cluster.into()),
            idle_timeout: None,
            max_connect_attempts: 1,
            connect_back_off: None,
            max_downstream_connection_duration: None,
            hash_source_ip: false,
            metadata_match: BTreeMap::new(),
            tunnel_to: None,
            access_log: Vec::new(),
        }
    }
}
