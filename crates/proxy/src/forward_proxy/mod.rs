//! Names that requests and connections bring along: Envoy's DNS cache. Workers look into a map that is
//! replaced whenever something changes in it; what is not there they ask the cache's keeper for, which
//! resolves names on the admin thread.

pub mod filter;
pub mod keeper;
pub mod pick;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use engine::forward_proxy::{Limits as _, Target};
use ir::DnsCache;
use stdx::Str;
use tokio::sync::{mpsc, oneshot};
use upstream::Named;

use crate::config::snapshot::Map;

/// How exactly the time is known at which a name was used last.
const STEP: Duration = Duration::from_millis(100);

/// A cache, as workers see it. It lives as long as a cluster that uses it.
pub struct Cache {
    pub config: DnsCache,
    hosts: ArcSwap<Hosts>,
    /// Requests that wait for an answer.
    pending: AtomicU32,
    asks: mpsc::UnboundedSender<Ask>,
    pub stats: CacheStats,
}

/// What is known, by name; each has few ports.
type Hosts = Map<Str, Arc<[Arc<Host>]>>;

/// A name and a port, and where they lead now.
pub struct Host {
    /// Never used twice in a process: another answer is another host.
    pub id: u64,
    pub port: u16,
    /// The name, with its port, and its addresses; none if it could not be resolved.
    pub named: Arc<Named>,
    /// Why it could not, in one word.
    pub failure: Str,
    /// Of [`now`].
    used: Arc<AtomicU64>,
}

/// Envoy's statistics of a cache: `dns_cache.<name>.…`
#[derive(Debug, Default)]
pub struct CacheStats {
    pub query_attempt: AtomicU64,
    pub query_success: AtomicU64,
    pub query_failure: AtomicU64,
    pub query_timeout: AtomicU64,
    pub host_address_changed: AtomicU64,
    pub host_added: AtomicU64,
    pub host_removed: AtomicU64,
    pub host_overflow: AtomicU64,
    pub pending_overflow: AtomicU64,
    pub num_hosts: AtomicU64,
}

/// A worker wants a name resolved.
pub struct Ask {
    host: Str,
    port: u16,
    reply: oneshot::Sender<Result<(), Refused>>,
}

/// Why there is no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There are too many names already.
    Overflow,
    /// Too many wait already.
    Pending,
    /// The name could not be resolved, for this reason.
    Failed(Str),
    /// Requests to it have failed.
    Ejected,
}

impl Refused {
    /// Envoy's `RESPONSE_CODE_DETAILS`.
    pub fn details(&self) -> String {
        match self {
            Refused::Overflow => "dns_cache_overflow".to_owned(),
            Refused::Pending => "dynamic_forward_proxy_pending_request_overflow".to_owned(),
            Refused::Failed(why) => format!("dns_resolution_failure{{{why}}}"),
            // As Envoy says it: how the name was resolved.
            Refused::Ejected => "cares_success:Successful_completion".to_owned(),
        }
    }
}

impl Host {
    fn touch(&self) {
        let now = now();
        // Workers that agree on the time write nothing.
        if self.used.load(Ordering::Relaxed) != now {
            self.used.store(now, Ordering::Relaxed);
        }
    }
}

/// The process's clock, in steps of [`STEP`].
fn now() -> u64 {
    u64::try_from(upstream::health::now().as_millis() / STEP.as_millis()).unwrap_or(u64::MAX)
}

impl Cache {
    /// Looks at what is known of a name; `None`: nothing. No lock is taken and no count is written.
    pub fn look<T>(&self, to: Target<'_>, f: impl FnOnce(&Host) -> T) -> Option<T> {
        let hosts = self.hosts.load();
        let host = hosts.get(to.host)?.iter().find(|host| host.port == to.port)?;
        host.touch();
        Some(f(host))
    }

    /// Whether there is an address, where anything is known.
    pub fn known(&self, to: Target<'_>) -> Option<Result<(), Refused>> {
        self.look(to, |host| match host.named.addresses.is_empty() {
            false => Ok(()),
            true => Err(Refused::Failed(host.failure.clone())),
        })
    }

    /// Waits until something is known of a name.
    ///
    /// # Errors
    /// It has no address, or may not be asked for.
    pub async fn ask(&self, to: Target<'_>) -> Result<(), Refused> {
        if self.pending.fetch_add(1, Ordering::Relaxed) >= self.config.max_pending() {
            self.pending.fetch_sub(1, Ordering::Relaxed);
            self.stats.pending_overflow.fetch_add(1, Ordering::Relaxed);
            return Err(Refused::Pending);
        }
        let _pending = Pending(&self.pending);
        let (reply, answer) = oneshot::channel();
        let ended = |_| Refused::Failed("resolver_ended".into());
        let ask = Ask { host: to.host.into(), port: to.port, reply };
        self.asks.send(ask).map_err(|_| Refused::Failed("resolver_ended".into()))?;
        answer.await.map_err(ended)?
    }

    fn put(&self, name: &Str, host: Arc<Host>) {
        let mut hosts = Hosts::clone(&self.hosts.load());
        let others = hosts.get(name).map_or(&[][..], |ports| ports);
        let others = others.iter().filter(|it| it.port != host.port);
        let ports: Vec<Arc<Host>> = others.chain([&host]).cloned().collect();
        hosts.insert(name.clone(), ports.into());
        self.hosts.store(Arc::new(hosts));
    }

    fn remove(&self, name: &Str, port: u16) {
        let mut hosts = Hosts::clone(&self.hosts.load());
        let others = hosts.get(name).map_or(&[][..], |ports| ports);
        let left: Vec<Arc<Host>> = others.iter().filter(|it| it.port != port).cloned().collect();
        match left.is_empty() {
            true => hosts.remove(name),
            false => hosts.insert(name.clone(), left.into()),
        };
        self.hosts.store(Arc::new(hosts));
    }
}

struct Pending<'a>(&'a AtomicU32);

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// All caches of a process. Asked when a cluster is compiled, never per request.
pub struct Caches {
    known: Mutex<HashMap<DnsCache, Weak<Cache>>>,
    begin: mpsc::UnboundedSender<Begin>,
    begun: Mutex<Option<mpsc::UnboundedReceiver<Begin>>>,
}

/// A cache that wants a keeper.
pub struct Begin {
    cache: Weak<Cache>,
    config: DnsCache,
    asks: mpsc::UnboundedReceiver<Ask>,
}

impl Default for Caches {
    fn default() -> Self {
        let (begin, begun) = mpsc::unbounded_channel();
        Caches { known: Mutex::default(), begin, begun: Mutex::new(Some(begun)) }
    }
}

impl Caches {
    /// The cache of this configuration, made on first use. Where a name changes its meaning the cache of
    /// before ends with the clusters of before.
    pub fn of(&self, config: &DnsCache) -> Arc<Cache> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cache) = known.get(config).and_then(Weak::upgrade) {
            return cache;
        }
        known.retain(|_, cache| cache.strong_count() > 0);
        let (asks, asked) = mpsc::unbounded_channel();
        let cache = Arc::new(Cache {
            config: config.clone(),
            hosts: ArcSwap::default(),
            pending: AtomicU32::new(0),
            asks,
            stats: CacheStats::default(),
        });
        known.insert(config.clone(), Arc::downgrade(&cache));
        // Without a keeper, as in a check of a configuration, nobody asks either.
        let _ = self.begin.send(Begin { cache: Arc::downgrade(&cache), config: config.clone(), asks: asked });
        cache
    }

    /// Those in use.
    pub fn all(&self) -> Vec<Arc<Cache>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.values().filter_map(Weak::upgrade).collect()
    }

    /// The caches that begin, for whoever keeps them. Once.
    pub fn take_begun(&self) -> Option<mpsc::UnboundedReceiver<Begin>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The address of a name that is an address.
fn itself(to: Target<'_>) -> Option<SocketAddr> {
    to.ip().map(|ip| SocketAddr::new(ip, to.port))
}
