//! The resources of one type from a list of units, shared by all proxies with the same list.

use std::collections::HashMap;
use std::sync::Arc;

use ir::ResourceType;
use xds_server::TypeSet;

use crate::unit::{Kept, UnitId};

/// What identifies an assembly: its units, sorted.
pub(crate) type List = (ResourceType, Arc<[UnitId]>);

/// A number in place of a long list.
pub(crate) type AssemblyId = u64;

/// A list of units of one type, and their resources.
pub(crate) struct Assembly {
    pub list: List,
    pub set: Arc<TypeSet>,
    /// Nothing was put together yet.
    new: bool,
}

impl Assembly {
    pub fn new(list: List) -> Self {
        Assembly { list, set: Arc::default(), new: true }
    }

    /// Brings the set up to date. `changed`: units that gave something else, and of each whether a
    /// resource of before is gone.
    pub fn assemble(&mut self, units: &HashMap<UnitId, Kept>, changed: &HashMap<UnitId, bool>) {
        let ours: Vec<UnitId> =
            changed.keys().copied().filter(|id| self.list.1.binary_search(id).is_ok()).collect();
        // A name that one unit gave up may be another's: then everything is put together anew.
        let dropped = ours.iter().any(|id| changed.get(id).copied().unwrap_or_default());
        if std::mem::take(&mut self.new) || dropped {
            self.set = Arc::new(resources(units, &self.list.1));
        } else if !ours.is_empty() {
            let mut set = (*self.set).clone();
            set.extend(resources(units, &ours));
            self.set = Arc::new(set);
        }
    }
}

fn resources(units: &HashMap<UnitId, Kept>, ids: &[UnitId]) -> TypeSet {
    let kept = ids.iter().filter_map(|id| units.get(id));
    kept.flat_map(|unit| &unit.resources).map(|resource| (resource.name.clone(), resource.clone())).collect()
}
