//! Authorization policies for nobody, and namespaces in them that do not exist
//! (`auth.AuthorizationPoliciesAnalyzer`).

use super::Analyzer;
use crate::finding::Report;
use crate::kind::Kind;
use crate::object::{Object, labels_of, selector_text};
use crate::snapshot::Snapshot;
use crate::workloads::{Workload, in_mesh, is_ambient};

pub static ANALYZER: Analyzer = Analyzer {
    name: "auth.AuthorizationPoliciesAnalyzer",
    description: "Checks the validity of authorization policies",
    codes: &["IST0101", "IST0127"],
    inputs: &[Kind::MeshConfig, Kind::AuthorizationPolicy, Kind::Namespace, Kind::Pod],
    by_default: true,
    by_file: false,
    run,
};

fn run(snapshot: &Snapshot, report: &mut Report) {
    for policy in snapshot.of(Kind::AuthorizationPolicy) {
        workloads(policy, snapshot, report);
        namespaces(policy, snapshot, report);
    }
}

/// The policy must select something that enforces it: a pod with a sidecar or in ambient mode.
fn workloads(policy: &Object, snapshot: &Snapshot, report: &mut Report) {
    let selector = policy.spec().get("selector");
    let is_mesh_wide = *policy.namespace == *snapshot.mesh.root_namespace();
    if is_mesh_wide && !selector.exists() {
        return;
    }
    let labels = labels_of(selector.get("matchLabels"));
    let namespace = (!is_mesh_wide).then_some(&*policy.namespace);
    let enforces = |w: &Workload| in_mesh(&w.object, snapshot) || is_ambient(&w.object);
    if !snapshot.selected(namespace, &labels).any(enforces) {
        report.add("IST0127", policy, selector, &[&selector_text(&labels)]);
    }
}

fn namespaces(policy: &Object, snapshot: &Snapshot, report: &mut Report) {
    for rule in policy.spec().get("rules").items() {
        for from in rule.get("from").items() {
            let source = from.get("source");
            let named =
                ["namespaces", "notNamespaces"].into_iter().flat_map(|field| source.get(field).items());
            for name in named.filter(|name| !exists(name.str(), snapshot)) {
                report.add("IST0101", policy, name, &[&"namespace", &name.str()]);
            }
        }
    }
}

/// Names are exact, or have one `*` at an end, as everywhere in these policies.
fn exists(pattern: &str, snapshot: &Snapshot) -> bool {
    let fits = |name: &str| match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(suffix), _) => name.ends_with(suffix),
        (None, Some(prefix)) => name.starts_with(prefix),
        (None, None) => name.eq_ignore_ascii_case(pattern),
    };
    pattern == "*" || snapshot.of(Kind::Namespace).iter().any(|namespace| fits(namespace.name()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check;

    const MESH: &str = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {istio-injection: enabled}}\n---\n\
        apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: shop, labels: {app: a}}\n---\n";

    fn policy(namespace: &str, spec: &str) -> String {
        format!(
            "{MESH}apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
             metadata: {{name: x, namespace: {namespace}}}\nspec:\n  {spec}\n"
        )
    }

    #[test]
    fn a_policy_must_select_a_workload_of_the_mesh() {
        let selector = |app: &str| format!("selector: {{matchLabels: {{app: {app}}}}}");
        check(&ANALYZER, &policy("shop", &selector("a")), &[]);
        check(&ANALYZER, &policy("shop", &selector("b")), &["IST0127 AuthorizationPolicy shop/x:13"]);
        check(&ANALYZER, &policy("other", "{}"), &["IST0127 AuthorizationPolicy other/x:9"]);
        check(&ANALYZER, &policy("istio-system", &selector("a")), &[]);
        check(
            &ANALYZER,
            &policy("istio-system", &selector("b")),
            &["IST0127 AuthorizationPolicy istio-system/x:13"],
        );
        check(&ANALYZER, &policy("istio-system", "{}"), &[]);
    }

    #[test]
    fn namespaces_in_sources_must_exist() {
        let rule = |names: &str| {
            policy("shop", &format!("rules: [{{from: [{{source: {{namespaces: {names}}}}}]}}]"))
        };
        check(&ANALYZER, &rule("[shop, 'sh*', '*']"), &[]);
        check(&ANALYZER, &rule("[shoop]"), &["IST0101 AuthorizationPolicy shop/x:13"]);
    }
}
