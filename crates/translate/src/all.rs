//! Everything a proxy gets at once, for tests and for commands that explain.

use std::collections::BTreeMap;

use ir::{Resource, ResourceType};
use model::{Finding, Node};
use registry::{Snapshot, View};
use stdx::Str;

use crate::{build, plan};

/// All resources of a proxy.
#[derive(Clone, Debug, Default)]
pub struct Resources {
    by_name: BTreeMap<(ResourceType, Str), Resource>,
    /// Each once, in order.
    pub findings: Vec<Finding>,
}

impl Resources {
    /// By type, then name.
    pub fn iter(&self) -> impl Iterator<Item = &Resource> {
        self.by_name.values()
    }

    /// Those of a type, by name.
    pub fn of(&self, ty: ResourceType) -> impl Iterator<Item = &Resource> {
        self.iter().filter(move |resource| resource.ty() == ty)
    }

    pub fn get(&self, ty: ResourceType, name: &str) -> Option<&Resource> {
        self.by_name.get(&(ty, name.into()))
    }
}

/// Translates everything for one proxy.
pub fn translate_all(snapshot: &Snapshot, node: &Node) -> Resources {
    let view = View::new(snapshot);
    let planned = plan(&view, node);
    let mut all = Resources { by_name: BTreeMap::new(), findings: planned.findings };
    for unit in &planned.units {
        let built = build(&view, node, unit);
        all.by_name.extend(built.resources.into_iter().map(|r| ((r.ty(), r.name()), r)));
        all.findings.extend(built.findings);
    }
    all.findings.sort();
    all.findings.dedup();
    all
}
