//! Limits on connections and requests.

use std::time::Duration;

use ir::cluster::TcpKeepalive;
use ir::http::{Http2Keepalive, Http2Options};
use ir::{Cluster, HttpProtocol};
use istio_api::MeshConfig;
use istio_api::networking::ConnectionPool;
use istio_api::networking::connection_pool::{H2UpgradePolicy, HttpSettings, TcpSettings};
use model::Protocol;

/// Lays what is written over a cluster's settings.
pub fn apply(cluster: &mut Cluster, written: Option<&ConnectionPool>, mesh: &MeshConfig) {
    let tcp = written.and_then(|pool| pool.tcp.as_ref());
    let http = written.and_then(|pool| pool.http.as_ref());
    if let Some(tcp) = tcp {
        apply_tcp(cluster, tcp);
    }
    if let Some(http) = http {
        apply_http(cluster, http);
    }
    let keepalive = tcp.and_then(|tcp| tcp.tcp_keepalive.as_ref()).or(mesh.tcp_keepalive.as_ref());
    cluster.tcp_keepalive = keepalive.map(|keepalive| TcpKeepalive {
        probes: keepalive.probes.filter(|probes| *probes > 0),
        time: keepalive.time.and_then(seconds),
        interval: keepalive.interval.and_then(seconds),
    });
}

fn apply_tcp(cluster: &mut Cluster, tcp: &TcpSettings) {
    cluster.connect_timeout = tcp.connect_timeout.or(cluster.connect_timeout);
    cluster.thresholds.max_connections = positive(tcp.max_connections).or(cluster.thresholds.max_connections);
    cluster.max_connection_duration = tcp.max_connection_duration;
    cluster.idle_timeout = tcp.idle_timeout;
}

/// Zero means what it means when nothing is written, as in Istio.
fn apply_http(cluster: &mut Cluster, http: &HttpSettings) {
    let thresholds = &mut cluster.thresholds;
    thresholds.max_requests = positive(http.http2_max_requests).or(thresholds.max_requests);
    thresholds.max_pending_requests =
        positive(http.http1_max_pending_requests).or(thresholds.max_pending_requests);
    thresholds.max_retries = positive(http.max_retries).or(thresholds.max_retries);
    cluster.max_requests_per_connection = positive(http.max_requests_per_connection);
    cluster.idle_timeout = http.idle_timeout.or(cluster.idle_timeout);
    if cluster.protocol == HttpProtocol::Http2 {
        cluster.http2 = Http2Options {
            max_concurrent_streams: positive(http.max_concurrent_streams),
            keepalive: http.http2_keep_alive.as_ref().map(|keepalive| Http2Keepalive {
                interval: keepalive.interval,
                // Envoy wants one where there is an interval; this is its own default for gRPC.
                timeout: keepalive.timeout.unwrap_or(Duration::from_secs(20)),
                jitter_percent: None,
                idle_interval: None,
            }),
            ..Http2Options::default()
        };
    }
}

/// Whether HTTP/1.1 becomes HTTP/2: as a DestinationRule says it, else as the mesh does for ports
/// that are known to be HTTP.
pub fn upgrades(written: Option<&ConnectionPool>, mesh: &MeshConfig, protocol: Protocol) -> bool {
    let policy = written.and_then(|pool| pool.http.as_ref()).and_then(|http| http.h2_upgrade_policy);
    match policy {
        Some(H2UpgradePolicy::Upgrade) => true,
        Some(H2UpgradePolicy::DoNotUpgrade) => false,
        Some(H2UpgradePolicy::Default) | None => mesh.h2_upgrade && protocol.is_http(),
    }
}

/// Whether the endpoint is spoken to as the client spoke to us.
pub fn follows_client(written: Option<&ConnectionPool>) -> bool {
    written.and_then(|pool| pool.http.as_ref()).is_some_and(|http| http.use_client_protocol)
}

fn positive(written: Option<i32>) -> Option<u32> {
    written.and_then(|value| u32::try_from(value).ok()).filter(|value| *value > 0)
}

fn seconds(duration: Duration) -> Option<u32> {
    u32::try_from(duration.as_secs()).ok().filter(|seconds| *seconds > 0)
}
