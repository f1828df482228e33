//! What is wrong with single objects: schema and validation, fields that are unknown or have no
//! effect, syntax, and objects given twice. Istio has one such analyzer per kind
//! (`schema.ValidationAnalyzer.<Kind>`); the rules themselves are `istio-api`'s.

use std::sync::Arc;

use istio_api::codes as api;
use model::Level;

use super::Analyzer;
use crate::catalogue;
use crate::file::File;
use crate::finding::{Finding, Report};
use crate::object::Object;
use crate::snapshot::Snapshot;

pub static ANALYZER: Analyzer = Analyzer {
    name: "schema.ValidationAnalyzer",
    description: "Runs schema validation as an analyzer on resources of every kind",
    codes: &[
        "IST0106", "IST0133", "LTN0001", "LTN0002", "LTN0003", "LTN0004", "LTN0005", "LTN0006", "LTN0007",
        "LTN0008", "LTN0009", "LTN0010",
    ],
    inputs: &[],
    by_default: true,
    by_file: true,
    run,
};

fn run(snapshot: &Snapshot, report: &mut Report) {
    for file in &snapshot.files {
        for finding in &file.findings {
            if let Some(finding) = translated(file, finding) {
                report.push(finding);
            }
        }
    }
    for (duplicate, first) in &snapshot.duplicates {
        // Within one file that has been said already; the same text in two files does no harm.
        if duplicate.file != first.file && duplicate.root().canonical() != first.root().canonical() {
            let place = first.place(first.root());
            let finding = report.add(api::DUPLICATE_OBJECT, duplicate, duplicate.root(), &[&place]);
            // Files that are analyzed together need not be applied together.
            finding.level = Level::Warning;
        }
    }
}

/// The object of a file that a finding is about.
pub(super) fn object_of<'f>(file: &'f File, finding: &model::Finding) -> Option<&'f Arc<Object>> {
    let wanted = finding.object.as_ref()?;
    let same = |o: &&Arc<Object>| o.shown.kind == wanted.kind && o.shown.name == wanted.name;
    let mut candidates = file.objects.iter().filter(same);
    let first = candidates.next()?;
    // Objects of one name in several namespaces are told apart by theirs.
    let exact = std::iter::once(first).chain(candidates).find(|o| o.namespace == wanted.namespace);
    Some(exact.unwrap_or(first))
}

/// A finding about one object as a finding of the analysis.
fn translated(file: &File, finding: &model::Finding) -> Option<Finding> {
    if !ANALYZER.codes.contains(&finding.code) {
        return None;
    }
    let entry = catalogue::entry(finding.code);
    let object = object_of(file, finding);
    if object.is_some_and(|object| object.suppresses(finding.code)) {
        return None;
    }
    let detail = match finding.field.is_empty() {
        true => finding.message.to_string(),
        false => format!("{}: {}", finding.field, finding.message),
    };
    let message = match finding.code {
        api::INVALID | "IST0133" => catalogue::format(entry.template, &[&detail]),
        _ => detail,
    };
    Some(Finding {
        level: finding.level,
        code: entry.code,
        analyzer: ANALYZER.name,
        object: object.map(|o| o.shown.clone()).or_else(|| finding.object.clone()),
        namespace: object.map(|o| o.namespace.clone()).unwrap_or_default(),
        cluster: file.cluster.clone(),
        place: finding.place.clone(),
        message,
        fix: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::Reading;
    use crate::run::analyze;
    use crate::snapshot::Settings;
    use crate::testing::{check, messages};

    const ROUTE: &str =
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\nspec:\n";

    #[test]
    fn invalid_fields_are_schema_errors() {
        let broken = format!(
            "{ROUTE}  hosts: [a]\n  http: [{{timeout: soon, route: [{{destination: {{host: a}}}}]}}]\n"
        );
        check(&ANALYZER, &broken, &["IST0106 VirtualService default/a:6"]);
        assert!(
            messages(&ANALYZER, &broken)[0].starts_with("Schema validation error: spec.http[0].timeout: ")
        );
        let good = broken.replace("soon", "1s");
        check(&ANALYZER, &good, &[]);
        check(&ANALYZER, "a: [", &["LTN0001 :1"]);
    }

    #[test]
    fn an_object_in_two_files_is_given_twice() {
        let file = |name, label: &str| {
            let text =
                format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: a, labels: {{l: {label}}}}}\n");
            Arc::new(File::read(name, &text, &Reading::default()))
        };
        let found = |first, second| {
            let files = vec![file("one", first), file("two", second)];
            analyze(&Snapshot::new(files, Settings::default()), &[&ANALYZER])
        };
        assert!(found("x", "x").is_empty());
        let findings = found("x", "y");
        let messages: Vec<&str> = findings.iter().map(|f| &*f.message).collect();
        assert_eq!(messages, ["is given twice; the one at one:1:1 counts, this one has no effect"]);
    }
}
