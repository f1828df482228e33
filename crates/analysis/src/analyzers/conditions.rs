//! Conditions by which a controller says that an object does not take effect
//! (`conditions.ConditionAnalyzer`).

use super::Analyzer;
use crate::finding::Report;
use crate::kind::Kind;
use crate::object::Object;
use crate::snapshot::Snapshot;
use crate::value::Val;

const KINDS: [Kind; 7] = [
    Kind::Service,
    Kind::ServiceEntry,
    Kind::WorkloadEntry,
    Kind::AuthorizationPolicy,
    Kind::KubernetesGateway,
    Kind::HttpRoute,
    Kind::GrpcRoute,
];

pub static ANALYZER: Analyzer = Analyzer {
    name: "conditions.ConditionAnalyzer",
    description: "Checks for negative status conditions on resources",
    codes: &["IST0171"],
    inputs: &KINDS,
    by_default: true,
    by_file: true,
    run,
};

fn run(snapshot: &Snapshot, report: &mut Report) {
    for object in snapshot.of_all(&KINDS) {
        for condition in conditions(object).into_iter().filter(|c| is_negative(object.kind, *c)) {
            let text = |name| condition.get(name).str();
            report.add("IST0171", object, condition, &[&text("type"), &text("reason"), &text("message")]);
        }
    }
}

/// Of routes, those of every parent.
fn conditions(object: &Object) -> Vec<Val<'_>> {
    let status = object.root().get("status");
    let parents = status.get("parents").items().flat_map(|parent| parent.get("conditions").items());
    status.get("conditions").items().chain(parents).collect()
}

fn is_negative(kind: Kind, condition: Val<'_>) -> bool {
    let name = condition.get("type").str();
    let known = match kind {
        Kind::Service | Kind::ServiceEntry | Kind::WorkloadEntry => name == "istio.io/WaypointBound",
        Kind::AuthorizationPolicy => matches!(name, "ZtunnelAccepted" | "WaypointAccepted"),
        _ => matches!(name, "Accepted" | "Programmed" | "ResolvedRefs"),
    };
    // A waypoint can accept a policy in part, with the status True.
    let in_part = name == "WaypointAccepted" && condition.get("reason").str() == "PartiallyInvalid";
    known && (condition.get("status").str() == "False" || in_part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check;

    fn service(status: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: a}}\nstatus:\n  conditions:\n  \
             - {{type: istio.io/WaypointBound, status: '{status}', reason: R, message: M}}\n"
        )
    }

    #[test]
    fn only_negative_conditions_count() {
        check(&ANALYZER, &service("False"), &["IST0171 Service default/a:6"]);
        check(&ANALYZER, &service("True"), &[]);
        let policy = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: a}\nstatus:\n  \
            conditions:\n  - {type: WaypointAccepted, status: 'True', reason: PartiallyInvalid, message: M}\n";
        check(&ANALYZER, policy, &["IST0171 AuthorizationPolicy default/a:6"]);
        let route = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: a}\nstatus:\n  \
            parents:\n  - conditions:\n    - {type: Accepted, status: 'False', reason: R, message: M}\n";
        check(&ANALYZER, route, &["IST0171 HTTPRoute default/a:7"]);
    }
}
