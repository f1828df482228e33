//! Runs analyzers side by side.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use model::Str;

use crate::analyzers::Analyzer;
use crate::catalogue;
use crate::filter;
use crate::finding::{Finding, Report};
use crate::snapshot::Snapshot;

/// What the analyzers find in a snapshot, in istioctl's order and each thing once.
pub fn analyze(snapshot: &Snapshot, analyzers: &[&'static Analyzer]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = run_each(snapshot, analyzers).into_iter().flatten().collect();
    filter::sort(&mut findings);
    findings
}

/// As [`analyze`], by analyzer and unsorted.
pub(crate) fn run_each(snapshot: &Snapshot, analyzers: &[&'static Analyzer]) -> Vec<Vec<Finding>> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(analyzers.len());
    let next = AtomicUsize::new(0);
    let results: Vec<Mutex<Vec<Finding>>> = analyzers.iter().map(|_| Mutex::default()).collect();
    let work = || {
        while let Some((analyzer, result)) = {
            let i = next.fetch_add(1, Ordering::Relaxed);
            analyzers.get(i).zip(results.get(i))
        } {
            let found = run(snapshot, analyzer);
            if let Ok(mut result) = result.lock() {
                *result = found;
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..workers {
            scope.spawn(work);
        }
        work();
    });
    results.into_iter().map(|result| result.into_inner().unwrap_or_default()).collect()
}

/// An analyzer that fails costs its own findings only, and that is a finding.
pub(crate) fn run(snapshot: &Snapshot, analyzer: &'static Analyzer) -> Vec<Finding> {
    let found = catch_unwind(AssertUnwindSafe(|| {
        let mut report = Report::new(analyzer.name);
        (analyzer.run)(snapshot, &mut report);
        report.into_findings()
    }));
    found.unwrap_or_else(|_| {
        let entry = catalogue::entry("IST0001");
        vec![Finding {
            level: entry.level,
            code: entry.code,
            analyzer: analyzer.name,
            object: None,
            namespace: Str::default(),
            cluster: None,
            place: None,
            message: catalogue::format(entry.template, &[&format!("the analyzer {} failed", analyzer.name)]),
            fix: None,
        }]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    static FAILS: Analyzer = Analyzer {
        name: "test.Fails",
        description: "Fails",
        codes: &["IST0001"],
        inputs: &[],
        by_default: false,
        by_file: false,
        run: |_, _| std::panic::resume_unwind(Box::new("as asked")),
    };

    #[test]
    fn an_analyzer_that_fails_is_a_finding() {
        let findings = analyze(&Snapshot::default(), &[&FAILS]);
        assert_eq!(findings[0].message, "Internal error: the analyzer test.Fails failed");
    }
}
