//! Everything that the push loop keeps, and the one function that brings it up to date.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ir::ResourceType;
use model::{Finding, Node};
use registry::{Delta, Snapshot};
use tokio::sync::watch;
use translate::{Plan, ScopeKey, Unit, scope};
use xds_server::ResourceSet;

use crate::assembly::{Assembly, AssemblyId, List};
use crate::group::Group;
use crate::stats::Push;
use crate::unit::{Kept, UnitId};

/// A stream's place for what its proxy is to have.
pub(crate) type Outlet = watch::Sender<Option<Arc<ResourceSet>>>;

#[derive(Default)]
pub(crate) struct State {
    snapshot: Option<Arc<Snapshot>>,
    units: HashMap<UnitId, Kept>,
    ids: HashMap<(ScopeKey, Unit), UnitId>,
    assemblies: HashMap<AssemblyId, Assembly>,
    lists: HashMap<List, AssemblyId>,
    /// The next number, of units and assemblies alike.
    next_id: u64,
    groups: HashMap<Node, Group>,
    nodes: BTreeMap<u64, Node>,
    /// Something may be kept that nobody uses.
    litter: bool,
    /// Translation panicked since the last look.
    pub panics: usize,
}

impl State {
    /// The registry is different.
    pub fn update(&mut self, snapshot: Arc<Snapshot>, delta: &Delta) -> Push {
        self.sweep();
        self.snapshot = Some(snapshot);
        if !delta.is_empty() {
            self.units.values_mut().for_each(|unit| unit.judge(delta));
            self.groups.values_mut().for_each(|group| group.judge(delta));
        }
        self.refresh(None)
    }

    /// A proxy opened a stream.
    pub fn connect(&mut self, stream: u64, node: Node, outlet: Outlet) {
        let group = self.groups.entry(node.clone()).or_insert_with(|| Group::new(node.clone()));
        if let Some(set) = &group.set {
            outlet.send_replace(Some(set.clone()));
        }
        group.streams.insert(stream, outlet);
        self.nodes.insert(stream, node.clone());
        self.refresh(Some(&node));
    }

    /// A stream ended. What it used is kept until the next change: proxies tend to come back.
    pub fn disconnect(&mut self, stream: u64) {
        let Some(node) = self.nodes.remove(&stream) else { return };
        if let Some(group) = self.groups.get_mut(&node) {
            group.streams.remove(&stream);
        }
        self.litter = true;
    }

    /// What translation found, each once, in order.
    pub fn findings(&self) -> Vec<Finding> {
        let of_units = self.units.values().flat_map(|unit| &unit.findings);
        let of_plans = self.groups.values().flat_map(|group| &group.findings);
        let mut all: Vec<Finding> = of_units.chain(of_plans).cloned().collect();
        all.sort();
        all.dedup();
        all
    }

    /// Brings plans, units, sets and streams up to date, of all nodes or of one.
    fn refresh(&mut self, only: Option<&Node>) -> Push {
        let started = Instant::now();
        let Some(snapshot) = self.snapshot.clone() else { return Push::default() };
        self.replan(&snapshot, only);
        let (changed, mut push) = self.rebuild(&snapshot);
        self.assemblies.values_mut().for_each(|assembly| assembly.assemble(&self.units, &changed));
        push.proxies = self.publish(only);
        push.took = started.elapsed();
        push
    }

    fn replan(&mut self, snapshot: &Snapshot, only: Option<&Node>) {
        let stale = self
            .groups
            .values_mut()
            .filter(|group| group.stale && only.is_none_or(|node| group.node == *node));
        let mut planned = Vec::new();
        for group in stale {
            match group.plan(snapshot) {
                Some(plan) => planned.push((group.node.clone(), plan)),
                None => self.panics += 1,
            }
        }
        for (node, plan) in planned {
            let assemblies = self.assemblies_of(&node, &plan);
            if let Some(group) = self.groups.get_mut(&node) {
                self.litter |= group.assemblies != assemblies;
                group.assemblies = assemblies;
            }
        }
    }

    /// The lists of a plan's units by type, made known.
    fn assemblies_of(&mut self, node: &Node, plan: &Plan) -> Vec<(ResourceType, AssemblyId)> {
        let mut by_type: [Vec<UnitId>; ResourceType::ALL.len()] = Default::default();
        for unit in &plan.units {
            by_type[unit.ty() as usize].push(self.id_of(scope(node, unit), unit));
        }
        let lists = ResourceType::ALL.into_iter().zip(by_type);
        lists
            .map(|(ty, mut ids)| {
                ids.sort_unstable();
                (ty, self.assembly_of((ty, ids.into())))
            })
            .collect()
    }

    fn assembly_of(&mut self, list: List) -> AssemblyId {
        if let Some(id) = self.lists.get(&list) {
            return *id;
        }
        let id = self.fresh_id();
        self.assemblies.insert(id, Assembly::new(list.clone()));
        self.lists.insert(list, id);
        id
    }

    fn id_of(&mut self, scope: ScopeKey, unit: &Unit) -> UnitId {
        let key = (scope, unit.clone());
        if let Some(id) = self.ids.get(&key) {
            return *id;
        }
        let id = self.fresh_id();
        self.units.insert(id, Kept::new(key.0.clone(), key.1.clone()));
        self.ids.insert(key, id);
        id
    }

    fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Builds what is stale. Of each unit that gave something else, whether something is gone.
    fn rebuild(&mut self, snapshot: &Snapshot) -> (HashMap<UnitId, bool>, Push) {
        let mut changed = HashMap::new();
        let mut push = Push::default();
        for (id, unit) in self.units.iter_mut().filter(|(_, unit)| unit.stale) {
            let outcome = unit.build(snapshot);
            push.rebuilt += 1;
            push.changed += outcome.changed;
            self.panics += usize::from(outcome.panicked);
            if outcome.changed > 0 || outcome.dropped {
                changed.insert(*id, outcome.dropped);
            }
        }
        (changed, push)
    }

    /// Gives nodes what their assemblies have now. To how many that was something else.
    fn publish(&mut self, only: Option<&Node>) -> usize {
        let mut proxies = 0;
        let groups = self.groups.values_mut().filter(|group| only.is_none_or(|node| group.node == *node));
        for group in groups.filter(|group| !group.assemblies.is_empty()) {
            let mut set = ResourceSet::default();
            for (ty, id) in &group.assemblies {
                if let Some(assembly) = self.assemblies.get(id) {
                    set.set(*ty, assembly.set.clone());
                }
            }
            proxies += usize::from(group.publish(set));
        }
        proxies
    }

    /// Forgets what nobody uses.
    fn sweep(&mut self) {
        if !std::mem::take(&mut self.litter) {
            return;
        }
        self.groups.retain(|_, group| !group.streams.is_empty());
        let used: HashSet<AssemblyId> =
            self.groups.values().flat_map(|group| &group.assemblies).map(|(_, id)| *id).collect();
        self.assemblies.retain(|id, _| used.contains(id));
        self.lists.retain(|_, id| used.contains(id));
        let used: HashSet<UnitId> = self.lists.keys().flat_map(|(_, ids)| ids.iter().copied()).collect();
        self.units.retain(|id, _| used.contains(id));
        self.ids.retain(|_, id| used.contains(id));
    }
}

/// How long a push may take before it is worth a line in the log.
pub(crate) const SLOW: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests;
