//! Units of translation as they are kept: what they gave, and what they depend on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ir::Resource;
use model::Finding;
use registry::{Delta, Snapshot, View};
use translate::{Built, ScopeKey, Unit};
use xds_server::Encoded;

use crate::findings;
use crate::reads::Reads;

/// A unit of a scope.
pub(crate) type UnitId = u64;

/// One unit for all proxies of a scope.
pub(crate) struct Kept {
    pub scope: ScopeKey,
    pub unit: Unit,
    /// What it depends on.
    reads: Reads,
    pub resources: Vec<Arc<Encoded>>,
    pub findings: Vec<Finding>,
    /// A question has another answer now.
    pub stale: bool,
}

/// What building a unit changed.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Resources that are new or different.
    pub changed: usize,
    /// A resource of before is there no more.
    pub dropped: bool,
    pub panicked: bool,
}

impl Kept {
    /// A unit that was never built.
    pub fn new(scope: ScopeKey, unit: Unit) -> Self {
        Kept {
            scope,
            unit,
            reads: Reads::default(),
            resources: Vec::new(),
            findings: Vec::new(),
            stale: true,
        }
    }

    /// Notes whether a change concerns it.
    pub fn judge(&mut self, delta: &Delta) {
        self.stale |= self.reads.are_touched(delta);
    }

    /// Builds it. Resources that are as before keep their encoding.
    pub fn build(&mut self, snapshot: &Snapshot) -> Outcome {
        self.stale = false;
        let view = View::new(snapshot);
        // Nothing outside of the closure is left half done by a panic in it.
        let built = catch_unwind(AssertUnwindSafe(|| translate::build_in(&view, &self.scope, &self.unit)));
        self.reads = Reads::new(view.take_keys());
        match built {
            Ok(built) => self.take(built),
            Err(panic) => {
                self.findings = vec![findings::internal(&self.unit, &*panic)];
                Outcome { panicked: true, ..Outcome::default() }
            }
        }
    }

    fn take(&mut self, built: Built) -> Outcome {
        let mut outcome = Outcome::default();
        self.findings = built.findings;
        let before = std::mem::take(&mut self.resources);
        for resource in &built.resources {
            let old = before.iter().find(|old| old.name == resource.name());
            match self.encode(resource, old) {
                Ok(encoded) => {
                    outcome.changed += usize::from(!old.is_some_and(|old| Arc::ptr_eq(old, &encoded)));
                    self.resources.push(encoded);
                }
                Err(finding) => {
                    self.findings.push(*finding);
                    // What proxies have under this name is better than nothing.
                    self.resources.extend(old.cloned());
                }
            }
        }
        let kept = |old: &Arc<Encoded>| self.resources.iter().any(|new| new.name == old.name);
        outcome.dropped = !before.iter().all(kept);
        outcome
    }

    /// `old`: what was there under this name, to be kept if it is the same.
    fn encode(&self, resource: &Resource, old: Option<&Arc<Encoded>>) -> Result<Arc<Encoded>, Box<Finding>> {
        if let Some(same) = old.filter(|old| old.version == resource.version()) {
            return Ok(same.clone());
        }
        match catch_unwind(|| Encoded::new(resource)) {
            Ok(Ok(encoded)) => Ok(Arc::new(encoded)),
            Ok(Err(withheld)) => Err(Box::new(findings::withheld(&withheld))),
            Err(panic) => Err(Box::new(findings::internal(&self.unit, &*panic))),
        }
    }
}
