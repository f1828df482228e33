//! Telemetries that select nothing or the same pods (`telemetry.SelectorAnalyzer`), and several
//! without a selector (`telemetry.DefaultSelectorAnalyzer`).

use std::collections::BTreeMap;
use std::sync::Arc;

use model::Str;

use super::Analyzer;
use super::sidecar_selector::names;
use crate::finding::Report;
use crate::kind::Kind;
use crate::object::{Object, labels_of, selector_text};
use crate::snapshot::Snapshot;
use crate::value::Val;

pub static ANALYZER: Analyzer = Analyzer {
    name: "telemetry.SelectorAnalyzer",
    description: "Validates that telemetries that define a selector match at least one pod, \
                  and that there aren't multiple telemetry resources that select overlapping pods",
    codes: &["IST0101", "IST0159"],
    inputs: &[Kind::Telemetry, Kind::Pod],
    by_default: true,
    by_file: false,
    run: selected,
};

pub static DEFAULT: Analyzer = Analyzer {
    name: "telemetry.DefaultSelectorAnalyzer",
    description: "Validates that there aren't multiple telemetry resources that have no selector",
    codes: &["IST0160"],
    inputs: &[Kind::Telemetry],
    by_default: true,
    by_file: false,
    run: unselected,
};

fn selected(snapshot: &Snapshot, report: &mut Report) {
    let mut by_workload: BTreeMap<(&Str, &Str, &Str), Vec<&Arc<Object>>> = BTreeMap::new();
    for telemetry in snapshot.of(Kind::Telemetry) {
        let at = telemetry.spec().get("selector");
        let selector = labels_of(at.get("matchLabels"));
        if selector.is_empty() {
            continue;
        }
        let selected = snapshot.select(Some(&telemetry.namespace), &selector);
        if selected.is_empty() {
            report.add("IST0101", telemetry, at, &[&"selector", &selector_text(&selector)]);
        }
        for workload in selected {
            let object = &workload.object;
            by_workload
                .entry((&object.namespace, object.name(), &object.shown.kind))
                .or_default()
                .push(telemetry);
        }
    }
    for ((namespace, name, _), telemetries) in by_workload.into_iter().filter(|(_, list)| list.len() > 1) {
        let names = names(&telemetries);
        for telemetry in telemetries {
            let at = telemetry.root().path("metadata.name");
            report.add("IST0159", telemetry, at, &[&names, namespace, name]);
        }
    }
}

fn unselected(snapshot: &Snapshot, report: &mut Report) {
    let mut by_namespace: BTreeMap<&Str, Vec<&Arc<Object>>> = BTreeMap::new();
    let telemetries = snapshot.of(Kind::Telemetry).iter();
    for telemetry in telemetries.filter(|t| !t.spec().get("selector").exists()) {
        by_namespace.entry(&telemetry.namespace).or_default().push(telemetry);
    }
    for (namespace, telemetries) in by_namespace.into_iter().filter(|(_, list)| list.len() > 1) {
        let names = names(&telemetries);
        for telemetry in telemetries {
            report.add("IST0160", telemetry, Val::ABSENT, &[&names, namespace]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check;

    fn telemetry(name: &str, spec: &str) -> String {
        format!(
            "apiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {{name: {name}}}\nspec:\n  {{{spec}}}\n---\n"
        )
    }

    const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: p, labels: {app: a}}\n";
    const A: &str = "selector: {matchLabels: {app: a}}";

    #[test]
    fn each_pod_has_one_telemetry() {
        check(&ANALYZER, &(telemetry("x", A) + POD), &[]);
        check(&ANALYZER, &telemetry("x", A), &["IST0101 Telemetry default/x:5"]);
        let both = telemetry("x", A) + &telemetry("y", A) + POD;
        check(&ANALYZER, &both, &["IST0159 Telemetry default/x:3", "IST0159 Telemetry default/y:9"]);
    }

    #[test]
    fn each_namespace_has_one_default() {
        let both = telemetry("x", "") + &telemetry("y", "");
        check(&DEFAULT, &both, &["IST0160 Telemetry default/x:1", "IST0160 Telemetry default/y:7"]);
        check(&DEFAULT, &(telemetry("x", "") + &telemetry("y", A)), &[]);
    }
}
