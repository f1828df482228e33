//! Deprecated fields and kinds of Istio (`deprecation.DeprecationAnalyzer`).

use super::Analyzer;
use crate::finding::{Edit, Fix, Report};
use crate::kind::Kind;
use crate::object::Object;
use crate::snapshot::Snapshot;

pub static ANALYZER: Analyzer = Analyzer {
    name: "deprecation.DeprecationAnalyzer",
    description: "Checks for deprecated Istio types and fields",
    codes: &["IST0002"],
    inputs: &[Kind::VirtualService, Kind::Sidecar, Kind::CustomResourceDefinition],
    by_default: true,
    by_file: true,
    run,
};

/// The kinds of the RBAC API that AuthorizationPolicy replaced in Istio 1.4.
const REMOVED: [&str; 4] = ["ClusterRbacConfig", "RbacConfig", "ServiceRole", "ServiceRoleBinding"];

fn run(snapshot: &Snapshot, report: &mut Report) {
    for object in snapshot.of(Kind::VirtualService) {
        delays(object, report);
    }
    for object in snapshot.of(Kind::Sidecar) {
        let proxy = object.spec().path("outboundTrafficPolicy.egressProxy");
        if proxy.exists() {
            report.add("IST0002", object, proxy, &[&"OutboundTrafficPolicy.EgressProxy ignored"]);
        }
    }
    for object in snapshot.of(Kind::CustomResourceDefinition) {
        let (group, kind) = (object.spec().get("group").str(), object.spec().path("names.kind"));
        if group == "rbac.istio.io" && REMOVED.contains(&kind.str()) {
            let detail = format!("Custom resource type {group} {} is removed", kind.str());
            report.add("IST0002", object, kind, &[&detail]);
        }
    }
}

fn delays(object: &Object, report: &mut Report) {
    for route in object.spec().get("http").items() {
        let percent = route.path("fault.delay").get("percent");
        let Some(value) = percent.int().filter(|percent| *percent > 0) else { continue };
        let detail = "HTTPRoute.fault.delay.percent is deprecated; use HTTPRoute.fault.delay.percentage";
        let finding = report.add("IST0002", object, percent, &[&detail]);
        // The same number of percent, as long as key and value stand together on one line.
        if let Some((line, column)) = percent.place() {
            let old = format!("percent: {}", percent.str());
            let before = column.saturating_sub("percent: ".len() as u32).max(1);
            let new = format!("percentage: {{value: {value}}}");
            let edit = Edit { line, column: before, old, new };
            finding.fix = Some(Fix { title: "use fault.delay.percentage".into(), edits: vec![edit] });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check;

    #[test]
    fn deprecated_fields_and_kinds_are_named() {
        let route = |delay: &str| {
            format!(
                "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: a}}\nspec:\n  hosts: [a]\n  \
                 http:\n  - fault:\n      delay:\n        {delay}\n        fixedDelay: 1s\n"
            )
        };
        check(&ANALYZER, &route("percent: 50"), &["IST0002 VirtualService default/a:9"]);
        check(&ANALYZER, &route("percentage: {value: 50}"), &[]);
        check(&ANALYZER, &route("percent: 0"), &[]);
        let crd = |kind: &str| {
            format!(
                "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {{name: a}}\n\
                 spec: {{group: rbac.istio.io, names: {{kind: {kind}}}}}\n"
            )
        };
        check(&ANALYZER, &crd("ServiceRole"), &["IST0002 CustomResourceDefinition a:4"]);
        check(&ANALYZER, &crd("Role"), &[]);
        let sidecar = "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: a}\n\
            spec: {outboundTrafficPolicy: {egressProxy: {host: a}}}\n";
        check(&ANALYZER, sidecar, &["IST0002 Sidecar default/a:4"]);
    }
}
