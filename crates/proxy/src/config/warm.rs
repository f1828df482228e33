//! Warming: what may take effect now, what has to wait, what may go.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use engine::route::unchanged;
use ir::{LoadAssignment, ResourceType, RouteConfig};
use stdx::Str;

use super::kept::Kept;
use super::lazy::{LazyCluster, Membership};
use super::routes::Routes;
use super::snapshot::Listener;
use super::{Config, checks, compile};

/// What settling did.
#[derive(Debug, Default)]
pub struct Settled {
    /// There is something new to publish.
    pub changed: bool,
    /// Look again at this time at the latest, or when a secret arrives.
    pub again: Option<Instant>,
    /// Something waits for a secret.
    pub waits_for_secret: bool,
}

impl Config {
    /// Brings everything into effect that can be. Clusters first, then routes, then listeners,
    /// then what nobody needs any more goes.
    pub fn settle(&mut self, now: Instant) -> Settled {
        let mut settled = Settled::default();
        self.forget_what_came();
        self.settle_clusters(now, &mut settled);
        self.settle_unchecked(&mut settled);
        self.settle_routes(now, &mut settled);
        self.settle_listeners(now, &mut settled);
        self.drop_removed(now, &mut settled);
        let all_seen = (self.bootstrap.cds.is_none() || self.clusters.seen)
            && (self.bootstrap.lds.is_none() || self.listeners.seen);
        self.ready |= all_seen
            && self.unchecked.is_empty()
            && self.clusters.open.is_empty()
            && self.listeners.open.is_empty();
        settled.again = match (settled.again, self.missing.next_end(now)) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.subscriptions.sync(&self.clusters, &self.listeners, &self.active);
        settled
    }

    fn has_discovery(&self) -> bool {
        let bootstrap = &self.bootstrap;
        bootstrap.ads.is_some() || bootstrap.cds.is_some() || bootstrap.lds.is_some()
    }

    fn forget_what_came(&mut self) {
        let (active, endpoints, secrets) = (&self.active, &self.endpoints, &self.context.secrets);
        self.missing.retain(|(ty, name)| match ty {
            ResourceType::Cluster => !active.clusters.contains_key(name),
            ResourceType::Route => !active.routes.contains_key(name),
            ResourceType::Endpoints => !endpoints.entries.contains_key(name),
            ResourceType::Secret => !secrets.is_present(name),
            ResourceType::Listener | ResourceType::NameTable => false,
        });
    }

    fn settle_clusters(&mut self, now: Instant, settled: &mut Settled) {
        // An assignment belongs to every cluster that names it.
        for name in self.endpoints.take_open() {
            self.clusters.open.extend(self.users.of(&name).cloned());
        }
        for name in self.clusters.take_open() {
            match self.warm_cluster(&name, now, settled) {
                Some(cluster) if self.first_checks_are_due(&name, &cluster) => {
                    self.unchecked.insert(name, cluster);
                }
                Some(cluster) => {
                    self.unchecked.remove(&name);
                    self.active.clusters.insert(name, cluster);
                    settled.changed = true;
                }
                None => {
                    self.clusters.open.insert(name);
                }
            }
        }
    }

    /// The cluster as it takes effect now; `None`: it has to wait, or it was removed.
    fn warm_cluster(&mut self, name: &Str, now: Instant, settled: &mut Settled) -> Option<Arc<LazyCluster>> {
        let entry = self.clusters.entries.get(name).filter(|entry| entry.removed.is_none())?;
        let (settings, checked) = (entry.value.clone(), entry.compiled.clone());
        let secrets = checked.needs.missing(&self.context.secrets);
        let mut answers = None;
        let assignment = match &checked.eds {
            None if checked.has_names => {
                let (found, answered) = self.of_names(name, &settings.value())?;
                answers = Some(answered);
                let members = Membership::of(&found);
                Some((Arc::new(Kept::new(&Arc::new(found))), members))
            }
            None => {
                self.forget_names(name);
                None
            }
            Some(eds) => match self.endpoints.entries.get(eds) {
                Some(entry) => Some((entry.value.clone(), *entry.compiled)),
                None if (self.has_discovery() || checked.eds_from.is_some())
                    && self.missing.wait((ResourceType::Endpoints, eds.clone()), now) =>
                {
                    return None;
                }
                None => Some((Arc::new(Kept::new(&Arc::<LoadAssignment>::default())), Membership::default())),
            },
        };
        if self.wait_for_secrets(secrets, now, settled) {
            return None;
        }
        let before = self.active.clusters.get(name).map(|before| &**before);
        Some(Arc::new(LazyCluster::new(settings, checked, assignment, answers, self.context.clone(), before)))
    }

    /// Has the endpoints of a cluster checked. Whether it has to wait for that: a new one does, until
    /// each of them was asked once, however that ended.
    fn first_checks_are_due(&mut self, name: &Str, cluster: &LazyCluster) -> bool {
        let before = self.active.clusters.get(name);
        if !cluster.has_checks() {
            if before.is_some_and(|before| before.has_checks()) || self.unchecked.contains_key(name) {
                self.probes.push((name.clone(), Vec::new()));
            }
            return false;
        }
        let (new, cluster) = (before.is_none(), cluster.get());
        self.probes.push((name.clone(), checks::probes(cluster)));
        new && cluster.awaits_checks()
    }

    /// Takes clusters into use whose endpoints have been checked.
    fn settle_unchecked(&mut self, settled: &mut Settled) {
        let ready = self.unchecked.iter().filter(|(_, cluster)| !cluster.get().awaits_checks());
        let ready: Vec<Str> = ready.map(|(name, _)| name.clone()).collect();
        for name in ready {
            if let Some(cluster) = self.unchecked.remove(&name) {
                self.active.clusters.insert(name, cluster);
                settled.changed = true;
            }
        }
    }

    /// Whether a cluster that is not there may still come. At the start, one that the first
    /// clusters did not include does not hold up what is there.
    fn wait_for_cluster(&mut self, name: Str, now: Instant) -> bool {
        let known = self.clusters.entries.contains_key(&name);
        let may_come = known || (self.bootstrap.cds.is_some() && (self.ready || !self.clusters.seen));
        may_come && self.missing.wait((ResourceType::Cluster, name), now)
    }

    fn wait_for_secrets(&mut self, names: Vec<Str>, now: Instant, settled: &mut Settled) -> bool {
        let mut wait = false;
        for name in names {
            wait |= self.missing.wait((ResourceType::Secret, name), now);
        }
        settled.waits_for_secret |= wait;
        wait
    }

    fn settle_routes(&mut self, now: Instant, settled: &mut Settled) {
        for name in self.routes.take_open() {
            let Some(entry) = self.routes.entries.get(&name) else { continue };
            let (wanted, compiled) = (entry.value.clone(), entry.compiled.clone());
            let not_ready = self.vhosts_not_ready(&wanted, now);
            if not_ready.is_empty() {
                self.active.routes.insert(name, compiled);
                settled.changed = true;
                continue;
            }
            // The hosts that can take effect do; the others stay as they were. A first version
            // waits as a whole for clusters that are on their way: nobody is served by it yet.
            let before = self.active.routes.get(&name).map(|table| table.config().clone());
            if before.is_none() && self.some_are_coming(&wanted) {
                self.routes.open.insert(name);
                continue;
            }
            let mixed = Arc::new(mix(&wanted, before.as_deref(), &not_ready));
            if before.as_ref() != Some(&mixed)
                && let Ok(table) = Routes::compile_after(&mixed, Some(&compiled))
            {
                self.active.routes.insert(name.clone(), Arc::new(table));
                settled.changed = true;
            }
            self.routes.open.insert(name);
        }
    }

    /// Indices of virtual hosts that name a cluster that is not there yet.
    fn vhosts_not_ready(&mut self, config: &RouteConfig, now: Instant) -> HashSet<usize> {
        let mut not_ready = HashSet::new();
        // A host that is in effect as it is wanted would be held at just this.
        let active = self.active.routes.get(&config.name).map(|table| table.config().clone());
        let same = active.map(|active| unchanged(&active, config)).unwrap_or_default();
        let is_new = |index: &usize| same.get(*index).is_none_or(Option::is_none);
        for (index, vhost) in config.virtual_hosts.iter().enumerate().filter(|(index, _)| is_new(index)) {
            for cluster in vhost.clusters() {
                let missing = !self.active.clusters.contains_key(cluster);
                if missing && self.wait_for_cluster(cluster.clone(), now) {
                    not_ready.insert(index);
                }
            }
        }
        not_ready
    }

    /// Whether a cluster that the configuration names is known of, but not in effect yet.
    fn some_are_coming(&self, config: &RouteConfig) -> bool {
        let mut names = config.virtual_hosts.iter().flat_map(|host| host.clusters());
        let first = self.bootstrap.cds.is_some() && !self.clusters.seen;
        let coming = |name: &Str| first || self.clusters.entries.contains_key(name);
        names.any(|name| !self.active.clusters.contains_key(name) && coming(name))
    }

    fn settle_listeners(&mut self, now: Instant, settled: &mut Settled) {
        for name in self.listeners.take_open() {
            let Some(entry) = self.listeners.entries.get(&name) else { continue };
            if entry.removed.is_some() {
                self.listeners.forget(&name);
                if let Some(listener) = self.active.listeners.remove(&name) {
                    self.unmap_address(&listener);
                }
                settled.changed = true;
                continue;
            }
            let compiled = entry.compiled.clone();
            if self.listener_waits(&compiled, now, settled) {
                self.listeners.open.insert(name);
                continue;
            }
            self.listeners.changes += 1;
            if let Some(old) = self.active.listeners.insert(name, compiled.clone()) {
                self.unmap_address(&old);
            }
            for address in compiled.sockets() {
                self.active.by_address.insert(address, compiled.clone());
            }
            settled.changed = true;
        }
    }

    fn unmap_address(&mut self, listener: &Listener) {
        for address in listener.sockets() {
            let held = self.active.by_address.get(&address);
            if held.is_some_and(|held| held.config.name == listener.config.name) {
                self.active.by_address.remove(&address);
            }
        }
    }

    fn listener_waits(&mut self, listener: &Listener, now: Instant, settled: &mut Settled) -> bool {
        let (clusters, routes) = compile::names_of(&listener.config);
        let mut wait = false;
        for name in clusters {
            wait |= !self.active.clusters.contains_key(&name) && self.wait_for_cluster(name, now);
        }
        let has_source = self.has_discovery() || compile::has_routes_elsewhere(&listener.config);
        for name in routes.into_iter().filter(|name| !self.active.routes.contains_key(name)) {
            wait |= has_source && self.missing.wait((ResourceType::Route, name), now);
        }
        let contexts = listener.chains.iter().filter_map(|chain| chain.tls.as_ref());
        let secrets = contexts.flat_map(|tls| tls.missing()).collect();
        self.wait_for_secrets(secrets, now, settled) | wait
    }
}

/// `wanted`, but with the virtual hosts in `held` as they are in `before`, or without them.
fn mix(wanted: &RouteConfig, before: Option<&RouteConfig>, held: &HashSet<usize>) -> RouteConfig {
    let old = |name: &Str| before.and_then(|b| b.virtual_hosts.iter().find(|vhost| vhost.name == *name));
    let numbered = wanted.virtual_hosts.iter().enumerate();
    let hosts =
        numbered.filter_map(|(i, vhost)| if held.contains(&i) { old(&vhost.name) } else { Some(vhost) });
    RouteConfig { virtual_hosts: hosts.cloned().collect(), ..wanted.clone() }
}
