//! Alert rules that can never fire, because the metric they ask for is gone, and runbooks that
//! name commands which are gone.

use std::collections::BTreeSet;

use model::Str;

use super::place::locate;
use crate::analyzers::Analyzer;
use crate::finding::Report;
use crate::kind::Kind;
use crate::object::Object;
use crate::snapshot::Snapshot;
use crate::value::Val;

use super::metric_names::{COMMANDS, KNOWN, SUCCESSORS};

pub static ANALYZER: Analyzer = Analyzer {
    name: "lateen.AlertRules",
    description: "Finds metrics and commands in alert rules that do not exist any more",
    codes: &["LTN0115", "LTN0116"],
    inputs: &[Kind::AlertRules],
    by_default: true,
    by_file: true,
    run,
};

fn run(snapshot: &Snapshot, report: &mut Report) {
    for object in snapshot.of(Kind::AlertRules) {
        let spec = if object.spec().exists() { object.spec() } else { object.root() };
        for rule in spec.get("groups").items().flat_map(|group| group.get("rules").items()) {
            metrics(object, rule, snapshot, report);
            for (_, text) in rule.get("annotations").entries() {
                commands(object, text, snapshot, report);
            }
        }
    }
}

fn metrics(object: &Object, rule: Val<'_>, snapshot: &Snapshot, report: &mut Report) {
    let expression = rule.get("expr");
    let names: BTreeSet<&str> = identifiers(expression.str()).collect();
    for name in names {
        let Some(successors) = gone(name) else { continue };
        let hint = match successors {
            "" => String::new(),
            _ => format!("; its place is taken by {successors}"),
        };
        let finding = report.add("LTN0115", object, expression, &[&name, &hint]);
        if let Some(place) = locate(snapshot, &object.file, expression, name) {
            finding.place = Some(place);
        }
    }
}

/// Names of metrics and functions. What stands in quotes is a label's value.
fn identifiers(expression: &str) -> impl Iterator<Item = &str> {
    let outside = expression.split('"').step_by(2);
    let words =
        outside.flat_map(|part| part.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':')));
    words.filter(|word| word.starts_with(|c: char| c.is_ascii_alphabetic()))
}

/// For a metric that does not exist, what takes its place (perhaps nothing). Only names that the
/// control plane would have are judged; others can be anybody's.
fn gone(name: &str) -> Option<&'static str> {
    if let Some((_, successors)) = SUCCESSORS.iter().find(|(old, _)| *old == name) {
        return Some(successors);
    }
    let base =
        ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
    let is_ours =
        ["pilot_", "citadel_", "galley_", "mixer_", "istiod_"].iter().any(|prefix| name.starts_with(prefix));
    let is_known = |name: &str| KNOWN.split_whitespace().any(|known| known == name);
    // Counters are exposed with and without their suffix, by the version of the exporter.
    let exists = is_known(name) || is_known(base) || is_known(name.strip_suffix("_total").unwrap_or(name));
    (is_ours && !exists && !name.contains(':')).then_some("")
}

fn commands(object: &Object, text: Val<'_>, snapshot: &Snapshot, report: &mut Report) {
    // White space, as in a folded text, is one space.
    let normal: Str = text.str().split_whitespace().collect::<Vec<_>>().join(" ").into();
    for (command, successor) in COMMANDS {
        let full = format!("istioctl {command}");
        let is_word = |at: usize| {
            let next = normal[at + full.len()..].chars().next();
            next.is_none_or(|c| !(c.is_ascii_alphanumeric() || c == '-'))
        };
        if normal.match_indices(&full).any(|(at, _)| is_word(at)) {
            let finding = report.add("LTN0116", object, text, &[&full, successor]);
            if let Some(place) = locate(snapshot, &object.file, text, &full) {
                finding.place = Some(place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, messages};

    fn rule(expression: &str, runbook: &str) -> String {
        format!(
            "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: {expression}\n    annotations:\n      runbook: '{runbook}'\n"
        )
    }

    #[test]
    fn metrics_exist() {
        let found = rule("rate(pilot_xds_push_errors[5m]) > 0", "");
        check(&ANALYZER, &found, &["LTN0115 AlertRules default/:5"]);
        let message = &messages(&ANALYZER, &found)[0];
        assert!(message.contains("pilot_total_xds_internal_errors"), "{message}");
        check(&ANALYZER, &rule("rate(pilot_xds_pushes[5m]) > 0", ""), &[]);
        check(&ANALYZER, &rule("rate(pilot_xds_push_time_bucket[5m]) > 0", ""), &[]);
        check(&ANALYZER, &rule("pilot_nonsense > 0", ""), &["LTN0115 AlertRules default/:5"]);
        check(&ANALYZER, &rule("'my_pilot{job=\"pilot_nonsense\"} > 0'", ""), &[]);
        check(&ANALYZER, &rule("istio_requests_total > 0", ""), &[]);
        check(&ANALYZER, &rule("citadel_cert_expiry < 1", ""), &["LTN0115 AlertRules default/:5"]);
    }

    #[test]
    fn commands_exist() {
        let found = rule("up == 0", "run istioctl authn tls-check POD");
        check(&ANALYZER, &found, &["LTN0116 AlertRules default/:7"]);
        check(&ANALYZER, &rule("up == 0", "run istioctl proxy-status"), &[]);
        check(&ANALYZER, &rule("up == 0", "run istioctl authn tls-checks"), &[]);
    }
}
