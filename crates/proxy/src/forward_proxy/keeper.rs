//! Who resolves the names of a cache, and forgets those that nobody uses.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use engine::dice::SplitMix;
use engine::forward_proxy::{Limits as _, Target, next_query};
use ir::DnsCache;
use stdx::Str;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;
use upstream::Named;

use super::{Ask, Begin, Cache, Host, Refused, STEP, itself, now};
use crate::manager::Shared;
use crate::resolve::lookup::{self, Found, NotFound};
use crate::resolve::ttl;

/// Names of a cache that are asked for at once. With the system's resolver each takes a thread.
const AT_ONCE: usize = 32;

/// A name and a port.
type Key = (Str, u16);

/// What is known of a name, and who waits for it.
struct Entry {
    waiting: Vec<oneshot::Sender<Result<(), Refused>>>,
    used: Arc<AtomicU64>,
    /// In a row.
    failures: u32,
    addresses: Vec<SocketAddr>,
    failure: Str,
    /// There was an answer, well or badly.
    answered: bool,
}

/// What happens to a name.
enum Event {
    Answered(Key, Result<Found, NotFound>),
    /// It is time to ask again.
    Due(Key),
}

struct Keeper {
    cache: Weak<Cache>,
    config: Arc<DnsCache>,
    entries: HashMap<Key, Entry>,
    tasks: JoinSet<Event>,
    room: Arc<Semaphore>,
    manager: Shared,
    dice: SplitMix,
}

/// Gives each cache that begins a keeper, which ends with it. Never ends while there may be more.
pub async fn keep(manager: Shared, mut begun: mpsc::UnboundedReceiver<Begin>) {
    let mut keepers = JoinSet::new();
    loop {
        tokio::select! {
            begin = begun.recv() => match begin {
                Some(begin) => drop(keepers.spawn(one(manager.clone(), begin))),
                None => return,
            },
            Some(_) = keepers.join_next() => {}
        }
    }
}

async fn one(manager: Shared, begin: Begin) {
    let Begin { cache, config, mut asks } = begin;
    let mut keeper = Keeper {
        cache,
        config: Arc::new(config),
        entries: HashMap::new(),
        tasks: JoinSet::new(),
        room: Arc::new(Semaphore::new(AT_ONCE)),
        manager,
        dice: SplitMix(crate::worker::seed(0)),
    };
    for (host, port) in keeper.config.clone().preresolve.iter().cloned() {
        // Nobody waits for it.
        keeper.asked(Ask { host, port, reply: oneshot::channel().0 });
    }
    loop {
        tokio::select! {
            ask = asks.recv() => match ask {
                Some(ask) => keeper.asked(ask),
                // The cache is gone, and with this all that was under way.
                None => return,
            },
            Some(Ok(event)) = keeper.tasks.join_next() => match event {
                Event::Answered(key, answer) => keeper.answered(key, answer),
                Event::Due(key) => keeper.due(key),
            },
        }
    }
}

impl Keeper {
    fn asked(&mut self, ask: Ask) {
        let Some(cache) = self.cache.upgrade() else { return };
        let Ask { host, port, reply } = ask;
        let key = (host, port);
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.used.store(now(), Ordering::Relaxed);
            match entry.answered {
                true => drop(reply.send(entry.outcome())),
                false => entry.waiting.push(reply),
            }
            return;
        }
        if self.entries.len() >= cache.config.max_hosts() as usize {
            cache.stats.host_overflow.fetch_add(1, Ordering::Relaxed);
            let _ = reply.send(Err(Refused::Overflow));
            return;
        }
        let entry = Entry {
            waiting: vec![reply],
            used: Arc::new(AtomicU64::new(now())),
            failures: 0,
            addresses: Vec::new(),
            failure: Str::default(),
            answered: false,
        };
        cache.stats.host_added.fetch_add(1, Ordering::Relaxed);
        cache.stats.num_hosts.fetch_add(1, Ordering::Relaxed);
        self.entries.insert(key.clone(), entry);
        match itself(Target { host: &key.0, port }) {
            // It is used as it is, and there is nobody to ask.
            Some(address) => {
                let found = Found { addresses: vec![address.ip()], lifetime: Some(self.config.host_ttl()) };
                self.answered(key, Ok(found));
            }
            None => self.query(&cache, key),
        }
    }

    fn query(&mut self, cache: &Cache, key: Key) {
        cache.stats.query_attempt.fetch_add(1, Ordering::Relaxed);
        let (room, config) = (self.room.clone(), self.config.clone());
        self.tasks.spawn(async move {
            let asking = lookup::lookup(&key.0, &config.dns, &room);
            let answer = match config.query_timeout() {
                Some(limit) => {
                    tokio::time::timeout(limit, asking).await.unwrap_or_else(|_| Err(NotFound::timeout()))
                }
                None => asking.await,
            };
            Event::Answered(key, answer)
        });
    }

    fn answered(&mut self, key: Key, answer: Result<Found, NotFound>) {
        let Some(cache) = self.cache.upgrade() else { return };
        let Some(entry) = self.entries.get_mut(&key) else { return };
        let (first, lifetime) = (!entry.answered, answer.as_ref().ok().and_then(|it| it.lifetime));
        let changed = entry.take(&key, answer, &cache);
        if first || changed {
            cache.put(&key.0, Arc::new(entry.host(&key)));
        }
        let outcome = entry.outcome();
        for reply in entry.waiting.drain(..) {
            let _ = reply.send(outcome.clone());
        }
        let failures = entry.failures;
        if failures == 0 && lifetime.is_none() {
            return self.wait_for_lifetime(key);
        }
        let wait = next_query(&self.config, failures, lifetime, &mut self.dice);
        self.wait(key, wait);
    }

    /// The system's resolver has found it, and does not tell for how long that is good.
    fn wait_for_lifetime(&mut self, key: Key) {
        let config = self.config.clone();
        let mut dice = SplitMix(crate::worker::seed(0));
        self.tasks.spawn(async move {
            let at = Instant::now();
            let lifetime = ttl::of(&key.0, config.dns.family, &ttl::servers()).await;
            tokio::time::sleep_until(at + next_query(&config, 0, lifetime, &mut dice)).await;
            Event::Due(key)
        });
    }

    fn wait(&mut self, key: Key, time: Duration) {
        self.tasks.spawn(async move {
            tokio::time::sleep(time).await;
            Event::Due(key)
        });
    }

    /// Asks again, or forgets what nobody has used for long.
    fn due(&mut self, key: Key) {
        let Some(cache) = self.cache.upgrade() else { return };
        let Some(entry) = self.entries.get(&key) else { return };
        let unused = now().saturating_sub(entry.used.load(Ordering::Relaxed));
        if STEP.saturating_mul(u32::try_from(unused).unwrap_or(u32::MAX)) >= self.config.host_ttl() {
            self.entries.remove(&key);
            cache.remove(&key.0, key.1);
            cache.stats.host_removed.fetch_add(1, Ordering::Relaxed);
            cache.stats.num_hosts.fetch_sub(1, Ordering::Relaxed);
            self.manager.lock().config.sweep();
        } else if itself(Target { host: &key.0, port: key.1 }).is_some() {
            self.wait(key, self.config.host_ttl());
        } else {
            self.query(&cache, key);
        }
    }
}

impl Entry {
    fn outcome(&self) -> Result<(), Refused> {
        match self.addresses.is_empty() {
            false => Ok(()),
            true => Err(Refused::Failed(self.failure.clone())),
        }
    }

    /// Takes an answer; whether there are other addresses now. Those of before stay where there is no answer.
    fn take(&mut self, key: &Key, answer: Result<Found, NotFound>, cache: &Cache) -> bool {
        let count = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
        self.answered = true;
        match answer {
            Ok(found) => {
                count(&cache.stats.query_success);
                self.failures = 0;
                let new: Vec<SocketAddr> =
                    found.addresses.iter().map(|ip| SocketAddr::new(*ip, key.1)).collect();
                let changed = new != self.addresses;
                if changed {
                    count(&cache.stats.host_address_changed);
                    self.addresses = new;
                }
                changed
            }
            Err(why) => {
                // An answer is one, also if there is nothing in it.
                count(if why.answered { &cache.stats.query_success } else { &cache.stats.query_failure });
                if why.timeout {
                    count(&cache.stats.query_timeout);
                }
                if self.failures == 0 {
                    tracing::debug!(cache = %cache.config.name, host = %key.0, why = %why.text, "cannot be resolved");
                }
                self.failures += 1;
                self.failure = why.text;
                false
            }
        }
    }

    fn host(&self, (name, port): &Key) -> Host {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let hostname = match name.parse::<std::net::Ipv6Addr>() {
            Ok(ip) => format!("[{ip}]:{port}"),
            Err(_) => format!("{name}:{port}"),
        };
        Host {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            port: *port,
            named: Arc::new(Named { hostname: hostname.into(), addresses: self.addresses.clone() }),
            failure: self.failure.clone(),
            used: self.used.clone(),
        }
    }
}
