//! A Deployment behind several Services that contradict each other (`deployment.MultiServiceAnalyzer`).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use model::{Labels, Str};

use super::Analyzer;
use crate::finding::{Report, list};
use crate::kind::Kind;
use crate::object::{Object, labels_of};
use crate::snapshot::Snapshot;
use crate::workloads::in_mesh;

pub static ANALYZER: Analyzer = Analyzer {
    name: "deployment.MultiServiceAnalyzer",
    description: "Checks association between services and pods",
    codes: &["IST0116", "IST0137"],
    inputs: &[Kind::Service, Kind::Deployment, Kind::Namespace],
    by_default: true,
    by_file: false,
    run,
};

fn run(snapshot: &Snapshot, report: &mut Report) {
    let mut services: HashMap<Str, Vec<(&Arc<Object>, Labels)>> = HashMap::new();
    for service in snapshot.of(Kind::Service) {
        let selector = labels_of(service.spec().get("selector"));
        if !selector.is_empty() {
            services.entry(service.namespace.clone()).or_default().push((service, selector));
        }
    }
    for deployment in snapshot.of(Kind::Deployment) {
        let is_waypoint = deployment.label("gateway.istio.io/managed") == Some("istio.io-mesh-controller");
        if is_waypoint || !in_mesh(deployment, snapshot) {
            continue;
        }
        let labels = &deployment.pod_labels;
        let candidates = services.get(&deployment.namespace).map_or(&[][..], Vec::as_slice);
        let selecting: Vec<&Object> =
            candidates.iter().filter(|(_, selector)| selector.select(labels)).map(|(s, _)| &***s).collect();
        if selecting.len() > 1 {
            protocols(deployment, &selecting, report);
            target_ports(deployment, &selecting, report);
        }
    }
}

/// One port, two transport protocols.
fn protocols(deployment: &Object, services: &[&Object], report: &mut Report) {
    let mut ports: BTreeMap<i64, BTreeMap<&str, Vec<String>>> = BTreeMap::new();
    for service in services {
        for port in service.spec().get("ports").items() {
            let protocol = port.get("protocol").text().unwrap_or("TCP");
            let number = port.get("port").int().unwrap_or_default();
            ports.entry(number).or_default().entry(protocol).or_default().push(service.full_name());
        }
    }
    for (port, protocols) in ports.into_iter().filter(|(_, protocols)| protocols.len() > 1) {
        let mut names: Vec<String> = protocols.into_values().flatten().collect();
        names.sort();
        let at = deployment.root().path("metadata.name");
        report.add("IST0116", deployment, at, &[deployment.name(), &port, &list(names)]);
    }
}

/// One target port, two ports.
fn target_ports(deployment: &Object, services: &[&Object], report: &mut Report) {
    let mut targets: BTreeMap<String, BTreeMap<i64, String>> = BTreeMap::new();
    for service in services {
        for port in service.spec().get("ports").items() {
            let number = port.get("port").int().unwrap_or_default();
            let target = match port.get("targetPort").str() {
                "" | "0" => number.to_string(),
                target => target.to_owned(),
            };
            targets.entry(target).or_default().insert(number, service.full_name());
        }
    }
    for (target, ports) in targets.into_iter().filter(|(_, ports)| ports.len() > 1) {
        let names: BTreeSet<&String> = ports.values().collect();
        let at = deployment.root().path("metadata.name");
        let (names, numbers) = (list(names), list(ports.keys()));
        report.add("IST0137", deployment, at, &[deployment.name(), &names, &target, &numbers]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check;

    fn mesh(first: &str, second: &str) -> String {
        let service = |name: &str, port: &str| {
            format!(
                "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\n\
                 spec: {{selector: {{app: a}}, ports: [{port}]}}\n---\n"
            )
        };
        format!(
            "{}{}apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: d}}\nspec: {{template: {{\
             metadata: {{labels: {{app: a, sidecar.istio.io/inject: 'true'}}}}, spec: {{containers: []}}}}}}\n",
            service("one", first),
            service("two", second)
        )
    }

    #[test]
    fn services_of_one_deployment_must_agree() {
        check(
            &ANALYZER,
            &mesh("{port: 80, protocol: TCP}", "{port: 80, protocol: UDP}"),
            &["IST0116 Deployment default/d:13"],
        );
        check(&ANALYZER, &mesh("{port: 80}", "{port: 80}"), &[]);
        check(
            &ANALYZER,
            &mesh("{port: 80, targetPort: 8080}", "{port: 81, targetPort: 8080}"),
            &["IST0137 Deployment default/d:13"],
        );
        check(&ANALYZER, &mesh("{port: 80, targetPort: 8080}", "{port: 81, targetPort: 8081}"), &[]);
    }
}
