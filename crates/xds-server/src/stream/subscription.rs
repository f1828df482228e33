//! What a client asked for and has, of one type.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use ir::ResourceType;
use stdx::{Digest, Str};

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
    pub known: BTreeMap<Str, Known>,
    /// To be sent whatever the client has.
    pub refresh: BTreeSet<Str>,
    /// Versions that the client refused; not sent again.
    pub rejected: BTreeMap<Str, Refusal>,
    /// To be sent alone, after a refusal that did not say which resource it means.
    pub isolate: BTreeSet<Str>,
    /// Sent and not answered. Nothing more of this type is sent before all are.
    pub in_flight: Vec<InFlight>,
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
    /// Nothing is to be sent as long as this is what the client is to have.
    pub settled: Option<Arc<TypeSet>>,
    pub status: TypeStatus,
}

/// What a client has under a name.
#[derive(Clone, Debug)]
pub(super) enum Known {
    /// It was told that there is no such resource.
    Absent,
    /// It has a resource from an earlier stream that we cannot look into.
    Foreign(Option<Digest>),
    Has(Arc<Encoded>),
}

/// A response that was not answered yet.
#[derive(Debug)]
pub(super) struct InFlight {
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
        let mut sent = self.in_flight.iter();
        sent.any(|sent| sent.remove.contains(name) || sent.add.iter().any(|resource| resource.name == *name))
    }

    /// Until when answers are waited for, and whether there is anything new to be sent then.
    pub fn busy(&self, wanted: &Arc<TypeSet>) -> Option<(Instant, bool)> {
        let (at, set) = self.sent.as_ref().filter(|_| !self.in_flight.is_empty())?;
        Some((*at + PATIENCE, !Arc::ptr_eq(set, wanted) || !self.refresh.is_empty()))
    }

    /// Takes the subscriptions of a request.
    /// See <https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol#how-the-client-specifies-what-resources-to-return>.
    pub fn subscribe(&mut self, request: &Request) {
        self.settled = None;
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
        self.owes_reply |= !self.wildcard;
        self.wildcard = true;
    }

    fn take_initial_versions(&mut self, versions: &[(Str, Str)]) {
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
        for (name, known) in &mut self.known {
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
            let names = &self.names;
            self.known.retain(|name, _| names.contains(name));
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
    /// `target`.
    pub fn differences(&self, target: &TypeSet) -> Vec<Change> {
        let mut changes = Vec::new();
        let coming = self.coming();
        let named: Vec<Str>;
        let wanted: Box<dyn Iterator<Item = (&Str, Option<&Arc<Encoded>>)>> = if self.wildcard {
            // What does not exist but is wished for, or was, is looked at too.
            named = self.names.iter().chain(self.known.keys()).chain(&self.refresh).cloned().collect();
            let absent: BTreeSet<&Str> = named.iter().filter(|name| !target.contains_key(*name)).collect();
            Box::new(
                target
                    .iter()
                    .map(|(name, found)| (name, Some(found)))
                    .chain(absent.into_iter().map(|n| (n, None))),
            )
        } else {
            named = self.names.iter().cloned().collect();
            Box::new(named.iter().map(|name| (name, target.get(name))))
        };
        for (name, found) in wanted {
            let refresh = self.refresh.contains(name);
            if !refresh && coming.get(name).is_some_and(|coming| *coming == found.map(|found| found.version))
            {
                continue;
            }
            let known = self.known.get(name).filter(|_| !coming.contains_key(name));
            match (found, known) {
                (Some(found), _) if self.refuses(found) => {}
                (Some(found), Some(Known::Has(had))) if had.version == found.version && !refresh => {}
                (Some(found), _) => changes.push(Change::Add(found.clone())),
                (None, Some(Known::Absent)) if !refresh => {}
                (None, _) => changes.push(Change::Remove(name.clone())),
            }
        }
        changes
    }

    /// What responses without an answer say: the version under each name, `None` for a removal.
    fn coming(&self) -> BTreeMap<&Str, Option<Digest>> {
        let mut coming = BTreeMap::new();
        for sent in &self.in_flight {
            coming.extend(sent.add.iter().map(|resource| (&resource.name, Some(resource.version))));
            coming.extend(sent.remove.iter().map(|name| (name, None)));
        }
        coming
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
