//! Callers and callees that do not agree about TLS: a DestinationRule against PeerAuthentications.

use crate::analyzers::Analyzer;
use crate::finding::Report;
use crate::kind::Kind;
use crate::object::{Object, labels_of};
use crate::snapshot::Snapshot;

use super::mtls::Mode;

pub static ANALYZER: Analyzer = Analyzer {
    name: "lateen.PeerTls",
    description: "Finds destination rules whose TLS contradicts the peer authentication of the service",
    codes: &["LTN0107"],
    inputs: &[
        Kind::DestinationRule,
        Kind::PeerAuthentication,
        Kind::Service,
        Kind::ServiceEntry,
        Kind::Pod,
        Kind::MeshConfig,
    ],
    by_default: true,
    by_file: false,
    run,
};

fn run(snapshot: &Snapshot, report: &mut Report) {
    for rule in snapshot.of(Kind::DestinationRule) {
        let tls = rule.spec().path("trafficPolicy.tls.mode");
        let export_to = rule.spec().get("exportTo").strings();
        let host = rule.spec().get("host").str();
        let Some(entry) = snapshot.hosts().find(host, &rule.namespace, &export_to) else { continue };
        if entry.object.kind != Kind::Service {
            continue;
        }
        if tls.str().is_empty() {
            continue;
        }
        let Some(asked) = common_mode(&entry.object, snapshot) else { continue };
        let problem = match (tls.str(), &*asked.mode) {
            ("DISABLE" | "SIMPLE" | "MUTUAL", "STRICT") => "accepts mutual TLS of the mesh only (STRICT)",
            ("ISTIO_MUTUAL", "DISABLE") => "accepts plaintext only (DISABLE)",
            _ => continue,
        };
        let (service, policy) = (entry.object.full_name(), asked.policy.full_name());
        report.add("LTN0107", rule, tls, &[&service, &problem, &policy, &tls.str()]);
    }
}

/// The mode that all workloads of a service ask for; without workloads, that of its namespace.
fn common_mode(service: &Object, snapshot: &Snapshot) -> Option<Mode> {
    let selector = labels_of(service.spec().get("selector"));
    let workloads = match selector.is_empty() {
        true => Vec::new(),
        false => snapshot.select(Some(&service.namespace), &selector),
    };
    let mut modes = workloads.iter().map(|w| snapshot.modes().of(&service.namespace, &w.labels));
    let first = match workloads.is_empty() {
        true => snapshot.modes().of(&service.namespace, &selector)?,
        false => modes.next()??,
    };
    modes.all(|mode| mode.is_some_and(|mode| mode.mode == first.mode)).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, messages};

    fn mesh(tls: &str, mode: &str) -> String {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: d}}\nspec:\n  host: a\n  \
             trafficPolicy: {{tls: {{mode: {tls}}}}}\n---\n\
             apiVersion: v1\nkind: Service\nmetadata: {{name: a}}\nspec: {{selector: {{app: a}}}}\n---\n\
             apiVersion: v1\nkind: Pod\nmetadata: {{name: p, labels: {{app: a}}}}\n---\n\
             apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {{name: m, namespace: istio-system}}\n\
             spec: {{mtls: {{mode: {mode}}}}}\n"
        )
    }

    #[test]
    fn caller_and_callee_agree_about_tls() {
        let found = ["LTN0107 DestinationRule default/d:6"];
        check(&ANALYZER, &mesh("DISABLE", "STRICT"), &found);
        check(&ANALYZER, &mesh("SIMPLE", "STRICT"), &found);
        check(&ANALYZER, &mesh("ISTIO_MUTUAL", "DISABLE"), &found);
        check(&ANALYZER, &mesh("ISTIO_MUTUAL", "STRICT"), &[]);
        check(&ANALYZER, &mesh("DISABLE", "PERMISSIVE"), &[]);
        check(&ANALYZER, &mesh("DISABLE", "STRICT").replace("host: a", "host: b"), &[]);
        assert_eq!(
            messages(&ANALYZER, &mesh("DISABLE", "STRICT")),
            [
                "the service default/a accepts mutual TLS of the mesh only (STRICT) by PeerAuthentication istio-system/m; \
              calls with the mode DISABLE fail"
            ]
        );
    }

    #[test]
    fn one_workload_that_agrees_is_enough_to_be_silent() {
        let other = "---\napiVersion: v1\nkind: Pod\nmetadata: {name: q, labels: {app: a, old: 'yes'}}\n---\n\
            apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: o}\n\
            spec: {selector: {matchLabels: {old: 'yes'}}, mtls: {mode: PERMISSIVE}}\n";
        check(&ANALYZER, &(mesh("DISABLE", "STRICT") + other), &[]);
    }
}
