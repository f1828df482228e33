//! From resources to what workers run: received → compiled → warmed → published.
//!
//! Lives on the admin thread. A resource takes effect when everything it names is there (make
//! before break); what was removed lives on while something active names it.

pub mod body;
pub mod checks;
pub mod compile;
mod dns_caches;
pub mod kept;
pub mod lazy;
pub mod names;
mod refuse;
mod retire;
pub mod routes;
pub mod snapshot;
pub mod source;
mod store;
pub(crate) mod subscriptions;
mod users;
mod warm;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use identity::SecretStore;
use ir::{Bootstrap, ConfigSource, Resource, ResourceType};
use stdx::Str;
use upstream::probe::Probe;
use xds_client::{Added, AdsHandle, Reject, Update};

pub use snapshot::Snapshot;
pub use store::{FETCH_TIMEOUT, Table};

use crate::forward_proxy::Caches;
use dns_caches::DnsCaches;
use kept::Kept;
use lazy::{Checked, Context, Membership, Needs};
use store::{Entry, Missing};
use subscriptions::Subscriptions;
use users::Users;

/// The pointer that workers follow. Looking whether it moved is one relaxed load.
pub struct Published {
    version: AtomicU64,
    current: ArcSwap<Snapshot>,
}

impl Published {
    fn new() -> Self {
        Published { version: AtomicU64::new(0), current: ArcSwap::from_pointee(Snapshot::default()) }
    }

    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub fn load(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    fn publish(&self, snapshot: Arc<Snapshot>) -> Arc<Snapshot> {
        let version = snapshot.version;
        let old = self.current.swap(snapshot);
        self.version.store(version, Ordering::Release);
        old
    }
}

/// All configuration of a proxy.
pub struct Config {
    pub clusters: Table<Kept<ir::Cluster>, Checked>,
    pub endpoints: Table<Kept<ir::LoadAssignment>, Membership>,
    pub listeners: Table<ir::Listener, snapshot::Listener>,
    pub routes: Table<ir::RouteConfig, routes::Routes>,
    /// Without its clusters and listeners, which are in the tables.
    pub bootstrap: Bootstrap,
    context: Arc<Context>,
    /// Of the cluster that came last.
    needs: Arc<Needs>,
    missing: Missing<(ResourceType, Str)>,
    subscriptions: Subscriptions,
    /// What was named when things were settled last, and the listeners' count of changes then.
    route_names: HashSet<Str>,
    listeners_seen: u64,
    users: Users,
    dns_caches: DnsCaches,
    active: Snapshot,
    published: Arc<Published>,
    /// Replaced snapshots that a worker may still hold. They are freed here, not there.
    retired: Vec<Arc<Snapshot>>,
    /// Everything that came first has taken effect once.
    ready: bool,
    /// New clusters that wait for the first checks of their endpoints.
    unchecked: HashMap<Str, Arc<lazy::LazyCluster>>,
    /// Who is to be checked from now on, for the worker that does it.
    probes: Vec<(Str, Vec<Probe>)>,
    /// What host names have resolved to, by cluster.
    names: HashMap<Str, names::Names>,
    lookups: Vec<names::Lookup>,
    /// What sources other than the aggregated stream are asked for from now on.
    wants: Vec<source::Want>,
}

impl Config {
    /// Takes over the bootstrap. `encoded` is what its clusters were decoded from, if they were.
    ///
    /// # Errors
    /// A static resource that cannot be compiled, by name.
    pub fn new(
        mut bootstrap: Bootstrap,
        encoded: Vec<Box<[u8]>>,
        secrets: SecretStore,
    ) -> Result<Self, String> {
        let mut config = Config {
            clusters: Table::default(),
            endpoints: Table::default(),
            listeners: Table::default(),
            routes: Table::default(),
            context: Arc::new(Context { secrets, registry: Arc::default(), caches: Arc::default() }),
            needs: Arc::default(),
            missing: Missing::default(),
            subscriptions: Subscriptions::default(),
            route_names: HashSet::new(),
            listeners_seen: 0,
            users: Users::default(),
            dns_caches: DnsCaches::default(),
            active: Snapshot::default(),
            published: Arc::new(Published::new()),
            retired: Vec::new(),
            ready: false,
            unchecked: HashMap::new(),
            probes: Vec::new(),
            names: HashMap::new(),
            lookups: Vec::new(),
            wants: Vec::new(),
            bootstrap: Bootstrap::default(),
        };
        for secret in &bootstrap.secrets {
            config
                .context
                .secrets
                .apply(secret)
                .map_err(|e| format!("static_resources.secrets {}: {e}", secret.name))?;
        }
        let clusters = std::mem::take(&mut bootstrap.clusters);
        let clusters = clusters.into_iter().map(|cluster| Resource::Cluster(Arc::new(cluster)));
        let encoded = encoded.into_iter().map(Some).chain(std::iter::repeat_with(|| None));
        let listeners = std::mem::take(&mut bootstrap.listeners);
        let listeners = listeners.into_iter().map(|listener| (Resource::Listener(Arc::new(listener)), None));
        for (resource, encoded) in clusters.zip(encoded).chain(listeners) {
            let (kind, name) = (resource.ty().short(), resource.name());
            config
                .put(&ConfigSource::Ads, Added { resource, version: Str::default(), encoded }, true)
                .map_err(|e| format!("static {kind} resource {name}: {e}"))?;
        }
        config.bootstrap = bootstrap;
        config.want_what_is_there();
        Ok(config)
    }

    pub fn published(&self) -> Arc<Published> {
        self.published.clone()
    }

    /// What is known of names that requests bring along.
    pub fn caches(&self) -> Arc<Caches> {
        self.context.caches.clone()
    }

    /// What is in effect.
    pub fn active(&self) -> &Snapshot {
        &self.active
    }

    /// A cluster of the bootstrap.
    pub fn static_cluster(&self, name: &str) -> Option<Arc<ir::Cluster>> {
        let entry = self.clusters.entries.get(name).filter(|entry| entry.fixed)?;
        Some(entry.value.value())
    }

    /// Where subscriptions by name are told.
    pub fn connect(&mut self, ads: AdsHandle) {
        self.subscriptions.connect(ads);
    }

    /// Files what `source` has; [`Config::settle`] makes it take effect. What is
    /// returned is refused, the rest is not affected by it.
    pub fn update(&mut self, source: &ConfigSource, update: Update) -> Vec<Reject> {
        let now = Instant::now();
        let mut rejects = Vec::new();
        for added in update.added {
            let name = added.resource.name();
            if let Err(message) = self.put(source, added, false) {
                rejects.push(Reject { name, message });
            }
        }
        let refused = !update.problems.is_empty();
        for problem in update.problems {
            self.note_error(update.ty, problem.name, problem.message);
        }
        for name in &update.removed {
            self.dns_caches.replace(&(update.ty, name.clone()), Vec::new());
            match update.ty {
                ResourceType::Cluster => self.clusters.remove(name, now),
                ResourceType::Listener => self.listeners.remove(name, now),
                ResourceType::Secret => {
                    let key = source.key(name);
                    self.context.secrets.remove(&key);
                    self.wants.push(source::Want::NoFiles(key));
                }
                // Kept while something names them: a server that has none says so by an empty one.
                ResourceType::Endpoints | ResourceType::Route | ResourceType::NameTable => {}
            }
        }
        let whole = rejects.is_empty() && !refused;
        match update.ty {
            ResourceType::Cluster => self.clusters.answered(whole),
            ResourceType::Endpoints => self.endpoints.answered(whole),
            ResourceType::Listener => self.listeners.answered(whole),
            ResourceType::Route => self.routes.answered(whole),
            ResourceType::Secret | ResourceType::NameTable => {}
        }
        rejects
    }

    fn put(&mut self, source: &ConfigSource, added: Added, fixed: bool) -> Result<(), String> {
        let owner = (added.resource.ty(), source.key_of(&added.resource));
        let caches = dns_caches::of(&added.resource);
        if let Err(message) = self.dns_caches.check(&owner, &caches) {
            self.note_error(owner.0, owner.1, message.clone());
            return Err(message);
        }
        self.file(source, added, fixed)?;
        self.dns_caches.replace(&owner, caches);
        Ok(())
    }

    fn file(&mut self, source: &ConfigSource, added: Added, fixed: bool) -> Result<(), String> {
        let Added { resource, version, encoded } = added;
        let name = source.key_of(&resource);
        let secrets = &self.context.secrets;
        match resource {
            Resource::Cluster(value) => {
                let (context, needs) = (&self.context, &mut self.needs);
                let endpoints = |entry: &Entry<_, Checked>| entry.compiled.eds.clone();
                let before = self.clusters.entries.get(&name).and_then(endpoints);
                let kept = Arc::new(Kept::of(&value, encoded));
                self.clusters.put(name.clone(), &kept, version, fixed, |_, _| {
                    let checked = Checked::new(&value, context, needs).map_err(|p| p.to_string())?;
                    *needs = checked.needs.clone();
                    Ok(checked)
                })?;
                let after = self.clusters.entries.get(&name).and_then(endpoints);
                self.users.replace(&name, before, after);
                Ok(())
            }
            Resource::Endpoints(value) => {
                let kept = Arc::new(Kept::of(&value, encoded));
                self.endpoints.put(name, &kept, version, fixed, |_, _| Ok(Membership::of(&value)))
            }
            Resource::Listener(value) => self.listeners.put(name, &value, version, fixed, |value, _| {
                compile::listener(value, secrets).map_err(|p| p.to_string())
            }),
            Resource::Route(value) => self.routes.put(name, &value, version, fixed, |value, before| {
                let routes = routes::Routes::compile_after(value, before).map_err(|p| p.to_string())?;
                routes.asks().tell(secrets);
                Ok(routes)
            }),
            Resource::Secret(secret) => {
                let secret = Arc::new(ir::Secret { name, ..(*secret).clone() });
                secrets.apply(&secret).map_err(|e| e.to_string())?;
                self.want_files_of(secret);
                Ok(())
            }
            Resource::NameTable(_) => Ok(()),
        }
    }

    /// Remembers what could not even be decoded, for `/config_dump`.
    fn note_error(&mut self, ty: ResourceType, name: Str, message: String) {
        match ty {
            ResourceType::Cluster => self.clusters.errors.insert(name, message),
            ResourceType::Endpoints => self.endpoints.errors.insert(name, message),
            ResourceType::Listener => self.listeners.errors.insert(name, message),
            ResourceType::Route => self.routes.errors.insert(name, message),
            ResourceType::Secret | ResourceType::NameTable => None,
        };
    }

    /// Hands the working state to the workers.
    pub fn publish(&mut self) {
        self.active.version += 1;
        let old = self.published.publish(Arc::new(self.active.clone()));
        self.retired.push(old);
        self.sweep();
    }

    /// Frees replaced snapshots that no worker holds any more.
    pub fn sweep(&mut self) {
        self.retired.retain(|snapshot| Arc::strong_count(snapshot) > 1);
        self.context.registry.collect();
    }

    /// Whether some replaced snapshot may still be held.
    pub fn has_retired(&self) -> bool {
        !self.retired.is_empty()
    }

    /// Clusters whose endpoints are to be checked in another way than before: no probes, no checks.
    pub fn take_probes(&mut self) -> Vec<(Str, Vec<Probe>)> {
        std::mem::take(&mut self.probes)
    }

    /// Whether the first clusters and listeners are in and in effect.
    pub fn is_ready(&self) -> bool {
        self.ready
    }
}
