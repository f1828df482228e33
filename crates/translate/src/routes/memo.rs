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
}

/// The routes of a VirtualService, and what they depend on besides it.
#[derive(Debug)]
pub struct Ruled {
    spec: Arc<VirtualService>,
    keys: BTreeSet<Key>,
    pub routes: Routes,
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
    }
}

/// One making of a configuration: what is used goes from one memo into the next.
pub struct Making<'m> {
    before: Memo,
    after: &'m mut Memo,
    /// `None`: nothing holds any more.
    delta: Option<&'m Delta>,
}

impl<'m> Making<'m> {
    /// `delta`: what is different since the memo was made.
    pub fn new(memo: &'m mut Memo, delta: Option<&'m Delta>, outbound: &Outbound) -> Self {
        let before = std::mem::take(memo);
        let same = before.outbound.as_ref() == Some(outbound);
        memo.outbound = Some(outbound.clone());
        Making { before, after: memo, delta: delta.filter(|delta| same && !delta.is_everything()) }
    }

    /// The routes of a VirtualService: `make` asks a view of its own.
    pub fn ruled(
        &mut self,
        rule: &Config<VirtualService>,
        view: &View<'_>,
        make: impl FnOnce(&View<'_>) -> Routes,
    ) -> Arc<Ruled> {
        let holds = |known: &Arc<Ruled>| {
            let touched = |delta: &Delta| known.keys.iter().any(|key| delta.touches(key));
            Arc::ptr_eq(&known.spec, &rule.spec) && self.delta.is_some_and(|delta| !touched(delta))
        };
        let ruled = self.before.rules.remove(&rule.object).filter(holds).unwrap_or_else(|| {
            let view = view.apart();
            let routes = make(&view);
            Arc::new(Ruled { spec: rule.spec.clone(), keys: view.take_keys(), routes })
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
                view.record(&keys);
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
