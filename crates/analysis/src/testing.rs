//! For the tests of analyzers: what one of them says about a text, in short.

use std::sync::Arc;

use crate::analyzers::Analyzer;
use crate::file::{File, Reading};
use crate::run::analyze;
use crate::snapshot::{Settings, Snapshot};

/// Everything in one file, analyzed in January 2027.
pub fn snapshot(text: &str) -> Snapshot {
    let settings = Settings { now: 1_800_000_000, ..Settings::default() };
    Snapshot::new(vec![Arc::new(File::read("f", text, &Reading::default()))], settings)
}

/// Findings as `CODE Kind namespace/name:line`.
pub fn found(analyzer: &'static Analyzer, text: &str) -> Vec<String> {
    let findings = analyze(&snapshot(text), &[analyzer]);
    findings
        .iter()
        .map(|f| {
            assert!(analyzer.codes.contains(&f.code), "{} is not declared", f.code);
            let object = f.object.as_ref().map(ToString::to_string).unwrap_or_default();
            format!("{} {object}:{}", f.code, f.place.as_ref().map_or(0, |p| p.line))
        })
        .collect()
}

/// The messages, in the order of the findings.
pub fn messages(analyzer: &'static Analyzer, text: &str) -> Vec<String> {
    analyze(&snapshot(text), &[analyzer]).into_iter().map(|f| f.message).collect()
}

/// Checks what is found; `expected` in istioctl's order.
#[track_caller]
pub fn check(analyzer: &'static Analyzer, text: &str, expected: &[&str]) {
    assert_eq!(found(analyzer, text), expected, "{:#?}", messages(analyzer, text));
}
