//! What a client asked for and has, of one type.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use imbl::ordmap::DiffItem;
use ir::ResourceType;
use stdx::{Digest, Str};

use super::known::{Known, KnownMap};
use super::{PATIENCE, Request};
use crate::{Encoded, Refusal, TypeSet, TypeStatus};

/// The state of one type on one stream.
#[derive(Debug, Default)]
pub(super) struct Subscription {
    /// A request came: without one nothing is sent.
    pub started: bool,
    pub wildcard: bool,
    /// Subscribed by name.
    pub names: BTreeSet<Str>,
    /// What the client acknowledged, or said it has.
    pub known: KnownMap,
    /// To be sent whatever the client has.
    pub refresh: BTreeSet<Str>,
    /// Versions that the client refused; not sent again.
    pub rejected: BTreeMap<Str, Refusal>,
    /// To be sent alone, after a refusal that did not say which resource it means.
    pub isolate: BTreeSet<Str>,
    /// Sent and not answered. Nothing more of this type is sent before all are.
    pub in_flight: Vec<InFlight>,
    /// What those responses say: under each name the version, `None` for a removal, and the number
    /// of the response that says it last.
    coming: HashMap<Str, (u64, Option<Digest>)>,
    /// When that was sent, and from which set it follows.
    pub sent: Option<(Instant, Arc<TypeSet>)>,
    /// The first wildcard request is answered even if there is nothing.
    pub owes_reply: bool,
    /// A response was sent on this stream.
    pub answered: bool,
    /// The client had something from an earlier stream.
    pub returned: bool,
    /// Some of it is not recognised yet.
    pub unrecognised: bool,
    /// The set that was compared last. After it the client has, or will have after what is on its
    /// way, all of it but [`open`](Self::open) and [`refresh`](Self::refresh): so only what
    /// differs from it has to be looked at. `None`: everything has.
    basis: Option<Arc<TypeSet>>,
    /// Names to be looked at whatever the sets say: they wait for something, or were refused.
    open: BTreeSet<Str>,
    pub status: TypeStatus,
}

/// A response that was not answered yet.
#[derive(Debug)]
pub(super) struct InFlight {
    pub serial: u64,
    pub nonce: Str,
    pub add: Vec<Arc<Encoded>>,
    pub remove: Vec<Str>,
}

/// One difference between what a client has and what it is to have.
#[derive(Debug)]
pub(super) enum Change {
    Add(Arc<Encoded>),
    Remove(Str),
}

impl Change {
    pub fn into_name(self) -> Str {
        match self {
            Change::Add(resource) => resource.name.clone(),
            Change::Remove(name) => name,
        }
    }
}

impl Subscription {
    pub fn wants(&self, name: &str) -> bool {
        self.wildcard || self.names.contains(name)
    }

    /// The client does not take this version.
    pub fn refuses(&self, resource: &Encoded) -> bool {
        self.rejected.get(&resource.name).is_some_and(|refusal| refusal.version == resource.version)
    }

    /// Something about this name was sent and is not answered.
    pub fn is_in_flight(&self, name: &Str) -> bool {
        self.coming.contains_key(name)
    }

    /// A removal under this name was sent and is not answered.
    pub fn is_leaving(&self, name: &Str) -> bool {
        self.coming.get(name).is_some_and(|(_, version)| version.is_none())
    }

    /// A response goes out.
    pub fn sends(&mut self, sent: InFlight) {
        for resource in &sent.add {
            self.coming.insert(resource.name.clone(), (sent.serial, Some(resource.version)));
        }
        for name in &sent.remove {
            self.coming.insert(name.clone(), (sent.serial, None));
        }
        for name in sent.add.iter().map(|resource| &resource.name).chain(&sent.remove) {
            self.refresh.remove(name);
        }
        self.in_flight.push(sent);
    }

    /// A response was answered. `None`: there is none with this nonce.
    pub fn answered(&mut self, nonce: &Str) -> Option<InFlight> {
        let at = self.in_flight.iter().position(|sent| sent.nonce == *nonce)?;
        let sent = self.in_flight.remove(at);
        for name in sent.add.iter().map(|resource| &resource.name).chain(&sent.remove) {
            if self.coming.get(name).is_some_and(|(serial, _)| *serial == sent.serial) {
                self.coming.remove(name);
            } else {
                // Something later was said under this name, and may have been answered before.
                self.open.insert(name.clone());
            }
        }
        Some(sent)
    }

    /// Nothing can be there to be sent as long as this is what the client is to have.
    pub fn is_settled(&self, wanted: &Arc<TypeSet>) -> bool {
        let same = self.basis.as_ref().is_some_and(|basis| Arc::ptr_eq(basis, wanted));
        same && self.open.is_empty() && self.refresh.is_empty() && !self.owes_reply
    }

    /// Notes what was compared, and which names wait for something.
    pub fn compared(&mut self, wanted: &Arc<TypeSet>, waiting: impl IntoIterator<Item = Str>) {
        self.basis = Some(wanted.clone());
        self.open = waiting.into_iter().collect();
    }

    /// These names have to be looked at again.
    pub fn reopen(&mut self, names: impl IntoIterator<Item = Str>) {
        self.open.extend(names);
    }

    /// Until when answers are waited for, and whether there is anything new to be sent then.
    pub fn busy(&self, wanted: &Arc<TypeSet>) -> Option<(Instant, bool)> {
        let (at, set) = self.sent.as_ref().filter(|_| !self.in_flight.is_empty())?;
        Some((*at + PATIENCE, !Arc::ptr_eq(set, wanted) || !self.refresh.is_empty()))
    }

    /// Takes the subscriptions of a request.
    /// See <https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol#how-the-client-specifies-what-resources-to-return>.
    ///
    /// `target`: what it is to have. Names of that are shared by all who have it.
    pub fn subscribe(&mut self, request: &Request, target: &TypeSet) {
        let first = !std::mem::replace(&mut self.started, true);
        // Before `*` there was the empty first request, which clients still send.
        if first && request.subscribe.is_empty() && has_wildcard(request.ty) {
            self.become_wildcard();
        }
        for name in &request.subscribe {
            if *name == "*" {
                self.become_wildcard();
                continue;
            }
            let name = target.get_key_value(name).map_or(name, |(name, _)| name);
            self.names.insert(name.clone());
            // The client may have forgotten what it was sent: an explicit wish is always served.
            self.refresh.insert(name.clone());
        }
        if first {
            self.take_initial_versions(&request.initial_versions);
        }
        for name in &request.unsubscribe {
            self.unsubscribe(name);
        }
    }

    fn become_wildcard(&mut self) {
        self.basis = None;
        self.owes_reply |= !self.wildcard;
        self.wildcard = true;
    }

    fn take_initial_versions(&mut self, versions: &[(Str, Str)]) {
        self.basis = None;
        for (name, version) in versions {
            if !self.wants(name) {
                continue;
            }
            let version = u128::from_str_radix(version, 16).ok().map(Digest);
            self.known.insert(name.clone(), Known::Foreign(version));
            self.refresh.remove(name);
            self.owes_reply = false;
            self.returned = true;
            self.unrecognised = true;
        }
    }

    /// Finds out what a client that came back has: what is as it is to be can be looked into.
    pub fn recognise(&mut self, target: &TypeSet) {
        if !std::mem::take(&mut self.unrecognised) {
            return;
        }
        for (name, known) in self.known.unusual() {
            let Known::Foreign(Some(version)) = known else { continue };
            match target.get(name) {
                Some(found) if found.version == *version => *known = Known::Has(found.clone()),
                _ => {}
            }
        }
    }

    fn unsubscribe(&mut self, name: &Str) {
        if *name == "*" {
            self.wildcard = false;
            self.owes_reply = false;
            self.basis = None;
            let names = &self.names;
            self.known.retain(|name| names.contains(name));
            return;
        }
        self.refresh.remove(name);
        if self.names.remove(name) && self.wildcard {
            // The client cannot know whether the wildcard still covers it: tell it.
            self.refresh.insert(name.clone());
        } else {
            self.known.remove(name);
        }
    }

    /// What differs between what the client has (or will have, after what is on its way) and
    /// `target`. Costs what the difference to the set before costs, not what the set does.
    pub fn differences(&self, target: &Arc<TypeSet>) -> Vec<Change> {
        let names = self.to_look_at(target);
        names.into_iter().filter_map(|name| self.difference(&name, target.get(&name))).collect()
    }

    /// Every name under which there can be a difference, in order.
    fn to_look_at(&self, target: &Arc<TypeSet>) -> BTreeSet<Str> {
        let mut names: BTreeSet<Str> = self.refresh.iter().chain(&self.open).cloned().collect();
        match &self.basis {
            Some(basis) if Arc::ptr_eq(basis, target) => {}
            // Maps that share their parts are told apart by those that they do not share.
            Some(basis) => names.extend(basis.diff(target).map(|difference| match difference {
                DiffItem::Add(name, _) | DiffItem::Remove(name, _) => name.clone(),
                DiffItem::Update { new: (name, _), .. } => name.clone(),
            })),
            None => {
                names.extend(self.names.iter().chain(self.known.iter().map(|(name, _)| name)).cloned());
                if self.wildcard {
                    names.extend(target.keys().cloned());
                }
            }
        }
        names.retain(|name| self.wants(name) || self.known.contains_key(name));
        names
    }

    fn difference(&self, name: &Str, found: Option<&Arc<Encoded>>) -> Option<Change> {
        let refresh = self.refresh.contains(name);
        let coming = self.coming.get(name);
        if !refresh && coming.is_some_and(|(_, coming)| *coming == found.map(|found| found.version)) {
            return None;
        }
        let known = self.known.get(name).filter(|_| coming.is_none());
        match (found, known) {
            (Some(found), _) if self.refuses(found) => None,
            (Some(found), Some(Known::Has(had))) if had.version == found.version && !refresh => None,
            (Some(found), _) => Some(Change::Add(found.clone())),
            (None, Some(Known::Absent)) if !refresh => None,
            (None, None) if coming.is_none() && !refresh && !self.names.contains(name) => None,
            (None, _) => Some(Change::Remove(name.clone())),
        }
    }

    /// Forgets refusals of versions that are no longer what the client is to have.
    pub fn forget_refusals(&mut self, target: &TypeSet) {
        self.rejected
            .retain(|name, refusal| target.get(name).is_some_and(|now| now.version == refusal.version));
        self.isolate.retain(|name| target.contains_key(name));
    }
}

/// Types of which an empty first request means all. Endpoints, routes and secrets are always
/// asked for by name.
fn has_wildcard(ty: ResourceType) -> bool {
    matches!(ty, ResourceType::Cluster | ResourceType::Listener | ResourceType::NameTable)
}
