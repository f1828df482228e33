//! Fields and values that Istio still reads and has replaced.

use crate::analyzers::Analyzer;
use crate::finding::{Edit, Fix, Report};
use crate::kind::Kind;
use crate::object::Object;
use crate::snapshot::Snapshot;
use crate::value::Val;

pub static ANALYZER: Analyzer = Analyzer {
    name: "lateen.DeprecatedFields",
    description: "Finds deprecated fields and values, and names their successors",
    codes: &["LTN0114"],
    inputs: &[
        Kind::VirtualService,
        Kind::DestinationRule,
        Kind::AuthorizationPolicy,
        Kind::RequestAuthentication,
        Kind::Telemetry,
        Kind::WasmPlugin,
    ],
    by_default: true,
    by_file: true,
    run,
};

const WITH_TARGETS: [Kind; 4] =
    [Kind::AuthorizationPolicy, Kind::RequestAuthentication, Kind::Telemetry, Kind::WasmPlugin];

fn run(snapshot: &Snapshot, report: &mut Report) {
    for object in snapshot.of(Kind::VirtualService) {
        for rule in object.spec().get("http").items() {
            say(object, rule.get("mirrorPercent"), "mirrorPercent", "mirrorPercentage", report);
            say(
                object,
                rule.path("corsPolicy.allowOrigin"),
                "corsPolicy.allowOrigin",
                "corsPolicy.allowOrigins",
                report,
            );
        }
    }
    for object in snapshot.of(Kind::DestinationRule) {
        let subsets = object.spec().get("subsets").items().map(|subset| subset.get("trafficPolicy"));
        for policy in std::iter::once(object.spec().get("trafficPolicy")).chain(subsets) {
            let ports = policy.get("portLevelSettings").items();
            for part in std::iter::once(policy).chain(ports) {
                traffic_policy(object, part, report);
            }
        }
    }
    for object in snapshot.of_all(&WITH_TARGETS) {
        say(object, object.spec().get("targetRef"), "targetRef", "targetRefs", report);
    }
}

fn say(object: &Object, at: Val<'_>, old: &str, new: &str, report: &mut Report) {
    if at.exists() {
        report.add("LTN0114", object, at, &[&old, &new]);
    }
}

fn traffic_policy(object: &Object, policy: Val<'_>, report: &mut Report) {
    let errors = policy.path("outlierDetection.consecutiveErrors");
    let new = "outlierDetection.consecutive5xxErrors or consecutiveGatewayErrors";
    say(object, errors, "outlierDetection.consecutiveErrors", new, report);
    let warmup = policy.path("loadBalancer.warmupDurationSecs");
    say(object, warmup, "loadBalancer.warmupDurationSecs", "loadBalancer.warmup.duration", report);
    let simple = policy.path("loadBalancer.simple");
    if simple.str() == "LEAST_CONN" {
        // Istio has taken it for LEAST_REQUEST since that exists.
        let finding = report.add("LTN0114", object, simple, &[&"LEAST_CONN", &"LEAST_REQUEST"]);
        if let Some((line, column)) = simple.place() {
            let edit = Edit { line, column, old: "LEAST_CONN".into(), new: "LEAST_REQUEST".into() };
            finding.fix = Some(Fix { title: "use LEAST_REQUEST".into(), edits: vec![edit] });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check;

    fn rule(policy: &str) -> String {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: d}}\nspec:\n  host: a\n  \
             trafficPolicy: {{{policy}}}\n"
        )
    }

    fn route(rule: &str) -> String {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: r}}\nspec:\n  hosts: [a]\n  \
             http: [{{{rule}}}]\n"
        )
    }

    #[test]
    fn deprecated_fields_are_found() {
        let at = ["LTN0114 DestinationRule default/d:6"];
        check(&ANALYZER, &rule("loadBalancer: {simple: LEAST_CONN}"), &at);
        check(&ANALYZER, &rule("loadBalancer: {simple: LEAST_REQUEST}"), &[]);
        check(&ANALYZER, &rule("outlierDetection: {consecutiveErrors: 5}"), &at);
        check(&ANALYZER, &rule("outlierDetection: {consecutive5xxErrors: 5}"), &[]);
        check(&ANALYZER, &rule("loadBalancer: {warmupDurationSecs: 5s}"), &at);
        let at = ["LTN0114 VirtualService default/r:6"];
        check(&ANALYZER, &route("mirrorPercent: 5"), &at);
        check(&ANALYZER, &route("mirror_percent: 5"), &at);
        check(&ANALYZER, &route("mirrorPercentage: {value: 5}"), &[]);
        check(&ANALYZER, &route("corsPolicy: {allowOrigin: [a]}"), &at);
        let policy = |field: &str| {
            format!(
                "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: p}}\nspec: {{{field}: {{}}}}\n"
            )
        };
        check(&ANALYZER, &policy("targetRef"), &["LTN0114 AuthorizationPolicy default/p:4"]);
        check(&ANALYZER, &policy("targetRefs"), &[]);
    }
}
