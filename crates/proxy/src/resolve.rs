//! Resolves the host names of clusters, once for all workers, with the system's resolver: whatever
//! `/etc/resolv.conf`, `/etc/hosts` and `/etc/nsswitch.conf` say holds. Where a configuration names
//! servers of its own, these are asked.

pub mod lookup;
mod query;
pub mod ttl;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use engine::dice::SplitMix;
use engine::names;
use ir::Dns;
use stdx::Str;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::config::names::Lookup;
use crate::manager::Shared;

/// Names that are asked for at once: each takes a thread while it is.
const AT_ONCE: usize = 8;

/// The names of one cluster under way; they end when this is dropped.
struct Under {
    hosts: BTreeSet<Str>,
    dns: Dns,
    _tasks: JoinSet<()>,
}

/// Keeps names resolved. Never ends while the manager lives.
pub async fn keep(manager: Shared, mut lookups: mpsc::UnboundedReceiver<Lookup>) {
    let mut clusters: HashMap<Str, Under> = HashMap::new();
    let room = Arc::new(Semaphore::new(AT_ONCE));
    while let Some(Lookup { cluster, hosts, dns }) = lookups.recv().await {
        if hosts.is_empty() {
            clusters.remove(&cluster);
            continue;
        }
        if clusters.get(&cluster).is_some_and(|it| it.hosts == hosts && it.dns == dns) {
            continue;
        }
        let mut tasks = JoinSet::new();
        for host in &hosts {
            let (manager, room) = (manager.clone(), room.clone());
            tasks.spawn(resolve(manager, room, cluster.clone(), host.clone(), dns.clone()));
        }
        clusters.insert(cluster, Under { hosts, dns, _tasks: tasks });
    }
}

async fn resolve(manager: Shared, room: Arc<Semaphore>, cluster: Str, host: Str, dns: Dns) {
    let mut dice = SplitMix(crate::worker::seed(0));
    let mut failures = 0;
    loop {
        let found = lookup::lookup(&host, &dns, &room).await;
        match &found {
            Ok(_) => failures = 0,
            Err(why) => {
                if failures == 0 {
                    tracing::warn!(%cluster, %host, error = %why.text, "cannot be resolved");
                }
                failures += 1;
            }
        }
        let (at, found) = (Instant::now(), found.ok());
        let known = found.as_ref().and_then(|found| found.lifetime);
        let ask = dns.respect_ttl && found.is_some() && known.is_none();
        manager.resolved(&cluster, &host, found.map(|found| found.addresses));
        let lifetime = if ask { ttl::of(&host, dns.family, &ttl::servers()).await } else { known };
        tokio::time::sleep_until(at + names::next_query(&dns, failures, lifetime, &mut dice)).await;
    }
}
