//! Sidecars that select nothing, or the same pods, or pods that have no sidecar
//! (`sidecar.SelectorAnalyzer`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::Str;

use super::Analyzer;
use crate::finding::{Report, list};
use crate::kind::Kind;
use crate::object::{Object, labels_of, selector_text};
use crate::snapshot::Snapshot;
use crate::value::Val;
use crate::workloads::is_ambient;

pub static ANALYZER: Analyzer = Analyzer {
    name: "sidecar.SelectorAnalyzer",
    description: "Validates that sidecars that define a workload selector match at least one pod, \
                  and that there aren't multiple sidecar resources that select overlapping pods",
    codes: &["IST0101", "IST0110", "IST0111", "IST0167"],
    inputs: &[Kind::Sidecar, Kind::Pod, Kind::Namespace],
    by_default: true,
    by_file: false,
    run,
};

fn run(snapshot: &Snapshot, report: &mut Report) {
    let mut by_workload: BTreeMap<(&Str, &Str, &Str), (&Arc<Object>, Vec<&Arc<Object>>)> = BTreeMap::new();
    let mut by_namespace: BTreeMap<&Str, Vec<&Arc<Object>>> = BTreeMap::new();
    for sidecar in snapshot.of(Kind::Sidecar) {
        let at = sidecar.spec().get("workloadSelector");
        let selector = labels_of(at.get("labels"));
        if selector.is_empty() {
            by_namespace.entry(&sidecar.namespace).or_default().push(sidecar);
            continue;
        }
        let selected = snapshot.select(Some(&sidecar.namespace), &selector);
        if selected.is_empty() {
            report.add("IST0101", sidecar, at, &[&"selector", &selector_text(&selector)]);
        }
        for workload in selected {
            let object = &workload.object;
            let key = (&object.namespace, object.name(), &object.shown.kind);
            by_workload.entry(key).or_insert((object, Vec::new())).1.push(sidecar);
        }
    }
    let mut ineffective: BTreeSet<String> = BTreeSet::new();
    for ((namespace, name, _), (workload, sidecars)) in by_workload {
        if is_ambient(workload) {
            let reason = "selected workload is in ambient mode, the policy has no impact";
            without_effect(&sidecars, reason, &mut ineffective, report);
        } else if sidecars.len() > 1 {
            let names = names(&sidecars);
            for sidecar in sidecars {
                let at = sidecar.root().path("metadata.name");
                report.add("IST0110", sidecar, at, &[&names, namespace, name]);
            }
        }
    }
    for (namespace, sidecars) in by_namespace {
        if is_ambient_namespace(snapshot, namespace) {
            let reason = "namespace is in ambient mode, the policy has no impact";
            without_effect(&sidecars, reason, &mut ineffective, report);
        } else if sidecars.len() > 1 {
            let names = names(&sidecars);
            for sidecar in sidecars {
                report.add("IST0111", sidecar, Val::ABSENT, &[&names, namespace]);
            }
        }
    }
}

/// Each Sidecar is told once.
fn without_effect(sidecars: &[&Arc<Object>], reason: &str, told: &mut BTreeSet<String>, report: &mut Report) {
    for sidecar in sidecars {
        if told.insert(sidecar.full_name()) {
            report.add("IST0167", sidecar, Val::ABSENT, &[&reason]);
        }
    }
}

/// Labels for sidecars win over the one for ambient mode.
fn is_ambient_namespace(snapshot: &Snapshot, name: &str) -> bool {
    snapshot.namespace_labels(name).is_some_and(|labels| {
        labels.get("istio-injection") != Some("enabled")
            && labels.get("istio.io/rev").is_none_or(str::is_empty)
            && labels.get("istio.io/dataplane-mode") == Some("ambient")
    })
}

/// The names of objects as messages list them.
pub(super) fn names(objects: &[&Arc<Object>]) -> String {
    let mut names: Vec<&str> = objects.iter().map(|object| object.name().as_str()).collect();
    names.sort_unstable();
    list(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check;

    fn sidecar(name: &str, app: &str) -> String {
        let selector = if app.is_empty() {
            String::new()
        } else {
            format!("workloadSelector: {{labels: {{app: {app}}}}}")
        };
        format!(
            "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {{name: {name}}}\nspec:\n  {{{selector}}}\n---\n"
        )
    }

    const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: p, labels: {app: a}}\n";

    #[test]
    fn each_pod_has_one_sidecar() {
        check(&ANALYZER, &(sidecar("x", "a") + POD), &[]);
        check(&ANALYZER, &(sidecar("x", "b") + POD), &["IST0101 Sidecar default/x:5"]);
        let both = sidecar("x", "a") + &sidecar("y", "a") + POD;
        check(&ANALYZER, &both, &["IST0110 Sidecar default/x:3", "IST0110 Sidecar default/y:9"]);
        let both = sidecar("x", "") + &sidecar("y", "");
        check(&ANALYZER, &both, &["IST0111 Sidecar default/x:1", "IST0111 Sidecar default/y:7"]);
        check(&ANALYZER, &(sidecar("x", "a") + &sidecar("y", "") + POD), &[]);
    }

    #[test]
    fn there_are_no_sidecars_in_ambient_mode() {
        let pod = POD.replace("name: p", "name: p, annotations: {ambient.istio.io/redirection: enabled}");
        check(&ANALYZER, &(sidecar("x", "a") + &pod), &["IST0167 Sidecar default/x:1"]);
        let namespace = |labels: &str| {
            format!(
                "---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: default, labels: {{{labels}}}}}\n"
            )
        };
        let ambient = "istio.io/dataplane-mode: ambient";
        check(&ANALYZER, &(sidecar("x", "") + &namespace(ambient)), &["IST0167 Sidecar default/x:1"]);
        let both = format!("{ambient}, istio-injection: enabled");
        check(&ANALYZER, &(sidecar("x", "") + &namespace(&both)), &[]);
    }
}
