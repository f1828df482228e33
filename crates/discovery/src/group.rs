//! Streams of one node: the agent's and the proxy's, or those of one that reconnects.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ir::ResourceType;
use model::{Finding, Node};
use registry::{Delta, Snapshot, View};
use tokio::sync::watch;
use translate::Plan;
use xds_server::ResourceSet;

use crate::assembly::AssemblyId;
use crate::findings;
use crate::reads::Reads;

/// One node.
pub(crate) struct Group {
    pub node: Node,
    /// What the plan depends on.
    reads: Reads,
    pub findings: Vec<Finding>,
    /// The plan has to be made (again).
    pub stale: bool,
    /// One for each type.
    pub assemblies: Vec<(ResourceType, AssemblyId)>,
    pub set: Option<Arc<ResourceSet>>,
    pub streams: BTreeMap<u64, watch::Sender<Option<Arc<ResourceSet>>>>,
}

impl Group {
    pub fn new(node: Node) -> Self {
        Group {
            node,
            reads: Reads::default(),
            findings: Vec::new(),
            stale: true,
            assemblies: Vec::new(),
            set: None,
            streams: BTreeMap::new(),
        }
    }

    pub fn judge(&mut self, delta: &Delta) {
        self.stale |= self.reads.are_touched(delta);
    }

    /// Which units the node needs. `None`: translation failed, the plan of before stays.
    pub fn plan(&mut self, snapshot: &Snapshot) -> Option<Plan> {
        self.stale = false;
        let view = View::new(snapshot);
        // Nothing outside of the closure is left half done by a panic in it.
        let planned = catch_unwind(AssertUnwindSafe(|| translate::plan(&view, &self.node)));
        self.reads = Reads::new(view.take_keys());
        match planned {
            Ok(plan) => {
                self.findings = plan.findings.clone();
                Some(plan)
            }
            Err(panic) => {
                // Any unit would do for the sentence: this one every proxy has.
                self.findings = vec![findings::internal(&translate::Unit::FixedClusters, &*panic)];
                None
            }
        }
    }

    /// Publishes a set if it is not what the streams have. Whether it was.
    pub fn publish(&mut self, set: ResourceSet) -> bool {
        let same = |have: &Arc<ResourceSet>| {
            ResourceType::ALL.into_iter().all(|ty| Arc::ptr_eq(have.of(ty), set.of(ty)))
        };
        if self.set.as_ref().is_some_and(same) {
            return false;
        }
        let set = Arc::new(set);
        for stream in self.streams.values() {
            stream.send_replace(Some(set.clone()));
        }
        self.set = Some(set);
        true
    }
}
