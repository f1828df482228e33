//! Units of translation as they are kept: what they gave, and what they depend on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ir::{Resource, RouteConfig};
use model::Finding;
use registry::{Delta, Snapshot, View};
use translate::{Again, Built, Memo, ScopeKey, Unit};
use xds_server::{Encoded, Hosts, Withheld};

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
    /// What its resources were made of.
    memo: Memo,
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
        Kept {
            scope,
            unit,
            reads: Reads::default(),
            resources: Vec::new(),
            findings: Vec::new(),
            memo: Memo::default(),
        }
    }

    /// Builds it. Resources that are as before keep their encoding, and so do virtual hosts. `delta`: what
    /// is different since it was built before, which is `None` if it never was.
    pub fn build(&mut self, snapshot: &Snapshot, delta: Option<&Delta>, hosts: &mut Hosts) -> Outcome {
        let view = View::new(snapshot);
        // What a panic leaves half done is thrown away with it.
        let mut memo = std::mem::take(&mut self.memo);
        let built = catch_unwind(AssertUnwindSafe(|| {
            let again = Again { memo: &mut memo, delta };
            let built = translate::build_again(&view, &self.scope, &self.unit, again);
            (built, memo)
        }));
        let asked = std::mem::replace(&mut self.reads, Reads::new(view.take_keys()));
        let (changed, before, findings, panicked) = match built {
            Ok((built, memo)) => {
                self.memo = memo;
                let (changed, before, findings) = self.take(built, hosts);
                (changed, before, findings, false)
            }
            Err(panic) => (0, None, vec![findings::internal(&self.unit, &*panic)], true),
        };
        let found = self.findings != findings;
        self.findings = findings;
        Outcome { changed, before, asked, found, panicked }
    }

    /// How many resources are new or different, what was there if it is not the same, findings.
    fn take(&mut self, built: Built, hosts: &mut Hosts) -> (usize, Option<Vec<Arc<Encoded>>>, Vec<Finding>) {
        let (mut changed, mut findings) = (0, built.findings);
        let before = std::mem::take(&mut self.resources);
        for resource in &built.resources {
            let old = before.iter().find(|old| old.name == resource.name());
            match self.encode(resource, old, hosts) {
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
    fn encode(
        &mut self,
        resource: &Resource,
        old: Option<&Arc<Encoded>>,
        hosts: &mut Hosts,
    ) -> Result<Arc<Encoded>, Box<Finding>> {
        if let Resource::Route(config) = resource {
            return self.encode_routes(config, old, hosts);
        }
        if let Some(same) = old.filter(|old| old.version == resource.version()) {
            return Ok(same.clone());
        }
        self.encoded(catch_unwind(|| Encoded::new(resource)))
    }

    fn encode_routes(
        &mut self,
        config: &Arc<RouteConfig>,
        old: Option<&Arc<Encoded>>,
        hosts: &mut Hosts,
    ) -> Result<Arc<Encoded>, Box<Finding>> {
        // Every host is put into `hosts` whole or not at all.
        let result = catch_unwind(AssertUnwindSafe(|| Encoded::routes(config, old.map(Arc::as_ref), hosts)));
        let encoded = self.encoded(result)?;
        for (ours, known) in config.virtual_hosts.iter().zip(encoded.body.hosts()) {
            if !Arc::ptr_eq(ours, &known.host) {
                self.memo.adopt(&known.host);
            }
        }
        Ok(old.filter(|old| old.version == encoded.version).cloned().unwrap_or(encoded))
    }

    fn encoded(
        &self,
        result: std::thread::Result<Result<Encoded, Withheld>>,
    ) -> Result<Arc<Encoded>, Box<Finding>> {
        match result {
            Ok(Ok(encoded)) => Ok(Arc::new(encoded)),
            Ok(Err(withheld)) => Err(Box::new(findings::withheld(&withheld))),
            Err(panic) => Err(Box::new(findings::internal(&self.unit, &*panic))),
        }
    }
}
