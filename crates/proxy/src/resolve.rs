//! Resolves the host names of clusters, once for all workers, with the system's resolver: whatever
//! `/etc/resolv.conf`, `/etc/hosts` and `/etc/nsswitch.conf` say holds.

mod ttl;

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
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
        let found = {
            // Nobody closes it.
            let _room = room.acquire().await;
            lookup(&host, &dns).await
        };
        match &found {
            Ok(_) => failures = 0,
            Err(error) => {
                if failures == 0 {
                    tracing::warn!(%cluster, %host, %error, "cannot be resolved");
                }
                failures += 1;
            }
        }
        let (at, ask) = (Instant::now(), dns.respect_ttl && found.is_ok());
        manager.resolved(&cluster, &host, found.ok());
        let lifetime = if ask { ttl::of(&host, dns.family, &ttl::servers()).await } else { None };
        tokio::time::sleep_until(at + names::next_query(&dns, failures, lifetime, &mut dice)).await;
    }
}

/// The addresses of a name that its cluster uses.
async fn lookup(host: &str, dns: &Dns) -> std::io::Result<Vec<IpAddr>> {
    let mut all: Vec<IpAddr> = Vec::new();
    for address in tokio::net::lookup_host((host, 0)).await? {
        if !all.contains(&address.ip()) {
            all.push(address.ip());
        }
    }
    let used = names::of_family(dns.family, &all);
    match used.is_empty() {
        true => Err(std::io::Error::other("no address of the families wanted")),
        false => Ok(used),
    }
}
