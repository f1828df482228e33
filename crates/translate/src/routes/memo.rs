//! What a route configuration was made of, kept for the next time: one has thousands of virtual hosts, and
//! a change of the mesh concerns a few.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use ir::VirtualHost;
use istio_api::networking::VirtualService;
use model::{Host, ObjectRef};
use registry::{Config, Delta, Key, Service, View};
use stdx::Str;

use super::virtual_service::Routes;
use crate::settings::Outbound;

/// What was made for one scope. It holds for the snapshot that it was made of, and for a later one as far
/// as that answers the same.
#[derive(Debug, Default)]
pub struct Memo {
    rules: HashMap<ObjectRef, Arc<Ruled>>,
    hosts: HashMap<Str, Part>,
    outbound: Option<Outbound>,
    whole: Option<Whole>,
}

/// A configuration as a whole, where single virtual hosts of it can be made anew: nothing but the rules
/// that name a host exactly decides what becomes of it, and no two hosts want the same domain.
#[derive(Debug)]
pub struct Whole {
    /// In the order of their hosts.
    pub services: Vec<Arc<Service>>,
    /// In order of precedence.
    pub rules: Vec<Rule>,
    /// In the order of their names.
    pub built: Vec<Arc<VirtualHost>>,
}

/// A VirtualService, and its routes.
pub type Rule = (Config<VirtualService>, Arc<Ruled>);

/// The routes of a VirtualService, and what they depend on besides it.
#[derive(Debug)]
pub struct Ruled {
    spec: Arc<VirtualService>,
    keys: BTreeSet<Key>,
    pub routes: Routes,
    /// The hosts that it names.
    pub hosts: Vec<Host>,
}

/// A virtual host, and what it is made of.
#[derive(Debug)]
struct Part {
    /// `None`: no service has this host.
    service: Option<Arc<Service>>,
    /// `None`: no VirtualService has rules for it.
    ruled: Option<Arc<Ruled>>,
    /// All names that it could have, if it does not have all of them.
    wanted: Option<Vec<Str>>,
    host: Arc<VirtualHost>,
}

/// What one virtual host is to be made of.
pub struct Of<'a> {
    /// Its name.
    pub name: Str,
    pub host: &'a Host,
    pub service: Option<&'a Arc<Service>>,
    pub ruled: Option<&'a Arc<Ruled>>,
}

impl Memo {
    /// Takes the place of some virtual hosts that are the same, so that they need not be kept twice.
    pub fn adopt(&mut self, same: &Arc<VirtualHost>) {
        if let Some(part) = self.hosts.get_mut(&same.name) {
            part.host = same.clone();
        }
        if let Some(whole) = &mut self.whole
            && let Some(at) = whole.at(&same.name)
        {
            whole.built[at] = same.clone();
        }
    }
}

impl Ruled {
    /// Whether requests for its hosts take their way from it.
    pub fn routes_something(&self) -> bool {
        !self.routes.routes.is_empty() || self.routes.dropped
    }

    /// What they depend on.
    pub fn keys(&self) -> &BTreeSet<Key> {
        &self.keys
    }

    /// Whether that has changed, but for the VirtualService itself.
    pub fn is_touched(&self, delta: &Delta) -> bool {
        self.keys.iter().any(|key| delta.touches(key))
    }
}

impl Whole {
    /// Where a virtual host of this name is.
    pub fn at(&self, name: &str) -> Option<usize> {
        self.built.binary_search_by(|host| host.name.as_str().cmp(name)).ok()
    }

    /// The service with this host.
    pub fn service(&self, host: &Host) -> Option<&Arc<Service>> {
        let at = self.services.binary_search_by(|service| service.host.cmp(host)).ok()?;
        self.services.get(at)
    }
}

/// One making of a configuration: what is used goes from one memo into the next.
pub struct Making<'m> {
    before: Memo,
    after: &'m mut Memo,
    /// `None`: nothing holds any more.
    delta: Option<&'m Delta>,
    /// What is asked about all services of the port is asked once, and not for each of them.
    at_once: bool,
}

impl<'m> Making<'m> {
    /// `delta`: what is different since the memo was made.
    pub fn new(memo: &'m mut Memo, delta: Option<&'m Delta>, outbound: &Outbound, at_once: bool) -> Self {
        let before = std::mem::take(memo);
        let same = before.outbound.as_ref() == Some(outbound);
        memo.outbound = Some(outbound.clone());
        Making { before, after: memo, delta: delta.filter(|delta| same && !delta.is_everything()), at_once }
    }

    /// The configuration as a whole, to be changed and [kept](Self::keep_whole), if `before` holds for the
    /// services of a port of which only this has changed. What else was made stays then as it is.
    pub fn whole(&mut self, port: u16) -> Option<(Whole, &'m Delta)> {
        let delta = self.delta.filter(|delta| self.at_once && !delta.touches(&Key::ServicesOnPort(port)))?;
        let whole = self.before.whole.take()?;
        (self.after.rules, self.after.hosts) =
            (std::mem::take(&mut self.before.rules), std::mem::take(&mut self.before.hosts));
        Some((whole, delta))
    }

    /// What [`whole`](Self::whole) gave cannot be changed: all is made again.
    pub fn give_back(&mut self) {
        (self.before.rules, self.before.hosts) =
            (std::mem::take(&mut self.after.rules), std::mem::take(&mut self.after.hosts));
    }

    /// Keeps the configuration for the next time.
    pub fn keep_whole(&mut self, whole: Whole) {
        self.after.whole = Some(whole);
    }

    /// These routes are of no use any more.
    pub fn forget(&mut self, rule: &Config<VirtualService>) {
        self.after.rules.remove(&rule.object);
    }

    /// Whether what is asked about all services is asked once.
    pub fn asks_at_once(&self) -> bool {
        self.at_once
    }

    /// The routes of a VirtualService: `make` asks a view of its own.
    pub fn ruled(
        &mut self,
        rule: &Config<VirtualService>,
        view: &View<'_>,
        make: impl FnOnce(&View<'_>) -> Routes,
    ) -> Arc<Ruled> {
        let holds = |known: &Arc<Ruled>| {
            let same = Arc::ptr_eq(&known.spec, &rule.spec);
            same && self.delta.is_some_and(|delta| !known.is_touched(delta))
        };
        let ruled = self.before.rules.remove(&rule.object).filter(holds).unwrap_or_else(|| {
            let view = view.apart();
            let routes = make(&view);
            let hosts = rule.spec.hosts.iter().map(|host| view.resolve(host, &rule.object.namespace));
            let (spec, hosts) = (rule.spec.clone(), hosts.collect());
            Arc::new(Ruled { spec, keys: view.take_keys(), routes, hosts })
        });
        view.record(&ruled.keys);
        self.after.rules.insert(rule.object.clone(), ruled.clone());
        ruled
    }

    /// The virtual host as it was made before, if it would be the same now but for the names that others
    /// leave it, and all names that it could have.
    pub fn known(&mut self, of: &Of<'_>, view: &View<'_>) -> Option<(Arc<VirtualHost>, Vec<Str>)> {
        let delta = self.delta?;
        let part = self.before.hosts.remove(&of.name)?;
        let same_service = match (&part.service, of.service) {
            (Some(before), Some(now)) => Arc::ptr_eq(before, now),
            (before, now) => before.is_none() && now.is_none(),
        };
        let same_rules = match (&part.ruled, of.ruled) {
            (Some(before), Some(now)) => Arc::ptr_eq(before, now),
            (None, None) => {
                // Where no VirtualService says where to, it depends on these two.
                let keys = [Key::Service(of.host.clone()), Key::DestinationRule(of.host.clone())];
                if !self.at_once {
                    view.record(&keys);
                }
                !keys.iter().any(|key| delta.touches(key))
            }
            _ => false,
        };
        if !same_service || !same_rules {
            return None;
        }
        let wanted = part.wanted.unwrap_or_else(|| part.host.domains.clone());
        Some((part.host, wanted))
    }

    /// Keeps a virtual host for the next time.
    pub fn keep(&mut self, of: Of<'_>, wanted: Vec<Str>, host: Arc<VirtualHost>) {
        let wanted = (wanted != host.domains).then_some(wanted);
        let part = Part { service: of.service.cloned(), ruled: of.ruled.cloned(), wanted, host };
        self.after.hosts.insert(of.name, part);
    }
}
