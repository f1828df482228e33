//! Units of translation as they are kept: what they gave, and what they depend on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ir::Resource;
use model::Finding;
use registry::{Snapshot, View};
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
    pub reads: Reads,
    pub resources: Vec<Arc<Encoded>>,
    pub findings: Vec<Finding>,
}

/// What building a unit changed.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Resources that are new or different.
    pub changed: usize,
    /// What it gave before, if that was something else.
    pub before: Option<Vec<Arc<Encoded>>>,
    /// What it asked before.
    pub asked: Reads,
    /// Its findings are different.
    pub found: bool,
    pub panicked: bool,
}

impl Kept {
    /// A unit that was never built.
    pub fn new(scope: ScopeKey, unit: Unit) -> Self {
        Kept { scope, unit, reads: Reads::default(), resources: Vec::new(), findings: Vec::new() }
    }

    /// Builds it. Resources that are as before keep their encoding.
    pub fn build(&mut self, snapshot: &Snapshot) -> Outcome {
        let view = View::new(snapshot);
        // Nothing outside of the closure is left half done by a panic in it.
        let built = catch_unwind(AssertUnwindSafe(|| translate::build_in(&view, &self.scope, &self.unit)));
        let asked = std::mem::replace(&mut self.reads, Reads::new(view.take_keys()));
        let (changed, before, findings, panicked) = match built {
            Ok(built) => {
                let (changed, before, findings) = self.take(built);
                (changed, before, findings, false)
            }
            Err(panic) => (0, None, vec![findings::internal(&self.unit, &*panic)], true),
        };
        let found = self.findings != findings;
        self.findings = findings;
        Outcome { changed, before, asked, found, panicked }
    }

    /// How many resources are new or different, what was there if it is not the same, findings.
    fn take(&mut self, built: Built) -> (usize, Option<Vec<Arc<Encoded>>>, Vec<Finding>) {
        let (mut changed, mut findings) = (0, built.findings);
        let before = std::mem::take(&mut self.resources);
        for resource in &built.resources {
            let old = before.iter().find(|old| old.name == resource.name());
            match self.encode(resource, old) {
                Ok(encoded) => {
                    changed += usize::from(!old.is_some_and(|old| Arc::ptr_eq(old, &encoded)));
                    self.resources.push(encoded);
                }
                Err(finding) => {
                    findings.push(*finding);
                    // What proxies have under this name is better than nothing.
                    self.resources.extend(old.cloned());
                }
            }
        }
        let same = changed == 0 && before.len() == self.resources.len();
        (changed, (!same).then_some(before), findings)
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
