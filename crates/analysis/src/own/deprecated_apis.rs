//! Versions of APIs that are gone or going, with what replaces them. Istio's v1alpha3 and v1beta1
//! are served for good, so nothing is said about them.

use crate::analyzers::Analyzer;
use crate::finding::{Edit, Fix, Report};
use crate::snapshot::Snapshot;

pub static ANALYZER: Analyzer = Analyzer {
    name: "lateen.DeprecatedApis",
    description: "Finds API versions that are deprecated or removed, and names their successors",
    codes: &["LTN0113"],
    inputs: &[],
    by_default: true,
    by_file: true,
    run,
};

struct Api {
    version: &'static str,
    /// Empty for all kinds of the version.
    kind: &'static str,
    successor: &'static str,
    /// Whether the successor takes the same fields, so that changing the version is all.
    same_fields: bool,
}

const fn api(version: &'static str, kind: &'static str, successor: &'static str, same_fields: bool) -> Api {
    Api { version, kind, successor, same_fields }
}

/// By Kubernetes' deprecation guide (<https://kubernetes.io/docs/reference/using-api/deprecation-guide/>),
/// the Gateway API's releases and Istio's release notes.
const APIS: &[Api] = &[
    api("rbac.istio.io/v1alpha1", "", "security.istio.io/v1 AuthorizationPolicy", false),
    api(
        "authentication.istio.io/v1alpha1",
        "",
        "security.istio.io/v1 PeerAuthentication and RequestAuthentication",
        false,
    ),
    api("config.istio.io/v1alpha2", "", "telemetry.istio.io/v1 Telemetry, or an extension provider", false),
    api("gateway.networking.k8s.io/v1alpha2", "GRPCRoute", "gateway.networking.k8s.io/v1", true),
    api("gateway.networking.k8s.io/v1alpha2", "ReferenceGrant", "gateway.networking.k8s.io/v1beta1", true),
    api("gateway.networking.k8s.io/v1alpha2", "Gateway", "gateway.networking.k8s.io/v1", false),
    api("gateway.networking.k8s.io/v1alpha2", "GatewayClass", "gateway.networking.k8s.io/v1", false),
    api("gateway.networking.k8s.io/v1alpha2", "HTTPRoute", "gateway.networking.k8s.io/v1", false),
    api("gateway.networking.k8s.io/v1beta1", "Gateway", "gateway.networking.k8s.io/v1", true),
    api("gateway.networking.k8s.io/v1beta1", "GatewayClass", "gateway.networking.k8s.io/v1", true),
    api("gateway.networking.k8s.io/v1beta1", "HTTPRoute", "gateway.networking.k8s.io/v1", true),
    api("networking.x-k8s.io/v1alpha1", "", "gateway.networking.k8s.io/v1", false),
    api("extensions/v1beta1", "Ingress", "networking.k8s.io/v1", false),
    api("networking.k8s.io/v1beta1", "Ingress", "networking.k8s.io/v1", false),
    api("networking.k8s.io/v1beta1", "IngressClass", "networking.k8s.io/v1", true),
    api("extensions/v1beta1", "", "apps/v1", false),
    api("apps/v1beta1", "", "apps/v1", false),
    api("apps/v1beta2", "", "apps/v1", false),
    api("policy/v1beta1", "PodDisruptionBudget", "policy/v1", false),
    api("autoscaling/v2beta1", "", "autoscaling/v2", false),
    api("autoscaling/v2beta2", "", "autoscaling/v2", true),
    api("batch/v1beta1", "CronJob", "batch/v1", true),
    api("rbac.authorization.k8s.io/v1beta1", "", "rbac.authorization.k8s.io/v1", true),
    api("admissionregistration.k8s.io/v1beta1", "", "admissionregistration.k8s.io/v1", false),
    api("apiextensions.k8s.io/v1beta1", "", "apiextensions.k8s.io/v1", false),
];

fn run(snapshot: &Snapshot, report: &mut Report) {
    for object in snapshot.files.iter().flat_map(|file| &file.objects) {
        let known = |api: &&Api| {
            api.version == &*object.api_version && (api.kind.is_empty() || api.kind == &*object.shown.kind)
        };
        let Some(api) = APIS.iter().find(known) else { continue };
        let at = object.root().get("apiVersion");
        let finding =
            report.add("LTN0113", object, at, &[&object.api_version, &object.shown.kind, &api.successor]);
        if let (true, Some((line, column))) = (api.same_fields, at.place()) {
            let edit = Edit { line, column, old: api.version.to_owned(), new: api.successor.to_owned() };
            finding.fix = Some(Fix { title: format!("use {}", api.successor), edits: vec![edit] });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::analyze;
    use crate::testing::{check, snapshot};

    fn object(version: &str, kind: &str) -> String {
        format!("kind: {kind}\nmetadata: {{name: a, namespace: n}}\napiVersion: {version}\n")
    }

    #[test]
    fn successors_are_named() {
        check(
            &ANALYZER,
            &object("gateway.networking.k8s.io/v1beta1", "HTTPRoute"),
            &["LTN0113 HTTPRoute n/a:3"],
        );
        check(&ANALYZER, &object("gateway.networking.k8s.io/v1", "HTTPRoute"), &[]);
        check(&ANALYZER, &object("gateway.networking.k8s.io/v1beta1", "ReferenceGrant"), &[]);
        check(&ANALYZER, &object("networking.istio.io/v1alpha3", "VirtualService"), &[]);
        check(&ANALYZER, &object("rbac.istio.io/v1alpha1", "ServiceRole"), &["LTN0113 ServiceRole n/a:3"]);
    }

    #[test]
    fn only_versions_with_the_same_fields_are_mended() {
        let fix = |version: &str, kind: &str| {
            let findings = analyze(&snapshot(&object(version, kind)), &[&ANALYZER]);
            findings[0].fix.as_ref().map(|fix| fix.edits[0].new.clone())
        };
        assert_eq!(
            fix("gateway.networking.k8s.io/v1beta1", "Gateway").as_deref(),
            Some("gateway.networking.k8s.io/v1")
        );
        assert_eq!(fix("apps/v1beta1", "Deployment"), None);
    }
}
