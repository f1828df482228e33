//! `envoy.filters.network.connection_limit`: how many connections a filter chain has at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use net::Io;

use crate::config::snapshot::{Chain, NetworkFilter};
use crate::telemetry::ConnectionLimitStats;
use crate::worker::Worker;

/// A limit, and how many there are on all workers.
pub struct ConnectionLimit {
    config: ir::ConnectionLimit,
    open: AtomicU64,
}

/// A connection that is counted.
struct Counted {
    limit: Arc<ConnectionLimit>,
    stats: Arc<ConnectionLimitStats>,
}

impl ConnectionLimit {
    pub fn new(config: ir::ConnectionLimit) -> Self {
        ConnectionLimit { config, open: AtomicU64::new(0) }
    }

    /// Counts one more. `false`: it is one too many, and counts all the same while it is open.
    fn count(&self) -> bool {
        self.open.fetch_add(1, Ordering::Relaxed) < self.config.max_connections
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.limit.open.fetch_sub(1, Ordering::Relaxed);
        self.stats.active.dec();
    }
}

/// Counts a connection at its chain's limits, for as long as it lives.
///
/// # Errors
/// It is over one: for how long it is to be left open.
pub fn admit(worker: &Worker, chain: &Chain, io: &mut Io) -> Result<(), Duration> {
    for filter in &chain.filters {
        let NetworkFilter::ConnectionLimit(limit) = filter else { continue };
        if !limit.config.enabled {
            continue;
        }
        let stats = worker.stats.connection_limit(&limit.config.stat_prefix);
        stats.active.inc();
        let within = limit.count();
        if !within {
            stats.limited.inc();
        }
        io.attach(Counted { limit: limit.clone(), stats });
        if !within {
            return Err(limit.config.delay.unwrap_or_default());
        }
    }
    Ok(())
}

/// Leaves a connection open that is over a limit: who is refused at once asks again at once.
pub async fn leave_open(worker: &Worker, delay: Duration) {
    if delay.is_zero() {
        return;
    }
    let drain = worker.shared.drain.clone();
    tokio::select! {
        () = tokio::time::sleep(delay) => {}
        () = drain.forced() => {}
    }
}
