//! Whether namespaces are injected, and pods have what injection adds (`injection.Analyzer`).

use std::collections::BTreeSet;

use istio_api::yaml;
use model::Str;

use super::Analyzer;
use crate::finding::{Report, list};
use crate::kind::Kind;
use crate::object::Object;
use crate::snapshot::Snapshot;
use crate::value::Val;
use crate::workloads::proxy_image;

pub static ANALYZER: Analyzer = Analyzer {
    name: "injection.Analyzer",
    description: "Checks conditions related to Istio sidecar injection",
    codes: &["IST0102", "IST0103", "IST0123", "IST0148"],
    inputs: &[Kind::Namespace, Kind::Pod, Kind::ConfigMap],
    by_default: true,
    by_file: false,
    run,
};

const LABEL: &str = "istio-injection";
const REVISION: &str = "istio.io/rev";
const DATAPLANE_MODE: &str = "istio.io/dataplane-mode";

fn run(snapshot: &Snapshot, report: &mut Report) {
    let mut injected: BTreeSet<&Str> = BTreeSet::new();
    for namespace in snapshot.of(Kind::Namespace).iter().filter(|n| &**n.name() != "istio-system") {
        if judge_namespace(namespace, snapshot, report) {
            injected.insert(namespace.name());
        }
    }
    for pod in snapshot.of(Kind::Pod).iter().filter(|pod| injected.contains(&pod.namespace)) {
        let asked =
            pod.label("sidecar.istio.io/inject").or_else(|| pod.annotation("sidecar.istio.io/inject"));
        let is_out = asked.is_some_and(|value| value.eq_ignore_ascii_case("false"));
        if !is_out && !pod.spec().get("hostNetwork").is_true() && proxy_image(pod.spec()).is_none() {
            report.add("IST0103", pod, Val::ABSENT, &[&pod.full_name()]);
        }
    }
}

/// Whether the namespace asks for sidecars by its label.
fn judge_namespace(namespace: &Object, snapshot: &Snapshot, report: &mut Report) -> bool {
    let label = namespace.label(LABEL);
    let mut labels: Vec<String> = label.map(|value| format!("{LABEL}={value}")).into_iter().collect();
    // A namespace that is switched off may keep its other labels.
    if matches!(label, None | Some("enabled")) {
        for name in [REVISION, DATAPLANE_MODE] {
            labels.extend(namespace.label(name).map(|value| format!("{name}={value}")));
        }
    }
    if labels.len() > 1 {
        report.add("IST0123", namespace, namespace.root().path("metadata.labels"), &[&list(labels)]);
    }
    if namespace.label(DATAPLANE_MODE) == Some("ambient") {
        return false;
    }
    let revision = namespace.label(REVISION);
    if label.unwrap_or_default().is_empty() && revision.is_none() {
        let at = namespace.root().path("metadata.name");
        match is_default(revision.unwrap_or_default(), snapshot) {
            true => report.add("IST0148", namespace, at, &[]),
            false => report.add("IST0102", namespace, at, &[namespace.name(), namespace.name()]),
        };
        return false;
    }
    label == Some("enabled")
}

/// Whether injection is on for namespaces that do not say.
fn is_default(revision: &str, snapshot: &Snapshot) -> bool {
    let name = injector_config_map(revision);
    let found = snapshot.of(Kind::ConfigMap).iter().find(|map| **map.name() == *name);
    found.and_then(|map| injector_values(map)).is_some_and(|values| {
        Val::of(&values).path("sidecarInjectorWebhook.enableNamespacesByDefault").is_true()
    })
}

/// The ConfigMap of the injector of a revision.
pub(super) fn injector_config_map(revision: &str) -> String {
    match revision {
        "" | "default" => "istio-sidecar-injector".to_owned(),
        _ => format!("istio-sidecar-injector-{revision}"),
    }
}

/// The Helm values that an injector's ConfigMap holds, which are JSON.
pub(super) fn injector_values(map: &Object) -> Option<yaml::Node> {
    yaml::document(map.root().path("data.values").text()?, 0).ok()?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check;

    fn mesh(labels: &str, pod: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: n\n  labels: {{{labels}}}\n---\n\
             apiVersion: v1\nkind: Pod\nmetadata: {{name: p, namespace: n}}\nspec: {{{pod}}}\n"
        )
    }

    #[test]
    fn namespaces_say_whether_they_are_injected() {
        check(&ANALYZER, &mesh("", ""), &["IST0102 Namespace n:4"]);
        check(&ANALYZER, &mesh("istio-injection: disabled", ""), &[]);
        check(&ANALYZER, &mesh("istio.io/rev: one", ""), &[]);
        check(&ANALYZER, &mesh("istio.io/dataplane-mode: ambient", ""), &[]);
        check(&ANALYZER, &mesh("istio-injection: disabled, istio.io/rev: one", ""), &[]);
        let two = mesh("istio.io/dataplane-mode: ambient, istio.io/rev: one", "");
        check(&ANALYZER, &two, &["IST0123 Namespace n:5"]);
        let default = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio-sidecar-injector}\ndata:\n  \
            values: '{\"sidecarInjectorWebhook\": {\"enableNamespacesByDefault\": true}}'\n";
        check(&ANALYZER, &(mesh("", "") + default), &["IST0148 Namespace n:4"]);
    }

    #[test]
    fn pods_of_an_injected_namespace_have_a_sidecar() {
        let on = "istio-injection: enabled";
        check(&ANALYZER, &mesh(on, "containers: [{name: app, image: a}]"), &["IST0103 Pod n/p:7"]);
        check(&ANALYZER, &mesh(on, "containers: [{name: istio-proxy, image: a}]"), &[]);
        check(&ANALYZER, &mesh(on, "initContainers: [{name: istio-proxy, image: a}]"), &[]);
        check(&ANALYZER, &mesh(on, "hostNetwork: true"), &[]);
    }
}
