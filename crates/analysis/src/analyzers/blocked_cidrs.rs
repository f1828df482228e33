//! Key sets that the control plane fetches from anywhere (`authn.BlockedCIDRsAnalyzer`).

use super::Analyzer;
use crate::finding::Report;
use crate::kind::Kind;
use crate::snapshot::Snapshot;

pub static ANALYZER: Analyzer = Analyzer {
    name: "authn.BlockedCIDRsAnalyzer",
    description: "Checks that BLOCKED_CIDRS_IN_JWKS_URIS is configured on istiod when RequestAuthentication resources exist",
    codes: &["IST0175"],
    inputs: &[Kind::RequestAuthentication, Kind::Deployment],
    by_default: true,
    by_file: false,
    run,
};

/// How many RequestAuthentications the message names.
const NAMED: usize = 5;

fn run(snapshot: &Snapshot, report: &mut Report) {
    let requests = snapshot.of(Kind::RequestAuthentication);
    if requests.is_empty() {
        return;
    }
    let mut names: Vec<String> = requests.iter().map(|r| r.full_name()).take(NAMED).collect();
    if requests.len() > NAMED {
        names.push(format!("and {} more", requests.len() - NAMED));
    }
    for istiod in snapshot.of(Kind::Deployment).iter().filter(|d| d.label("app") == Some("istiod")) {
        let mut variables = istiod.pod_spec().get("containers").items().flat_map(|c| c.get("env").items());
        let is_set = variables.any(|variable| {
            variable.get("name").str() == "BLOCKED_CIDRS_IN_JWKS_URIS"
                && !variable.get("value").str().is_empty()
        });
        if !is_set {
            let containers = istiod.pod_spec().get("containers");
            report.add("IST0175", istiod, containers, &[&requests.len(), &names.join(", ")]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, messages};

    fn istiod(env: &str) -> String {
        format!(
            "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {{name: r}}\n---\n\
             apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: istiod, labels: {{app: istiod}}}}\n\
             spec: {{template: {{spec: {{containers: [{{name: discovery, env: [{env}]}}]}}}}}}\n"
        )
    }

    #[test]
    fn the_variable_must_have_a_value() {
        check(&ANALYZER, &istiod(""), &["IST0175 Deployment default/istiod:8"]);
        check(&ANALYZER, &istiod("{name: BLOCKED_CIDRS_IN_JWKS_URIS, value: 10.0.0.0/8}"), &[]);
        let message = &messages(&ANALYZER, &istiod(""))[0];
        assert!(message.contains("but 1 RequestAuthentication resource(s) exist (default/r)"), "{message}");
    }
}
