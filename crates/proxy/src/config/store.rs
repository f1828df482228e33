//! What the control plane (and the bootstrap) told us, per resource, before warming: the newest
//! version of each, compiled, and why the last one was refused.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use stdx::Str;

/// How long anything waits for something it names before it goes on without
/// (Envoy's `initial_fetch_timeout`), and how long what was removed is kept while something
/// active still names it.
pub const FETCH_TIMEOUT: Duration = Duration::from_secs(15);

/// A resource as it was received, and what it compiled to.
#[derive(Debug)]
pub struct Entry<T, C> {
    pub value: Arc<T>,
    pub compiled: Arc<C>,
    pub version: Str,
    pub updated: SystemTime,
    /// From the bootstrap: discovery neither changes nor removes it.
    pub fixed: bool,
    /// The server removed it at this time; it is kept while something active still names it.
    pub removed: Option<Instant>,
}

/// Resources of one type, by name.
#[derive(Debug)]
pub struct Table<T, C> {
    pub entries: HashMap<Str, Entry<T, C>>,
    /// The last refusal per name, until a version is accepted.
    pub errors: HashMap<Str, String>,
    /// Names that have to be looked at: changed, or waiting for something.
    pub open: HashSet<Str>,
    /// What the server has taken away and something may still name.
    pub removed: HashSet<Str>,
    /// Counts the changes of `entries`: who has gone through them need not do so again before it moves.
    pub changes: u64,
    /// A first response has come.
    pub seen: bool,
    /// Responses that were taken whole, and those of which something was refused.
    pub accepted: u64,
    pub rejected: u64,
}

impl<T, C> Default for Table<T, C> {
    fn default() -> Self {
        Table {
            entries: HashMap::new(),
            errors: HashMap::new(),
            open: HashSet::new(),
            removed: HashSet::new(),
            changes: 0,
            seen: false,
            accepted: 0,
            rejected: 0,
        }
    }
}

impl<T: PartialEq, C> Table<T, C> {
    /// Takes a new version, if it compiles. Nothing is opened if it says what we know.
    ///
    /// # Errors
    /// Why it is refused; the version before stays.
    pub fn put(
        &mut self,
        name: Str,
        value: &Arc<T>,
        version: Str,
        fixed: bool,
        compile: impl FnOnce(&Arc<T>, Option<&C>) -> Result<C, String>,
    ) -> Result<(), String> {
        let old = self.entries.get_mut(&name);
        let result = match old {
            Some(old) if old.fixed && !fixed => Err("the name is taken by a static resource".to_owned()),
            Some(old) if old.value == *value && old.removed.is_none() => {
                old.version = version;
                self.errors.remove(&name);
                return Ok(());
            }
            old => compile(value, old.map(|old| &*old.compiled)),
        };
        match result {
            Ok(compiled) => {
                self.errors.remove(&name);
                self.open.insert(name.clone());
                let (value, compiled) = (value.clone(), Arc::new(compiled));
                let entry =
                    Entry { value, compiled, version, updated: SystemTime::now(), fixed, removed: None };
                self.removed.remove(&name);
                self.entries.insert(name, entry);
                self.changes += 1;
                Ok(())
            }
            Err(message) => {
                self.errors.insert(name, message.clone());
                Err(message)
            }
        }
    }

    /// Marks what the server says is gone.
    pub fn remove(&mut self, name: &Str, now: Instant) {
        if let Some(entry) =
            self.entries.get_mut(name).filter(|entry| !entry.fixed && entry.removed.is_none())
        {
            entry.removed = Some(now);
            self.open.insert(name.clone());
            self.removed.insert(name.clone());
        }
        self.errors.remove(name);
    }

    /// Names that discovery brought and has not taken away.
    pub fn discovered(&self) -> BTreeSet<Str> {
        let there = self.entries.iter().filter(|(_, entry)| !entry.fixed && entry.removed.is_none());
        there.map(|(name, _)| name.clone()).collect()
    }

    /// Forgets a resource.
    pub fn forget(&mut self, name: &Str) {
        self.entries.remove(name);
        self.open.remove(name);
        self.removed.remove(name);
        self.changes += 1;
    }

    /// Notes a response of the server.
    pub fn answered(&mut self, whole: bool) {
        self.seen = true;
        if whole {
            self.accepted += 1;
        } else {
            self.rejected += 1;
        }
    }

    /// Names that have to be looked at; whoever cannot be settled is put back.
    pub fn take_open(&mut self) -> Vec<Str> {
        self.open.drain().collect()
    }
}

/// Since when something that is named is missing. Waiting for it ends after [`FETCH_TIMEOUT`],
/// once for everybody: a host that never comes holds nothing up twice.
#[derive(Debug)]
pub struct Missing<K> {
    since: HashMap<K, Instant>,
}

impl<K: Eq + Hash> Default for Missing<K> {
    fn default() -> Self {
        Missing { since: HashMap::new() }
    }
}

impl<K: Eq + Hash> Missing<K> {
    /// Whether `key`, which is missing, is still worth waiting for.
    pub fn wait(&mut self, key: K, now: Instant) -> bool {
        let since = *self.since.entry(key).or_insert(now);
        now.saturating_duration_since(since) < FETCH_TIMEOUT
    }

    /// Forgets what has come or is not asked for any more.
    pub fn retain(&mut self, missing: impl Fn(&K) -> bool) {
        self.since.retain(|key, _| missing(key));
    }

    /// When the next wait ends.
    pub fn next_end(&self, now: Instant) -> Option<Instant> {
        self.since.values().map(|since| *since + FETCH_TIMEOUT).filter(|end| *end > now).min()
    }
}
