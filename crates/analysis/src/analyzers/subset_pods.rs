//! Destination rules for hosts that nobody has, and subsets without pods
//! (`destinationrule.SubsetSelectPodAnalyzer`).

use model::Labels;

use super::Analyzer;
use crate::finding::Report;
use crate::hosts::HostEntry;
use crate::kind::Kind;
use crate::object::{Object, labels_of};
use crate::snapshot::Snapshot;
use crate::workloads::Workload;

pub static ANALYZER: Analyzer = Analyzer {
    name: "destinationrule.SubsetSelectPodAnalyzer",
    description: "Checks if pods are selected by subsets in destination rules",
    codes: &["IST0173", "IST0174"],
    inputs: &[Kind::DestinationRule, Kind::Pod, Kind::Service, Kind::ServiceEntry, Kind::Node],
    by_default: true,
    by_file: false,
    run,
};

fn run(snapshot: &Snapshot, report: &mut Report) {
    for rule in snapshot.of(Kind::DestinationRule) {
        let host = rule.spec().get("host");
        let export_to = rule.spec().get("exportTo").strings();
        let Some(entry) = snapshot.hosts().find(host.str(), &rule.namespace, &export_to) else {
            report.add("IST0174", rule, host, &[&host.str()]);
            continue;
        };
        for subset in rule.spec().get("subsets").items() {
            let mut selector = entry.workload_labels.clone();
            selector.0.extend(labels_of(subset.get("labels")).0);
            if !selects_a_pod(&selector, snapshot) && !selects_an_endpoint(&selector, entry) {
                report.add("IST0173", rule, subset, &[&subset.get("name").str()]);
            }
        }
    }
}

/// Labels that the control plane adds to endpoints, from where their node is.
const TOPOLOGY: [&str; 6] = [
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "topology.istio.io/subzone",
    "topology.istio.io/cluster",
    "topology.istio.io/network",
    "kubernetes.io/hostname",
];

fn selects_a_pod(selector: &Labels, snapshot: &Snapshot) -> bool {
    let (topology, own): (Vec<_>, Vec<_>) =
        selector.0.clone().into_iter().partition(|(key, _)| TOPOLOGY.contains(&&**key));
    let own: Labels = own.into_iter().collect();
    let is_there = |w: &Workload| {
        topology.iter().all(|(key, value)| match w.is_pod() {
            true => {
                w.labels.get(key) == Some(value) || topology_label(&w.object, key, snapshot) == Some(value)
            }
            // Nobody knows yet where the pods of a template will be.
            false => true,
        })
    };
    snapshot.selected(None, &own).any(is_there)
}

/// The value that a label added for topology has for a pod.
fn topology_label<'a>(pod: &'a Object, key: &str, snapshot: &'a Snapshot) -> Option<&'a str> {
    let node = pod.spec().get("nodeName").text()?;
    if key == "kubernetes.io/hostname" {
        return Some(node);
    }
    // An empty label says nothing, and is not added.
    snapshot.find(Kind::Node, "", node)?.label(key).filter(|value| !value.is_empty())
}

/// Endpoints written in a ServiceEntry carry labels of their own.
fn selects_an_endpoint(selector: &Labels, entry: &HostEntry) -> bool {
    let mut endpoints = entry.object.spec().get("endpoints").items();
    endpoints.any(|endpoint| selector.select(&labels_of(endpoint.get("labels"))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check;

    fn mesh(labels: &str) -> String {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: d}}\nspec:\n  host: a\n  \
             subsets:\n  - {{name: s, labels: {labels}}}\n---\n\
             apiVersion: v1\nkind: Service\nmetadata: {{name: a}}\nspec: {{ports: [{{port: 80}}]}}\n---\n\
             apiVersion: v1\nkind: Pod\nmetadata: {{name: p, labels: {{v: one}}}}\nspec: {{nodeName: n}}\n---\n\
             apiVersion: v1\nkind: Node\nmetadata: {{name: n, labels: {{topology.kubernetes.io/region: r}}}}\n"
        )
    }

    #[test]
    fn subsets_must_select_a_pod() {
        check(&ANALYZER, &mesh("{v: one}"), &[]);
        check(&ANALYZER, &mesh("{v: two}"), &["IST0173 DestinationRule default/d:7"]);
        check(&ANALYZER, &mesh("{v: one, topology.kubernetes.io/region: r}"), &[]);
        check(
            &ANALYZER,
            &mesh("{v: one, topology.kubernetes.io/region: q}"),
            &["IST0173 DestinationRule default/d:7"],
        );
        let empty = mesh("{topology.kubernetes.io/region: ''}").replace("region: r", "region: ''");
        check(&ANALYZER, &empty, &["IST0173 DestinationRule default/d:7"]);
    }

    #[test]
    fn the_host_must_be_known() {
        let text = mesh("{v: one}").replace("host: a", "host: b");
        check(&ANALYZER, &text, &["IST0174 DestinationRule default/d:5"]);
    }
}
