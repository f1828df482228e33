//! Rules of a VirtualService that can never apply, as Istio's validation finds them: equal matches,
//! and prefixes that begin with an earlier rule's. See `LTN0101` for what this does not find.

use super::{Analyzer, schema};
use crate::finding::Report;
use crate::kind::Kind;
use crate::snapshot::Snapshot;

pub static ANALYZER: Analyzer = Analyzer {
    name: "schema.ValidationAnalyzer.VirtualService",
    description: "Checks for rules and matches of virtual services that an earlier one hides",
    codes: &["IST0130", "IST0131"],
    inputs: &[Kind::VirtualService],
    by_default: true,
    by_file: true,
    run,
};

/// The rule is `istio-api`'s, which finds it while it reads a file.
fn run(snapshot: &Snapshot, report: &mut Report) {
    for file in &snapshot.files {
        for finding in file.findings.iter().filter(|finding| ANALYZER.codes.contains(&finding.code)) {
            if let Some(object) = schema::object_of(file, finding) {
                let told = report.add(finding.code, object, object.root(), &[]);
                told.message = finding.message.to_string();
                told.place = finding.place.clone();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, messages};

    fn route(rules: &[&str]) -> String {
        let mut text = String::from(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\nspec:\n  hosts: [a]\n  http:\n",
        );
        for rule in rules {
            text += &format!("  - {{{rule}}}\n");
        }
        text
    }

    #[test]
    fn repeated_matches_are_found() {
        let object = "VirtualService default/a";
        check(&ANALYZER, &route(&["", ""]), &[&format!("IST0130 {object}:8")]);
        check(&ANALYZER, &route(&["match: [{port: 1}]", ""]), &[]);
        check(&ANALYZER, &route(&["", "match: [{port: 1}]"]), &[&format!("IST0130 {object}:8")]);
        let twice = route(&["match: [{port: 1}]", "match: [{name: n, port: 1}]"]);
        check(&ANALYZER, &twice, &[&format!("IST0130 {object}:8"), &format!("IST0131 {object}:8")]);
        assert_eq!(
            messages(&ANALYZER, &twice)[1],
            "VirtualService rule #1 match \"n\" is not used (duplicate/overlapping match in rule #0)."
        );
        check(
            &ANALYZER,
            &route(&["match: [{port: 1}]", "match: [{port: 1}, {port: 2}]"]),
            &[&format!("IST0131 {object}:8")],
        );
    }

    #[test]
    fn longer_prefixes_after_shorter_ones_are_found() {
        let prefixes = |first: &str, second: &str| {
            route(&[
                &format!("match: [{{uri: {{prefix: {first}}}}}]"),
                &format!("match: [{{uri: {{prefix: {second}}}}}]"),
            ])
        };
        check(&ANALYZER, &prefixes("/a", "/a/b"), &["IST0131 VirtualService default/a:8"]);
        check(&ANALYZER, &prefixes("/a/b", "/a"), &[]);
        let other = prefixes("/a", "/a/b").replacen("uri", "method: {exact: POST}, uri", 1);
        check(&ANALYZER, &other, &[]);
        let headers = prefixes("/a", "/a/b").replacen("uri", "headers: {h: {exact: x}}, uri", 1);
        check(&ANALYZER, &headers, &[]);
    }
}
