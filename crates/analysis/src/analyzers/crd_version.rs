//! CRDs of the Gateway API that are too old to be read (`k8sgateway.CRDVersionAnalyzer`).

use super::Analyzer;
use crate::finding::Report;
use crate::kind::Kind;
use crate::snapshot::Snapshot;

pub static ANALYZER: Analyzer = Analyzer {
    name: "k8sgateway.CRDVersionAnalyzer",
    description: "Checks Gateway API CRDs are at the minimum version required by this Istio version",
    codes: &["IST0176"],
    inputs: &[Kind::CustomResourceDefinition],
    by_default: true,
    by_file: true,
    run,
};

/// The release of the Gateway API that each kind is read from (`pkg/config/schema/gatewayapi`).
const MINIMUM: [(&str, [u64; 3]); 4] = [
    ("grpcroutes.gateway.networking.k8s.io", [1, 1, 0]),
    ("backendtlspolicies.gateway.networking.k8s.io", [1, 4, 0]),
    ("tlsroutes.gateway.networking.k8s.io", [1, 5, 0]),
    ("tcproutes.gateway.networking.k8s.io", [1, 6, 0]),
];

const VERSION: &str = "gateway.networking.k8s.io/bundle-version";

fn run(snapshot: &Snapshot, report: &mut Report) {
    for crd in snapshot.of(Kind::CustomResourceDefinition) {
        let Some((name, minimum)) = MINIMUM.iter().find(|(name, _)| **crd.name() == **name) else { continue };
        let Some(version) = crd.annotation(VERSION) else { continue };
        if parse(version).is_some_and(|installed| installed < *minimum) {
            let required = minimum.map(|n| n.to_string()).join(".");
            let at = crd.root().path("metadata.annotations");
            let installed = version.strip_prefix('v').unwrap_or(version);
            report.add("IST0176", crd, at, &[name, &installed, &required]);
        }
    }
}

/// Release candidates count as the release.
fn parse(version: &str) -> Option<[u64; 3]> {
    let release = version.strip_prefix('v').unwrap_or(version).split(['-', '+']).next()?;
    let mut parts = release.split('.').map(|part| part.parse().ok());
    let mut next = || parts.next().unwrap_or(Some(0));
    Some([next()?, next()?, next()?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check;

    fn crd(version: &str) -> String {
        format!(
            "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n  \
             name: tlsroutes.gateway.networking.k8s.io\n  \
             annotations: {{gateway.networking.k8s.io/bundle-version: {version}}}\n"
        )
    }

    #[test]
    fn older_crds_are_not_read() {
        let found = ["IST0176 CustomResourceDefinition tlsroutes.gateway.networking.k8s.io:5"];
        check(&ANALYZER, &crd("v1.4.1"), &found);
        check(&ANALYZER, &crd("v1.5.0"), &[]);
        check(&ANALYZER, &crd("v1.5.0-rc.1"), &[]);
        check(&ANALYZER, &crd("v1.10.0"), &[]);
        check(&ANALYZER, &crd("latest"), &[]);
    }
}
