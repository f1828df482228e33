//! Findings of all parts, and which of them are news.

use std::collections::BTreeMap;

use model::{Finding, Level};
use registry::Snapshot;
use tracing::{error, info, warn};

/// Findings by the part that found them.
#[derive(Default)]
pub(crate) struct Ledger {
    parts: BTreeMap<Part, Vec<Finding>>,
    /// What has been logged and still holds, by identity.
    logged: BTreeMap<Finding, Finding>,
}

/// Who finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Source(usize),
    Registry,
    Other(&'static str),
}

impl Ledger {
    /// Puts findings in the place of those the part had before.
    pub fn set(&mut self, part: Part, findings: Vec<Finding>) {
        self.parts.insert(part, findings);
    }

    /// All findings, each once, sorted. Those of an object that do not say where get its place.
    pub fn all(&self, snapshot: &Snapshot) -> Vec<Finding> {
        let mut all: Vec<Finding> = self.parts.values().flatten().cloned().collect();
        for finding in all.iter_mut().filter(|finding| finding.place.is_none()) {
            let document = finding.object.as_ref().and_then(|object| snapshot.object(object));
            finding.place = document.map(|document| document.place_of(&finding.field));
        }
        all.sort();
        all.dedup();
        all
    }

    /// Logs what was not there before, and what is there no more.
    pub fn log_news(&mut self, all: &[Finding]) {
        let (new, resolved) = self.news(all);
        for finding in new {
            match finding.level {
                Level::Error => error!("{finding}"),
                Level::Warning => warn!("{finding}"),
                Level::Info => info!("{finding}"),
            }
        }
        for finding in resolved {
            info!("resolved: {finding}");
        }
    }

    /// What was not there when this was asked last, and what no longer is.
    fn news(&mut self, all: &[Finding]) -> (Vec<Finding>, Vec<Finding>) {
        let now: BTreeMap<Finding, Finding> = all.iter().map(|f| (identity(f), f.clone())).collect();
        let before = std::mem::replace(&mut self.logged, now);
        let only_in = |a: &BTreeMap<Finding, Finding>, b: &BTreeMap<Finding, Finding>| {
            a.iter().filter(|(id, _)| !b.contains_key(*id)).map(|(_, finding)| finding.clone()).collect()
        };
        (only_in(&self.logged, &before), only_in(&before, &self.logged))
    }
}

/// A finding without line and column: it is no news that something moved within its file.
fn identity(finding: &Finding) -> Finding {
    let mut id = finding.clone();
    if let Some(place) = &mut id.place {
        (place.line, place.column) = (0, 0);
    }
    id
}

#[cfg(test)]
mod tests {
    use model::{Place, Str};

    use super::*;

    fn at(message: &str, line: u32) -> Finding {
        Finding {
            level: Level::Error,
            code: "LTN0001",
            object: None,
            field: Str::default(),
            place: Some(Place { file: "f.yaml".into(), line, column: 1 }),
            message: message.into(),
        }
    }

    #[test]
    fn only_news_is_logged_and_a_move_within_the_file_is_none() {
        let mut ledger = Ledger::default();
        let mut check = |now: &[Finding], new: &[Finding], resolved: &[Finding]| {
            assert_eq!(ledger.news(now), (new.to_vec(), resolved.to_vec()));
        };
        let (a, moved, b) = (at("a", 1), at("a", 7), at("b", 2));
        check(&[a.clone(), b.clone()], &[a.clone(), b.clone()], &[]);
        check(&[moved.clone(), b.clone()], &[], &[]);
        check(std::slice::from_ref(&b), &[], &[moved]);
        check(std::slice::from_ref(&a), std::slice::from_ref(&a), &[b]);
    }
}
