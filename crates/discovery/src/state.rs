//! Everything that the push loop keeps, and the one function that brings it up to date.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ir::ResourceType;
use model::{Finding, Node};
use registry::{Delta, Snapshot, View};
use tokio::sync::watch;
use translate::{ScopeKey, Unit, scope};
use xds_server::{Hosts, ResourceSet};

use crate::assembly::{Assembly, AssemblyId, Changed, List, Units};
use crate::group::Group;
use crate::plan::{self, PlanKey, Planned};
use crate::reads::{Readers, Reads};
use crate::stats::Push;
use crate::unit::{Kept, UnitId};

/// A stream's place for what its proxy is to have.
pub(crate) type Outlet = watch::Sender<Option<Arc<ResourceSet>>>;

#[derive(Default)]
pub(crate) struct State {
    snapshot: Option<Arc<Snapshot>>,
    units: Units,
    ids: HashMap<(ScopeKey, Unit), UnitId>,
    readers: Readers<UnitId>,
    /// Units to be built (again).
    stale: BTreeSet<UnitId>,
    plans: HashMap<PlanKey, Planned>,
    /// Bases before what stands on them, since those are made first.
    assemblies: BTreeMap<AssemblyId, Assembly>,
    lists: HashMap<List, AssemblyId>,
    /// The next number, of units and assemblies alike.
    next_id: u64,
    groups: HashMap<Node, Group>,
    nodes: BTreeMap<u64, Node>,
    /// Virtual hosts of all units.
    hosts: Hosts,
    /// Something may be kept that nobody uses.
    litter: bool,
    /// Findings may be different from those asked for last.
    found: bool,
    /// Translation panicked since the last look.
    pub panics: usize,
}

impl State {
    /// The registry is different.
    pub fn update(&mut self, snapshot: Arc<Snapshot>, delta: &Delta) -> Push {
        self.sweep();
        self.snapshot = Some(snapshot);
        if delta.is_everything() {
            self.stale.extend(self.units.keys());
        } else {
            self.stale.extend(self.readers.touched(delta));
        }
        self.plans.values_mut().for_each(|plan| plan.judge(delta));
        self.refresh(None, Some(delta))
    }

    /// A proxy opened a stream.
    pub fn connect(&mut self, stream: u64, node: Node, outlet: Outlet) {
        let new = || Group::new(node.clone(), plan::key(&node));
        let group = self.groups.entry(node.clone()).or_insert_with(new);
        if let Some(set) = &group.set {
            outlet.send_replace(Some(set.clone()));
        }
        group.streams.insert(stream, outlet);
        self.nodes.insert(stream, node.clone());
        self.refresh(Some(&node), None);
    }

    /// A stream ended. What it used is kept until the next change: proxies tend to come back.
    pub fn disconnect(&mut self, stream: u64) {
        let Some(node) = self.nodes.remove(&stream) else { return };
        if let Some(group) = self.groups.get_mut(&node) {
            group.streams.remove(&stream);
        }
        self.litter = true;
    }

    /// What translation found, each once, in order. `None`: the same as at the last call.
    pub fn findings(&mut self) -> Option<Vec<Finding>> {
        if !std::mem::take(&mut self.found) {
            return None;
        }
        let of_units = self.units.values().flat_map(|unit| &unit.findings);
        let of_plans = self.plans.values().flat_map(|plan| &plan.findings);
        let mut all: Vec<Finding> = of_units.chain(of_plans).cloned().collect();
        all.sort();
        all.dedup();
        Some(all)
    }

    /// Brings plans, units, sets and streams up to date, of all nodes or of one.
    /// `delta`: what is different since the last time; nothing is, if there is none.
    fn refresh(&mut self, only: Option<&Node>, delta: Option<&Delta>) -> Push {
        let started = Instant::now();
        let Some(snapshot) = self.snapshot.clone() else { return Push::default() };
        self.replan(&snapshot, only);
        let (changed, mut push) = self.rebuild(&snapshot, delta);
        self.assemble(&changed);
        push.proxies = self.publish(only);
        push.took = started.elapsed();
        push
    }

    /// Makes the plans that are stale or new, and gives them to the nodes concerned.
    fn replan(&mut self, snapshot: &Snapshot, only: Option<&Node>) {
        let mut nodes: Vec<Node> = match only {
            Some(node) => vec![node.clone()],
            None => self.groups.keys().cloned().collect(),
        };
        let stale: HashSet<PlanKey> =
            self.plans.iter().filter(|(_, plan)| plan.stale).map(|(key, _)| key.clone()).collect();
        nodes.retain(|node| {
            let group = &self.groups[node];
            group.assemblies.is_empty() || stale.contains(&group.plan) || stale.contains(&plan::key(node))
        });
        for node in nodes {
            let key = self.plan_of(&node, snapshot);
            let assemblies = self.assemblies_of(&node, &key);
            if let Some(group) = self.groups.get_mut(&node) {
                self.litter |= group.assemblies != assemblies;
                (group.plan, group.assemblies) = (key, assemblies);
            }
        }
    }

    /// The plan of a node, made if need be.
    fn plan_of(&mut self, node: &Node, snapshot: &Snapshot) -> PlanKey {
        let key = plan::key(node);
        self.make_plan(&key, snapshot);
        let listened_on = |address| self.plans[&key].addresses.contains(address);
        if !node.addresses.iter().any(listened_on) {
            return key;
        }
        let key = plan::exact_key(node);
        self.make_plan(&key, snapshot);
        key
    }

    fn make_plan(&mut self, key: &PlanKey, snapshot: &Snapshot) {
        let mut plan = self.plans.remove(key).unwrap_or_else(|| Planned::new(key.clone()));
        if plan.stale {
            self.found = true;
            match plan.make(snapshot) {
                Some(shared) => plan.shared = self.lists_of(key, &shared, &plan.shared),
                None => self.panics += 1,
            }
        }
        self.plans.insert(key.clone(), plan);
    }

    /// The lists of the units that proxies share, by type, made known. `before`: those of the plan
    /// before.
    fn lists_of(
        &mut self,
        node: &Node,
        units: &[Unit],
        before: &[(ResourceType, AssemblyId)],
    ) -> Vec<(ResourceType, AssemblyId)> {
        let lists = self.by_type(node, units);
        let of_type = |(ty, units)| {
            let before = before.iter().find(|(of, _)| *of == ty).map(|(_, id)| *id);
            (ty, self.assembly_of(List { ty, units, base: None }, before))
        };
        lists.into_iter().map(of_type).collect()
    }

    /// What a node has: what its plan's nodes share, and on top of it what it has alone.
    fn assemblies_of(&mut self, node: &Node, plan: &PlanKey) -> Vec<(ResourceType, AssemblyId)> {
        let (shared, own) = (self.plans[plan].shared.clone(), self.plans[plan].own.clone());
        let lists = self.by_type(node, &own);
        let on_top = |(ty, base): (ResourceType, AssemblyId)| {
            let own = lists.iter().find(|(of, _)| *of == ty).map(|(_, units)| units.clone());
            match own.filter(|units| !units.is_empty()) {
                Some(units) => (ty, self.assembly_of(List { ty, units, base: Some(base) }, None)),
                None => (ty, base),
            }
        };
        shared.into_iter().map(on_top).collect()
    }

    fn by_type(&mut self, node: &Node, units: &[Unit]) -> Vec<(ResourceType, Arc<[UnitId]>)> {
        let mut by_type: [Vec<UnitId>; ResourceType::ALL.len()] = Default::default();
        // Nothing is asked of it that the plan has not asked.
        let snapshot = self.snapshot.clone();
        let view = snapshot.as_deref().map(View::new);
        for (view, unit) in view.iter().flat_map(|view| units.iter().map(move |unit| (view, unit))) {
            by_type[unit.ty() as usize].push(self.id_of(scope(view, node, unit), unit));
        }
        by_type.iter_mut().for_each(|ids| ids.sort_unstable());
        ResourceType::ALL.into_iter().zip(by_type.map(Arc::from)).collect()
    }

    fn assembly_of(&mut self, list: List, before: Option<AssemblyId>) -> AssemblyId {
        if let Some(id) = self.lists.get(&list) {
            return *id;
        }
        let id = self.fresh_id();
        let assembly = match before.and_then(|before| self.assemblies.get(&before)) {
            Some(before) => Assembly::after(before, list.clone(), &self.units),
            None => Assembly::new(list.clone()),
        };
        self.assemblies.insert(id, assembly);
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
        self.stale.insert(id);
        self.ids.insert(key, id);
        id
    }

    fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Builds what is stale. What each unit gave before that gives something else now.
    fn rebuild(&mut self, snapshot: &Snapshot, delta: Option<&Delta>) -> (Changed, Push) {
        let mut changed = Changed::new();
        let mut push = Push::default();
        for id in std::mem::take(&mut self.stale) {
            let Some(unit) = self.units.get_mut(&id) else { continue };
            let outcome = unit.build(snapshot, delta, &mut self.hosts);
            self.readers.replace(id, &outcome.asked, &unit.reads);
            push.rebuilt += 1;
            push.changed += outcome.changed;
            self.panics += usize::from(outcome.panicked);
            self.found |= outcome.found;
            changed.extend(outcome.before.map(|before| (id, before)));
        }
        (changed, push)
    }

    fn assemble(&mut self, changed: &Changed) {
        let mut sets = HashMap::new();
        for (id, assembly) in &mut self.assemblies {
            let base = assembly.list.base.and_then(|base| sets.get(&base));
            assembly.assemble(&self.units, changed, base);
            if assembly.list.base.is_none() {
                sets.insert(*id, assembly.set.clone());
            }
        }
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
        // A plan that stands for many is asked even for those that need one of their own.
        let used: HashSet<PlanKey> =
            self.groups.values().flat_map(|group| [group.plan.clone(), plan::key(&group.node)]).collect();
        self.plans.retain(|key, _| used.contains(key));
        let of_groups = self.groups.values().flat_map(|group| &group.assemblies);
        let of_plans = self.plans.values().flat_map(|plan| &plan.shared);
        let used: HashSet<AssemblyId> = of_groups.chain(of_plans).map(|(_, id)| *id).collect();
        self.assemblies.retain(|id, _| used.contains(id));
        self.lists.retain(|_, id| used.contains(id));
        let used: HashSet<UnitId> = self.lists.keys().flat_map(|list| list.units.iter().copied()).collect();
        let readers = &mut self.readers;
        self.units.retain(|id, unit| {
            let kept = used.contains(id);
            if !kept {
                readers.replace(*id, &unit.reads, &Reads::default());
            }
            kept
        });
        self.ids.retain(|_, id| used.contains(id));
        self.stale.retain(|id| used.contains(id));
        self.found = true;
    }
}

/// How long a push may take before it is worth a line in the log.
pub(crate) const SLOW: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests;
