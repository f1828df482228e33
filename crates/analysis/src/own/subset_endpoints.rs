//! Subsets whose labels some pod has, but none of the service's.

use crate::analyzers::Analyzer;
use crate::finding::Report;
use crate::kind::Kind;
use crate::object::labels_of;
use crate::snapshot::Snapshot;

pub static ANALYZER: Analyzer = Analyzer {
    name: "lateen.SubsetEndpoints",
    description: "Finds subsets that contain none of the service's endpoints",
    codes: &["LTN0105"],
    inputs: &[Kind::DestinationRule, Kind::Service, Kind::ServiceEntry, Kind::Pod],
    by_default: true,
    by_file: false,
    run,
};

fn run(snapshot: &Snapshot, report: &mut Report) {
    for rule in snapshot.of(Kind::DestinationRule) {
        let export_to = rule.spec().get("exportTo").strings();
        let host = rule.spec().get("host").str();
        let Some(entry) = snapshot.hosts().find(host, &rule.namespace, &export_to) else { continue };
        let service = &entry.object;
        let selector = labels_of(service.spec().get("selector"));
        // Without a selector endpoints come from elsewhere; without any, IST0173 says enough.
        if service.kind != Kind::Service || selector.is_empty() {
            continue;
        }
        let endpoints = snapshot.select(Some(&service.namespace), &selector);
        for subset in rule.spec().get("subsets").items() {
            let labels = labels_of(subset.get("labels"));
            // Labels for topology are the node's, not the pod's.
            if labels.0.keys().any(|key| key.starts_with("topology.") || key.starts_with("kubernetes.io/")) {
                continue;
            }
            let has_endpoint = endpoints.iter().any(|endpoint| labels.select(&endpoint.labels));
            if !endpoints.is_empty() && !has_endpoint && snapshot.selected(None, &labels).next().is_some() {
                let name = subset.get("name").str();
                report.add("LTN0105", rule, subset, &[&name, &service.full_name()]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check;

    fn mesh(version: &str) -> String {
        let pod = |name: &str, version: &str| {
            format!(
                "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {{app: {name}, v: {version}}}}}\n"
            )
        };
        format!(
            "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: d}}\nspec:\n  host: a\n  \
             subsets:\n  - {{name: s, labels: {{v: {version}}}}}\n---\n\
             apiVersion: v1\nkind: Service\nmetadata: {{name: a}}\nspec: {{selector: {{app: a}}}}\n{}{}",
            pod("a", "one"),
            pod("b", "two")
        )
    }

    #[test]
    fn a_subset_contains_pods_of_its_service() {
        check(&ANALYZER, &mesh("one"), &[]);
        check(&ANALYZER, &mesh("two"), &["LTN0105 DestinationRule default/d:7"]);
        // No pod at all has these labels: that is IST0173.
        check(&ANALYZER, &mesh("three"), &[]);
    }
}
