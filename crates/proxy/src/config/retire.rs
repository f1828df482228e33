//! What nobody needs any more, and goes.

use std::collections::HashSet;
use std::time::Instant;

use stdx::Str;

use super::warm::Settled;
use super::{Config, FETCH_TIMEOUT, compile};

impl Config {
    /// Drops clusters that were removed, once nothing active names them (or a while later), and
    /// routes and endpoints that nothing names.
    pub(super) fn drop_removed(&mut self, now: Instant, settled: &mut Settled) {
        let since = |name: &Str| Some((name.clone(), self.clusters.entries.get(name)?.removed?));
        let removed: Vec<(Str, Instant)> = self.clusters.removed.iter().filter_map(since).collect();
        if !removed.is_empty() {
            let named = self.active_cluster_names();
            for (name, since) in removed {
                self.clusters.open.remove(&name);
                let end = since + FETCH_TIMEOUT;
                if named.contains(&name) && now < end {
                    settled.again = Some(settled.again.map_or(end, |again| again.min(end)));
                    continue;
                }
                self.forget_cluster(&name);
                self.forget_names(&name);
                let (waiting, active) = (self.unchecked.remove(&name), self.active.clusters.remove(&name));
                settled.changed |= active.is_some();
                if waiting.or(active).is_some_and(|cluster| cluster.has_checks()) {
                    self.probes.push((name, Vec::new()));
                }
            }
        }
        // Only what was named once goes: a message may come before the one that names it.
        if std::mem::replace(&mut self.listeners_seen, self.listeners.changes) != self.listeners.changes {
            let named = self.named_routes();
            for name in self.route_names.difference(&named) {
                self.routes.entries.remove(name);
                self.routes.open.remove(name);
                settled.changed |= self.active.routes.remove(name).is_some();
            }
            self.route_names = named;
        }
        for name in self.users.take_unused() {
            self.endpoints.entries.remove(&name);
        }
    }

    fn forget_cluster(&mut self, name: &Str) {
        let endpoints = self.clusters.entries.get(name).and_then(|entry| entry.compiled.eds.clone());
        self.users.replace(name, endpoints, None);
        self.clusters.forget(name);
    }

    fn active_cluster_names(&self) -> HashSet<Str> {
        let mut names: HashSet<Str> = HashSet::new();
        for table in self.active.routes.values() {
            names.extend(table.config().virtual_hosts.iter().flat_map(|host| compile::clusters_of(host)));
        }
        for listener in self.active.listeners.values() {
            names.extend(compile::names_of(&listener.config).0);
        }
        names
    }

    /// Route configurations that a listener names: in effect, or about to be.
    fn named_routes(&self) -> HashSet<Str> {
        let active = self.active.listeners.values().map(|listener| &listener.config);
        let wanted = self.listeners.entries.values().map(|entry| &entry.value);
        active.chain(wanted).flat_map(|config| compile::names_of(config).1).collect()
    }
}
