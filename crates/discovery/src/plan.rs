//! Plans: which units the proxies of one kind need, made once for all of them.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::panic::{AssertUnwindSafe, catch_unwind};

use ir::ResourceType;
use model::{Finding, Node, NodeType};
use registry::{Delta, Snapshot, View};
use stdx::Str;
use translate::{Plan, Unit, scope};

use crate::assembly::AssemblyId;
use crate::findings;
use crate::reads::Reads;

/// The node that stands for all that have equal plans.
pub(crate) type PlanKey = Node;

/// What a plan depends on of a node: all but its name, its account and, for sidecars, its addresses.
pub(crate) fn key(node: &Node) -> PlanKey {
    if node.node_type != NodeType::Sidecar {
        return exact_key(node);
    }
    let mut addresses: Vec<IpAddr> = node.addresses.iter().map(unspecified).collect();
    addresses.sort();
    addresses.dedup();
    PlanKey { addresses, ..exact_key(node) }
}

/// As [`key`], of a node whose own addresses are listened on for others.
pub(crate) fn exact_key(node: &Node) -> PlanKey {
    Node { name: Str::default(), service_account: Str::default(), ..node.clone() }
}

/// The family of an address is all that a plan looks at.
fn unspecified(address: &IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// A plan as it is kept.
pub(crate) struct Planned {
    node: PlanKey,
    /// What it depends on.
    reads: Reads,
    pub findings: Vec<Finding>,
    pub stale: bool,
    /// Of the units that all proxies of this plan share, one for each type.
    pub shared: Vec<(ResourceType, AssemblyId)>,
    /// Units that depend on a proxy's addresses: each has its own.
    pub own: Vec<Unit>,
    /// Where others are listened for. A proxy does not listen for others on an address of its own.
    pub addresses: BTreeSet<IpAddr>,
}

impl Planned {
    pub fn new(node: PlanKey) -> Self {
        Planned {
            node,
            reads: Reads::default(),
            findings: Vec::new(),
            stale: true,
            shared: Vec::new(),
            own: Vec::new(),
            addresses: BTreeSet::new(),
        }
    }

    pub fn judge(&mut self, delta: &Delta) {
        self.stale |= self.reads.are_touched(delta);
    }

    /// Makes the plan; gives the units that are shared. `None`: translation failed, the plan of
    /// before stays.
    pub fn make(&mut self, snapshot: &Snapshot) -> Option<Vec<Unit>> {
        self.stale = false;
        let view = View::new(snapshot);
        // Nothing outside of the closure is left half done by a panic in it.
        let planned = catch_unwind(AssertUnwindSafe(|| translate::plan(&view, &self.node)));
        self.reads = Reads::new(view.take_keys());
        match planned {
            Ok(plan) => Some(self.take(&view, plan)),
            Err(panic) => {
                // Any unit would do for the sentence: this one every proxy has.
                self.findings = vec![findings::internal(&Unit::FixedClusters, &*panic)];
                None
            }
        }
    }

    fn take(&mut self, view: &View<'_>, plan: Plan) -> Vec<Unit> {
        self.findings = plan.findings;
        let address = |unit: &Unit| match unit {
            Unit::OutboundListener { address, .. } => Some(*address),
            _ => None,
        };
        self.addresses = plan.units.iter().filter_map(address).collect();
        let is_own = |unit: &Unit| !scope(view, &self.node, unit).addresses.is_empty();
        let (own, shared) = plan.units.into_iter().partition(is_own);
        self.own = own;
        shared
    }
}
