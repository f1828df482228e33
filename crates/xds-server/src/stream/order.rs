//! Make before break: what may be sent now, and what has to wait for an ACK of something else.
//!
//! A listener or route waits until the client has acknowledged the clusters that it names, and
//! their endpoints. A cluster is taken away after the ACK of the listeners and routes that do not
//! name it any more; endpoints after the cluster; a route configuration after the listener.

use std::collections::BTreeSet;

use ir::ResourceType;
use stdx::Str;

use super::Stream;
use super::known::Known;
use super::subscription::Change;
use crate::{Encoded, Reference};

/// Names that may not be taken away, because something that the client has uses them.
enum InUse {
    /// The client has something that we cannot look into.
    Everything,
    Names(BTreeSet<Str>),
}

impl Stream {
    /// Splits the differences of a type into those that may be sent now and the names of those
    /// that wait.
    pub(super) fn sendable(&self, ty: ResourceType, changes: Vec<Change>) -> (Vec<Change>, Vec<Str>) {
        let mut in_use = None;
        let (mut ready, mut held): (Vec<Change>, Vec<Change>) =
            changes.into_iter().partition(|change| match change {
                Change::Add(resource) => self.may_add(resource),
                Change::Remove(name) => self.may_remove(ty, name, &mut in_use),
            });
        // A client that starts takes its first listeners as the whole of them, and says it is
        // ready: they come together.
        let starts = !self.of(ty).answered && self.of(ty).known.is_empty();
        if !held.is_empty() && ty == ResourceType::Listener && starts {
            held.append(&mut ready);
        }
        (ready, held.into_iter().map(Change::into_name).collect())
    }

    fn may_add(&self, resource: &Encoded) -> bool {
        if self.impatient || !matches!(resource.ty, ResourceType::Listener | ResourceType::Route) {
            return true;
        }
        let named = self.to_be_there(resource);
        let mut clusters = named.iter().filter(|named| named.ty == ResourceType::Cluster);
        clusters.all(|named| self.cluster_is_there(&named.name))
    }

    /// What has to be there before the resource. What the client's version of it names as well was there
    /// before that one, and is not taken away from under it.
    fn to_be_there<'a>(&self, resource: &'a Encoded) -> &'a [Reference] {
        match (&resource.step, self.of(resource.ty).known.get(&resource.name)) {
            (Some(step), Some(Known::Has(had))) if had.version == step.from => &step.references,
            _ => &resource.references,
        }
    }

    /// The client has this cluster as it is to be, or will never have it.
    fn cluster_is_there(&self, name: &Str) -> bool {
        let clusters = self.of(ResourceType::Cluster);
        let Some(wanted) = self.target_of(ResourceType::Cluster, name) else { return true };
        if !clusters.started || !clusters.wants(name) || clusters.refuses(wanted) {
            return true;
        }
        // A removal or another version may be on its way.
        if clusters.is_in_flight(name) {
            return false;
        }
        let has = match clusters.known.get(name) {
            Some(Known::Has(had)) => had.version == wanted.version,
            Some(Known::Foreign(had)) => had == Some(wanted.version),
            Some(Known::Absent) | None => false,
        };
        let mut endpoints = wanted.references.iter().filter(|named| named.ty == ResourceType::Endpoints);
        has && endpoints.all(|named| self.endpoints_are_there(&named.name))
    }

    /// The client has endpoints under this name, of whatever version, or will never have any.
    fn endpoints_are_there(&self, name: &Str) -> bool {
        let endpoints = self.of(ResourceType::Endpoints);
        let Some(wanted) = self.target_of(ResourceType::Endpoints, name) else { return true };
        if endpoints.refuses(wanted) {
            return true;
        }
        let has = matches!(endpoints.known.get(name), Some(Known::Has(_) | Known::Foreign(_)));
        has && !endpoints.is_leaving(name) && !endpoints.refresh.contains(name)
    }

    fn may_remove(&self, ty: ResourceType, name: &Str, in_use: &mut Option<InUse>) -> bool {
        // The answer to a wish for something that does not exist takes nothing away.
        if !self.of(ty).known.contains_key(name) {
            return true;
        }
        match in_use.get_or_insert_with(|| self.in_use(ty)) {
            InUse::Everything => false,
            InUse::Names(names) => !names.contains(name),
        }
    }

    /// The resources of a type that something else names which the client has or is being sent.
    fn in_use(&self, ty: ResourceType) -> InUse {
        let users: &[ResourceType] = match ty {
            ResourceType::Cluster => &[ResourceType::Listener, ResourceType::Route],
            ResourceType::Endpoints => &[ResourceType::Cluster],
            ResourceType::Route => &[ResourceType::Listener],
            ResourceType::Listener | ResourceType::Secret | ResourceType::NameTable => &[],
        };
        let mut names = BTreeSet::new();
        let mut note = |resource: &Encoded| {
            // What stays as it is goes on naming what is gone: to wait for that has no end.
            if self
                .target_of(resource.ty, &resource.name)
                .is_some_and(|to_be| to_be.version == resource.version)
            {
                return;
            }
            let named = resource.references.iter().filter(|named| named.ty == ty);
            names.extend(named.map(|named| named.name.clone()));
        };
        let returned = self.of(ty).returned;
        for user in users.iter().map(|user| self.of(*user)) {
            // A client that comes back tells what it has type by type: wait for the rest.
            if returned && !user.started && !self.impatient {
                return InUse::Everything;
            }
            for (_, known) in user.known.iter() {
                match known {
                    Known::Has(resource) => note(&resource),
                    Known::Foreign(_) => return InUse::Everything,
                    Known::Absent => {}
                }
            }
            user.in_flight.iter().flat_map(|sent| &sent.add).for_each(|resource| note(resource));
        }
        InUse::Names(names)
    }
}
