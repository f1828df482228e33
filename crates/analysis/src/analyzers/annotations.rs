//! Istio's annotations on Kubernetes' objects: unknown, on the wrong kind, unreadable, deprecated
//! (`annotations.K8sAnalyzer`), and alpha ones (`annotations.AlphaAnalyzer`, when asked for).

use std::sync::Arc;

use super::Analyzer;
use super::annotation_table::{Annotation, SET_BY_COMPONENTS, is_istios};
use super::annotation_values;
use crate::finding::Report;
use crate::kind::Kind;
use crate::object::Object;
use crate::snapshot::Snapshot;
use crate::value::Val;

const KINDS: [Kind; 4] = [Kind::Namespace, Kind::Service, Kind::Pod, Kind::Deployment];

pub static ANALYZER: Analyzer = Analyzer {
    name: "annotations.K8sAnalyzer",
    description: "Checks for misplaced and invalid Istio annotations in Kubernetes resources",
    codes: &["IST0107", "IST0108", "IST0125", "IST0135"],
    inputs: &KINDS,
    by_default: true,
    by_file: true,
    run: |snapshot, report| each(snapshot, |object, name, value, at| judge(object, name, value, at, report)),
};

pub static ALPHA: Analyzer = Analyzer {
    name: "annotations.AlphaAnalyzer",
    description: "Checks for alpha Istio annotations in Kubernetes resources",
    codes: &["IST0136"],
    inputs: &KINDS,
    // Most annotations are alpha, and in use by everybody.
    by_default: false,
    by_file: true,
    run: |snapshot, report| {
        each(snapshot, |object, name, _, at| {
            let is_alpha = Annotation::find(name).is_some_and(|a| a.is_alpha);
            if is_alpha && !is_set_by_cni(object, name) {
                report.add("IST0136", object, at, &[&name]);
            }
        });
    },
};

/// Calls for every annotation of Istio that a user may have set: object, name, value, place.
fn each(snapshot: &Snapshot, mut call: impl FnMut(&Arc<Object>, &str, &str, Val<'_>)) {
    for object in snapshot.of_all(&KINDS) {
        for (entry, value) in object.root().path("metadata.annotations").entries() {
            if is_istios(&entry.key) && !SET_BY_COMPONENTS.contains(&&*entry.key) {
                call(object, &entry.key, value.str(), value);
            }
        }
    }
}

fn judge(object: &Object, name: &str, value: &str, at: Val<'_>, report: &mut Report) {
    let Some(known) = Annotation::find(name) else {
        report.add("IST0108", object, at, &[&name]);
        return;
    };
    const INJECT: &str = "sidecar.istio.io/inject";
    // With the label beside it, the annotation is kept for old injectors.
    if known.is_deprecated && !(name == INJECT && object.label(INJECT).is_some()) {
        let successor = match name {
            INJECT => " in favor of the \"sidecar.istio.io/inject\" label",
            _ => "",
        };
        report.add("IST0135", object, at, &[&name, &successor]);
    }
    if !known.fits(&object.shown.kind) {
        report.add("IST0107", object, at, &[&name, &known.kinds.replace(' ', ", ")]);
    } else if !known.fits("Any")
        && let Some(problem) = annotation_values::problem(name, value)
    {
        report.add("IST0125", object, at, &[&name, &problem]);
    }
}

/// With Istio's CNI plugin (no `istio-init` container) injection sets these by itself.
fn is_set_by_cni(object: &Object, name: &str) -> bool {
    const SET: [&str; 4] = [
        "sidecar.istio.io/interceptionMode",
        "traffic.sidecar.istio.io/includeInboundPorts",
        "traffic.sidecar.istio.io/excludeInboundPorts",
        "traffic.sidecar.istio.io/includeOutboundIPRanges",
    ];
    object.kind == Kind::Pod
        && SET.contains(&name)
        && !object.spec().get("initContainers").items().any(|c| c.get("name").str() == "istio-init")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check;

    fn object(kind: &str, annotation: &str, more: &str) -> String {
        let api = if kind == "Deployment" { "apps/v1" } else { "v1" };
        format!(
            "apiVersion: {api}\nkind: {kind}\nmetadata:\n  name: a\n  annotations:\n    {annotation}\n{more}"
        )
    }

    #[test]
    fn misplaced_unknown_invalid_and_deprecated_annotations_are_found() {
        check(
            &ANALYZER,
            &object("Service", "sidecar.istio.io/logLevel: info", ""),
            &["IST0107 Service default/a:6"],
        );
        check(&ANALYZER, &object("Pod", "sidecar.istio.io/logLevel: info", ""), &[]);
        check(
            &ANALYZER,
            &object("Service", "networking.istio.io/exportto: '*'", ""),
            &["IST0108 Service default/a:6"],
        );
        check(&ANALYZER, &object("Service", "networking.istio.io/exportTo: '*'", ""), &[]);
        check(
            &ANALYZER,
            &object("Pod", "status.sidecar.istio.io/port: none", ""),
            &["IST0125 Pod default/a:6"],
        );
        check(&ANALYZER, &object("Pod", "status.sidecar.istio.io/port: '0'", ""), &[]);
        check(&ANALYZER, &object("Pod", "sidecar.istio.io/inject: 'true'", ""), &["IST0135 Pod default/a:6"]);
        let label = "  labels: {sidecar.istio.io/inject: 'true'}\n";
        check(&ANALYZER, &object("Pod", "sidecar.istio.io/inject: 'true'", label), &[]);
    }

    #[test]
    fn alpha_annotations_are_found_unless_the_cni_plugin_sets_them() {
        check(&ALPHA, &object("Pod", "sidecar.istio.io/logLevel: info", ""), &["IST0136 Pod default/a:6"]);
        check(&ALPHA, &object("Pod", "sidecar.istio.io/interceptionMode: TPROXY", ""), &[]);
        let init = "spec: {initContainers: [{name: istio-init}]}\n";
        check(
            &ALPHA,
            &object("Pod", "sidecar.istio.io/interceptionMode: TPROXY", init),
            &["IST0136 Pod default/a:6"],
        );
    }
}
