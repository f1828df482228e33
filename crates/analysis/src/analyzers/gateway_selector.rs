//! Policies that select a Kubernetes Gateway by labels, which has no effect
//! (`k8sgateway.SelectorAnalyzer`).

use super::Analyzer;
use crate::finding::Report;
use crate::kind::Kind;
use crate::object::labels_of;
use crate::snapshot::Snapshot;

const POLICIES: [Kind; 4] =
    [Kind::AuthorizationPolicy, Kind::RequestAuthentication, Kind::Telemetry, Kind::WasmPlugin];

pub static ANALYZER: Analyzer = Analyzer {
    name: "k8sgateway.SelectorAnalyzer",
    description: "Check that selectors are effective for Kubernetes gateway",
    codes: &["IST0166"],
    inputs: &[
        Kind::AuthorizationPolicy,
        Kind::RequestAuthentication,
        Kind::Telemetry,
        Kind::WasmPlugin,
        Kind::Pod,
    ],
    by_default: true,
    by_file: false,
    run,
};

/// On the pods that the controller makes for a Gateway.
const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";

fn run(snapshot: &Snapshot, report: &mut Report) {
    if !snapshot.workloads().iter().any(|workload| workload.labels.get(GATEWAY_NAME).is_some()) {
        return;
    }
    for policy in snapshot.of_all(&POLICIES) {
        let selector = policy.spec().get("selector");
        if !selector.exists() || policy.spec().get("targetRef").exists() {
            continue;
        }
        let labels = labels_of(selector.get("matchLabels"));
        for pod in snapshot.select(Some(&policy.namespace), &labels) {
            if let Some(gateway) = pod.labels.get(GATEWAY_NAME) {
                report.add("IST0166", policy, selector, &[&gateway]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check;

    fn mesh(spec: &str, label: &str) -> String {
        format!(
            "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {{name: r}}\nspec: {{{spec}}}\n---\n\
             apiVersion: v1\nkind: Pod\nmetadata: {{name: p, labels: {{app: a, {label}: g}}}}\n"
        )
    }

    #[test]
    fn gateways_are_referred_to_not_selected() {
        let selector = "selector: {matchLabels: {app: a}}";
        let label = "gateway.networking.k8s.io/gateway-name";
        check(&ANALYZER, &mesh(selector, label), &["IST0166 RequestAuthentication default/r:4"]);
        check(&ANALYZER, &mesh(selector, "other"), &[]);
        check(&ANALYZER, &mesh(&format!("{selector}, targetRef: {{kind: Gateway, name: g}}"), label), &[]);
        check(&ANALYZER, &mesh("selector: {matchLabels: {app: b}}", label), &[]);
    }
}
