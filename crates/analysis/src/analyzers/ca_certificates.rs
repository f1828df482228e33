//! TLS to a server that is not verified (`destinationrule.CaCertificateAnalyzer`).

use super::Analyzer;
use crate::finding::Report;
use crate::kind::Kind;
use crate::object::Object;
use crate::snapshot::Snapshot;
use crate::value::Val;

pub static ANALYZER: Analyzer = Analyzer {
    name: "destinationrule.CaCertificateAnalyzer",
    description: "Checks if caCertificates is set when TLS mode is SIMPLE/MUTUAL",
    codes: &["IST0128", "IST0129"],
    inputs: &[Kind::DestinationRule],
    by_default: true,
    by_file: true,
    run,
};

fn run(snapshot: &Snapshot, report: &mut Report) {
    for rule in snapshot.of(Kind::DestinationRule) {
        let host = rule.spec().get("host").str();
        let policy = rule.spec().get("trafficPolicy");
        let tls = policy.get("tls");
        if is_unverified(rule, tls) {
            let mode = tls.get("mode").str();
            report.add("IST0128", rule, tls, &[&rule.full_name(), &rule.shown.namespace, &mode, &host]);
        }
        for port in policy.get("portLevelSettings").items() {
            let tls = port.get("tls");
            if is_unverified(rule, tls) {
                let (mode, number) = (tls.get("mode").str(), port.path("port.number").str());
                let number = format!("number:{number}");
                let arguments: [&dyn std::fmt::Display; 5] =
                    [&rule.full_name(), &rule.shown.namespace, &mode, &host, &number];
                report.add("IST0129", rule, tls, &arguments);
            }
        }
    }
}

/// With a `credentialName` the CA can be in the Secret, which sidecars use only by a rule with a
/// `workloadSelector`.
fn is_unverified(rule: &Object, tls: Val<'_>) -> bool {
    let from_secret =
        !tls.get("credentialName").str().is_empty() && rule.spec().get("workloadSelector").exists();
    matches!(tls.get("mode").str(), "SIMPLE" | "MUTUAL")
        && tls.get("caCertificates").str().is_empty()
        && !from_secret
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check;

    fn rule(policy: &str) -> String {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: a}}\nspec:\n  host: a\n  \
             trafficPolicy: {{{policy}}}\n"
        )
    }

    #[test]
    fn certificates_of_servers_must_be_verified() {
        check(&ANALYZER, &rule("tls: {mode: SIMPLE}"), &["IST0128 DestinationRule default/a:6"]);
        check(&ANALYZER, &rule("tls: {mode: SIMPLE, caCertificates: /ca.pem}"), &[]);
        check(&ANALYZER, &rule("tls: {mode: ISTIO_MUTUAL}"), &[]);
        check(
            &ANALYZER,
            &rule("tls: {mode: SIMPLE, credentialName: c}"),
            &["IST0128 DestinationRule default/a:6"],
        );
        let selected =
            rule("tls: {mode: SIMPLE, credentialName: c}") + "  workloadSelector: {matchLabels: {a: b}}\n";
        check(&ANALYZER, &selected, &[]);
        check(
            &ANALYZER,
            &rule("portLevelSettings: [{port: {number: 443}, tls: {mode: MUTUAL}}]"),
            &["IST0129 DestinationRule default/a:6"],
        );
    }
}
