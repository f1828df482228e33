//! Connection pools of a Sidecar: how a proxy calls its own application.

use ir::Cluster;
use ir::cluster::TcpKeepalive;
use istio_api::networking::ConnectionPool;

/// Lays what is written over the cluster's own limits.
pub fn apply(pool: &ConnectionPool, cluster: &mut Cluster) {
    if let Some(tcp) = &pool.tcp {
        set(&mut cluster.thresholds.max_connections, positive(tcp.max_connections));
        set(&mut cluster.connect_timeout, tcp.connect_timeout);
        set(&mut cluster.max_connection_duration, tcp.max_connection_duration);
        set(&mut cluster.idle_timeout, tcp.idle_timeout);
        if let Some(keepalive) = &tcp.tcp_keepalive {
            let seconds = |duration: Option<std::time::Duration>| {
                duration.map(|duration| u32::try_from(duration.as_secs()).unwrap_or(u32::MAX))
            };
            cluster.tcp_keepalive = Some(TcpKeepalive {
                probes: keepalive.probes,
                time: seconds(keepalive.time),
                interval: seconds(keepalive.interval),
            });
        }
    }
    if let Some(http) = &pool.http {
        set(&mut cluster.thresholds.max_pending_requests, positive(http.http1_max_pending_requests));
        set(&mut cluster.thresholds.max_requests, positive(http.http2_max_requests));
        set(&mut cluster.thresholds.max_retries, positive(http.max_retries));
        set(&mut cluster.max_requests_per_connection, positive(http.max_requests_per_connection));
        set(&mut cluster.idle_timeout, http.idle_timeout);
        set(&mut cluster.http2.max_concurrent_streams, positive(http.max_concurrent_streams));
    }
}

fn set<T>(place: &mut Option<T>, value: Option<T>) {
    if value.is_some() {
        *place = value;
    }
}

/// 0 is Istio's way to say nothing.
fn positive(value: Option<i32>) -> Option<u32> {
    value.and_then(|value| u32::try_from(value).ok()).filter(|value| *value > 0)
}
