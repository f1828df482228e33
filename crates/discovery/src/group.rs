//! Streams of one node: the agent's and the proxy's, or those of one that reconnects.

use std::collections::BTreeMap;
use std::sync::Arc;

use ir::ResourceType;
use model::Node;
use tokio::sync::watch;
use xds_server::ResourceSet;

use crate::assembly::AssemblyId;
use crate::plan::PlanKey;

/// One node.
pub(crate) struct Group {
    pub node: Node,
    pub plan: PlanKey,
    /// One for each type.
    pub assemblies: Vec<(ResourceType, AssemblyId)>,
    pub set: Option<Arc<ResourceSet>>,
    pub streams: BTreeMap<u64, watch::Sender<Option<Arc<ResourceSet>>>>,
}

impl Group {
    pub fn new(node: Node, plan: PlanKey) -> Self {
        Group { node, plan, assemblies: Vec::new(), set: None, streams: BTreeMap::new() }
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
