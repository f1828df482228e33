//! Gateways without pods, and ports of theirs that no Service leads to
//! (`gateway.IngressGatewayPortAnalyzer`).

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use model::{Labels, Str};

use super::Analyzer;
use crate::finding::Report;
use crate::kind::Kind;
use crate::object::{Object, labels_of, selector_text};
use crate::snapshot::Snapshot;

pub static ANALYZER: Analyzer = Analyzer {
    name: "gateway.IngressGatewayPortAnalyzer",
    description: "Checks a gateway's ports against the gateway's Kubernetes service ports",
    codes: &["IST0101", "IST0162"],
    inputs: &[Kind::Gateway, Kind::Pod, Kind::Service],
    by_default: true,
    by_file: false,
    run,
};

fn run(snapshot: &Snapshot, report: &mut Report) {
    let mut services: HashMap<Str, Vec<(&Arc<Object>, Labels)>> = HashMap::new();
    for service in snapshot.of(Kind::Service) {
        let selector = labels_of(service.spec().get("selector"));
        services.entry(service.namespace.clone()).or_default().push((service, selector));
    }
    // Most gateways share a selector.
    let mut known: HashMap<Labels, Option<BTreeSet<i64>>> = HashMap::new();
    for gateway in snapshot.of(Kind::Gateway) {
        let at = gateway.spec().get("selector");
        let selector = labels_of(at);
        let text = selector_text(&selector);
        let ports = known.entry(selector).or_insert_with_key(|selector| ports(selector, &services, snapshot));
        let Some(ports) = ports else {
            report.add("IST0101", gateway, at, &[&"selector", &text]);
            continue;
        };
        for server in gateway.spec().get("servers").items() {
            let number = server.path("port.number");
            if server.get("port").exists() && !ports.contains(&number.int().unwrap_or_default()) {
                report.add("IST0162", gateway, number, &[&number.str(), &text]);
            }
        }
    }
}

/// The ports by which the pods of a gateway are reached: a server can name the Service's port or
/// the pod's. `None` if there are no pods.
fn ports(
    selector: &Labels,
    services: &HashMap<Str, Vec<(&Arc<Object>, Labels)>>,
    snapshot: &Snapshot,
) -> Option<BTreeSet<i64>> {
    let pods = snapshot.select(None, selector);
    if pods.is_empty() {
        return None;
    }
    // Pods of one workload have the same labels, so ask for each once.
    let distinct: BTreeSet<(&Str, &Labels)> =
        pods.iter().map(|w| (&w.object.namespace, &*w.labels)).collect();
    let mut ports = BTreeSet::new();
    for (namespace, labels) in distinct {
        let here = services.get(namespace).map_or(&[][..], Vec::as_slice);
        for (service, _) in here.iter().filter(|(_, selector)| selector.select(labels)) {
            for port in service.spec().get("ports").items() {
                if matches!(port.get("protocol").str(), "" | "TCP") {
                    ports.extend(port.get("port").int());
                    ports.extend(port.get("targetPort").int().filter(|target| *target != 0));
                }
            }
        }
    }
    Some(ports)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check;

    fn mesh(port: u16, app: &str) -> String {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: g}}\nspec:\n  \
             selector: {{app: {app}}}\n  servers: [{{port: {{number: {port}}}, hosts: ['*']}}]\n---\n\
             apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: d}}\n\
             spec: {{template: {{metadata: {{labels: {{app: x}}}}}}}}\n---\n\
             apiVersion: v1\nkind: Service\nmetadata: {{name: s}}\n\
             spec: {{selector: {{app: x}}, ports: [{{port: 80, targetPort: 8080}}, {{port: 9, protocol: UDP}}]}}\n"
        )
    }

    #[test]
    fn a_service_must_lead_to_the_gateways_ports() {
        check(&ANALYZER, &mesh(80, "x"), &[]);
        check(&ANALYZER, &mesh(8080, "x"), &[]);
        check(&ANALYZER, &mesh(81, "x"), &["IST0162 Gateway default/g:6"]);
        check(&ANALYZER, &mesh(9, "x"), &["IST0162 Gateway default/g:6"]);
        check(&ANALYZER, &mesh(80, "y"), &["IST0101 Gateway default/g:5"]);
    }
}
