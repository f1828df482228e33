//! The resources of one type from a list of units, shared by all proxies with the same list.
//!
//! Most of what the proxies of a namespace have is the same for all of them, and little is each
//! one's own: so a list may stand on another one, whose map it shares.

use std::collections::HashMap;
use std::sync::Arc;

use ir::ResourceType;
use xds_server::{Encoded, TypeSet};

use crate::unit::{Kept, UnitId};

/// A number in place of a long list.
pub(crate) type AssemblyId = u64;

/// All units there are.
pub(crate) type Units = HashMap<UnitId, Kept>;

/// What identifies an assembly.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct List {
    pub ty: ResourceType,
    /// Sorted.
    pub units: Arc<[UnitId]>,
    /// The assembly that these units come on top of.
    pub base: Option<AssemblyId>,
}

impl List {
    fn has(&self, id: &UnitId) -> bool {
        self.units.binary_search(id).is_ok()
    }
}

/// What a unit gave before, if it gives something else now.
pub(crate) type Changed = HashMap<UnitId, Vec<Arc<Encoded>>>;

/// A list of units of one type, and their resources.
pub(crate) struct Assembly {
    pub list: List,
    pub set: Arc<TypeSet>,
    /// The base's set that this one was made from.
    on: Option<Arc<TypeSet>>,
    /// Units of the list whose resources are not in the set yet.
    missing: Vec<UnitId>,
    /// How many resources the others give. More than the set has: some names are given twice.
    given: usize,
}

impl Assembly {
    /// A list of which nothing is put together yet.
    pub fn new(list: List) -> Self {
        let missing = list.units.to_vec();
        Assembly { list, set: Arc::default(), on: None, missing, given: 0 }
    }

    /// A list much like that of `before`, whose map it shares as far as they are equal.
    pub fn after(before: &Assembly, list: List, units: &Units) -> Self {
        if before.has_clashes() || list.base.is_some() || before.list.base.is_some() {
            return Assembly::new(list);
        }
        let (mut set, mut given) = ((*before.set).clone(), before.given);
        let there = |id: &&UnitId| before.list.has(id) && !before.missing.contains(id);
        for id in before.list.units.iter().filter(|id| !list.has(id)).filter(there) {
            given -= remove(&mut set, units.get(id).map_or(&[][..], |unit| &unit.resources));
        }
        let missing = list.units.iter().filter(|id| !there(id)).copied().collect();
        Assembly { list, set: Arc::new(set), on: None, missing, given }
    }

    /// Brings the set up to date. `base`: that of the assembly below.
    pub fn assemble(&mut self, units: &Units, changed: &Changed, base: Option<&Arc<TypeSet>>) {
        let ours = changed.iter().filter(|(id, _)| self.list.has(id) && !self.missing.contains(id));
        let ours: Vec<(&UnitId, &Vec<Arc<Encoded>>)> = ours.collect();
        let moved = base.is_some_and(|base| !self.on.as_ref().is_some_and(|on| Arc::ptr_eq(on, base)));
        if ours.is_empty() && self.missing.is_empty() && !moved {
            return;
        }
        // Few units come on top of a base. And of a name that was given twice, only all units
        // together can say whose it is.
        if base.is_some() || self.has_clashes() {
            return self.anew(units, base);
        }
        let mut set = (*self.set).clone();
        for (_, before) in &ours {
            self.given -= remove(&mut set, before);
        }
        for id in ours.iter().map(|(id, _)| *id).chain(&self.missing) {
            self.given += insert(&mut set, units, id);
        }
        self.missing.clear();
        self.set = Arc::new(set);
        if self.has_clashes() {
            self.anew(units, base);
        }
    }

    fn has_clashes(&self) -> bool {
        self.on.is_none() && self.given != self.set.len()
    }

    fn anew(&mut self, units: &Units, base: Option<&Arc<TypeSet>>) {
        self.missing.clear();
        let mut set = base.map_or_else(TypeSet::default, |base| (**base).clone());
        self.given = self.list.units.iter().map(|id| insert(&mut set, units, id)).sum();
        (self.set, self.on) = (Arc::new(set), base.cloned());
    }
}

/// How many they were.
fn remove(set: &mut TypeSet, resources: &[Arc<Encoded>]) -> usize {
    for resource in resources {
        set.remove(&resource.name);
    }
    resources.len()
}

/// How many they are.
fn insert(set: &mut TypeSet, units: &Units, id: &UnitId) -> usize {
    let resources = units.get(id).map_or(&[][..], |unit| &unit.resources);
    for resource in resources {
        set.insert(resource.name.clone(), resource.clone());
    }
    resources.len()
}
