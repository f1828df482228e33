//! Gateways that wait for injection (`image: auto`) where nothing injects
//! (`injection.ImageAutoAnalyzer`).

use model::Labels;

use super::Analyzer;
use crate::finding::Report;
use crate::kind::Kind;
use crate::labels::selects;
use crate::snapshot::Snapshot;
use crate::value::Val;
use crate::workloads::PROXY;

pub static ANALYZER: Analyzer = Analyzer {
    name: "injection.ImageAutoAnalyzer",
    description: "Makes sure that Pods and Deployments with `image: auto` are going to be injected",
    codes: &["IST0146", "IST0147"],
    inputs: &[Kind::Namespace, Kind::Pod, Kind::Deployment, Kind::MutatingWebhookConfiguration],
    by_default: true,
    by_file: false,
    run,
};

fn run(snapshot: &Snapshot, report: &mut Report) {
    // A pod that exists was not injected: injection would have replaced the image.
    for pod in snapshot.of(Kind::Pod) {
        if let Some(image) = auto_image(pod.spec()) {
            report.add("IST0147", pod, image, &[&"Pod", pod.name()]);
        }
    }
    let configurations = snapshot.of(Kind::MutatingWebhookConfiguration).iter();
    let webhooks: Vec<Val<'_>> = configurations
        .flat_map(|configuration| configuration.root().get("webhooks").items())
        .filter(|webhook| webhook.get("name").str().ends_with("istio.io"))
        .collect();
    let none = Labels::default();
    for deployment in snapshot.of(Kind::Deployment) {
        let Some(image) = auto_image(deployment.pod_spec()) else { continue };
        let namespace = snapshot.namespace_labels(&deployment.namespace).unwrap_or(&none);
        let labels = &deployment.pod_labels;
        let is_injected = webhooks.iter().any(|webhook| {
            selects(webhook.get("namespaceSelector"), namespace)
                && selects(webhook.get("objectSelector"), labels)
        });
        if !is_injected {
            report.add("IST0146", deployment, image, &[&"Deployment", deployment.name()]);
        }
    }
}

fn auto_image(pod: Val<'_>) -> Option<Val<'_>> {
    let proxy = pod.get("containers").items().find(|c| c.get("name").str() == PROXY)?;
    Some(proxy.get("image")).filter(|image| image.str() == "auto")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check;

    fn mesh(labels: &str, image: &str) -> String {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: d}}\nspec:\n  template:\n    \
             metadata: {{labels: {{{labels}}}}}\n    spec: {{containers: [{{name: istio-proxy, image: {image}}}]}}\n---\n\
             apiVersion: admissionregistration.k8s.io/v1\nkind: MutatingWebhookConfiguration\nmetadata: {{name: w}}\n\
             webhooks: [{{name: x.istio.io, objectSelector: {{matchLabels: {{inject: 'yes'}}}}}}]\n"
        )
    }

    #[test]
    fn what_waits_for_injection_is_injected() {
        check(&ANALYZER, &mesh("inject: 'yes'", "auto"), &[]);
        check(&ANALYZER, &mesh("inject: 'no'", "auto"), &["IST0146 Deployment default/d:7"]);
        check(&ANALYZER, &mesh("inject: 'no'", "other"), &[]);
        let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: istio-proxy, image: auto}]}\n";
        check(&ANALYZER, pod, &["IST0147 Pod default/p:4"]);
    }
}
