//! Policies that refuse the kubelet: it has no identity of the mesh, so where its probes go to the
//! application itself, mutual TLS and rules about callers turn them away.

use model::Labels;

use crate::analyzers::Analyzer;
use crate::finding::Report;
use crate::kind::Kind;
use crate::object::labels_of;
use crate::snapshot::Snapshot;
use crate::value::Val;
use crate::workloads::{Workload, in_mesh};

use super::empty_policies::is_allow;

pub static ANALYZER: Analyzer = Analyzer {
    name: "lateen.LockedOutProbes",
    description: "Finds policies that turn the kubelet's probes away",
    codes: &["LTN0109"],
    inputs: &[
        Kind::AuthorizationPolicy,
        Kind::PeerAuthentication,
        Kind::Pod,
        Kind::Namespace,
        Kind::MeshConfig,
    ],
    by_default: true,
    by_file: false,
    run,
};

const REWRITE: &str = "sidecar.istio.io/rewriteAppHTTPProbers";

fn run(snapshot: &Snapshot, report: &mut Report) {
    for workload in snapshot.workloads() {
        let object = &workload.object;
        // Rewritten probes go to the agent, which no policy concerns.
        if !in_mesh(object, snapshot) || is_rewritten(workload) {
            continue;
        }
        let Some((probe, port)) = http_probe(object.pod_spec()) else { continue };
        let namespace = &object.namespace;
        if let Some(mode) = snapshot.modes().of(namespace, &workload.labels).filter(|m| &*m.mode == "STRICT")
        {
            let by = format!("PeerAuthentication {} asks for mutual TLS", mode.policy.full_name());
            report.add("LTN0109", object, probe, &[&port, &by]);
            continue;
        }
        let allowing: Vec<_> = snapshot
            .of(Kind::AuthorizationPolicy)
            .iter()
            .filter(|p| is_allow(p) && applies(p, namespace, &workload.labels, snapshot))
            .collect();
        let allowed =
            allowing.iter().any(|policy| policy.spec().get("rules").items().any(|rule| admits(rule, port)));
        if let Some(policy) = allowing.first().filter(|_| !allowed) {
            let by =
                format!("AuthorizationPolicy {} allows callers with an identity only", policy.full_name());
            report.add("LTN0109", object, probe, &[&port, &by]);
        }
    }
}

/// Rewriting is the default; an annotation of the pod can switch it off.
fn is_rewritten(workload: &Workload) -> bool {
    let annotations = match workload.is_pod() {
        true => workload.object.root().path("metadata.annotations"),
        false => workload.object.spec().path("template.metadata.annotations"),
    };
    !annotations.entries().any(|(entry, value)| &*entry.key == REWRITE && value.str() == "false")
}

/// The first HTTP probe of the application, with its port.
fn http_probe(pod: Val<'_>) -> Option<(Val<'_>, &str)> {
    let probes = pod.get("containers").items().flat_map(|container| {
        ["livenessProbe", "readinessProbe", "startupProbe"].map(|name| container.get(name).get("httpGet"))
    });
    probes.into_iter().find(|probe| probe.exists()).map(|probe| (probe, probe.get("port").str()))
}

/// Whether a policy concerns a workload.
pub(super) fn applies(
    policy: &crate::object::Object,
    namespace: &str,
    labels: &Labels,
    snapshot: &Snapshot,
) -> bool {
    let spec = policy.spec();
    (*policy.namespace == *namespace || *policy.namespace == *snapshot.mesh.root_namespace())
        && !spec.get("targetRef").exists()
        && !spec.get("targetRefs").exists()
        && labels_of(spec.path("selector.matchLabels")).select(labels)
}

/// Whether a caller without identity and token can match a rule, at this port.
fn admits(rule: Val<'_>, port: &str) -> bool {
    const IDENTITY: [&str; 3] = ["principals", "namespaces", "requestPrincipals"];
    let nobody = |from: Val<'_>| IDENTITY.iter().all(|f| from.get("source").get(f).items().len() == 0);
    let source = rule.get("from").items().len() == 0 || rule.get("from").items().any(nobody);
    let at_port = |to: Val<'_>| {
        let ports = to.get("operation").get("ports").strings();
        ports.is_empty() || ports.contains(&port)
    };
    source && (rule.get("to").items().len() == 0 || rule.get("to").items().any(at_port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check;

    fn mesh(rewrite: &str, policy: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  labels: {{app: a, sidecar.istio.io/inject: 'true'}}\n  \
             annotations: {{{REWRITE}: '{rewrite}'}}\nspec:\n  containers:\n  - name: a\n    \
             livenessProbe: {{httpGet: {{port: 8080, path: /}}}}\n---\n{policy}"
        )
    }

    fn allow(rule: &str) -> String {
        format!(
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: p}}\nspec: {{rules: [{{{rule}}}]}}\n"
        )
    }

    #[test]
    fn probes_that_are_not_rewritten_need_a_way_in() {
        let found = ["LTN0109 Pod default/a:10"];
        let identity = allow("from: [{source: {namespaces: [b]}}]");
        check(&ANALYZER, &mesh("false", &identity), &found);
        check(&ANALYZER, &mesh("true", &identity), &[]);
        check(&ANALYZER, &mesh("false", &allow("from: [{source: {ipBlocks: [10.0.0.0/8]}}]")), &[]);
        check(&ANALYZER, &mesh("false", &allow("to: [{operation: {ports: ['8080']}}]")), &[]);
        check(&ANALYZER, &mesh("false", &allow("to: [{operation: {ports: ['9090']}}]")), &found);
        let strict = "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: m}\nspec: {mtls: {mode: STRICT}}\n";
        check(&ANALYZER, &mesh("false", strict), &found);
        check(&ANALYZER, &mesh("false", &strict.replace("STRICT", "PERMISSIVE")), &[]);
    }
}
