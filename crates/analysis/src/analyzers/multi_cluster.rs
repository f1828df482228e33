//! A Service that is not the same in all clusters (`services.MultiClusterServiceAnalyzer`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::Str;

use super::Analyzer;
use crate::finding::{Report, list};
use crate::kind::Kind;
use crate::object::Object;
use crate::snapshot::Snapshot;
use crate::value::Val;

pub static ANALYZER: Analyzer = Analyzer {
    name: "services.MultiClusterServiceAnalyzer",
    description: "Check the validity of services in the multi-cluster environment",
    codes: &["IST0170"],
    inputs: &[Kind::Service],
    by_default: true,
    by_file: false,
    run,
};

fn run(snapshot: &Snapshot, report: &mut Report) {
    let mut services: BTreeMap<(&Str, &Str), Vec<(&Str, &Arc<Object>)>> = BTreeMap::new();
    for service in snapshot.of(Kind::Service) {
        if let Some(cluster) = &service.cluster {
            services.entry((&service.namespace, service.name())).or_default().push((cluster, service));
        }
    }
    for ((namespace, name), copies) in services {
        let Some(((first_cluster, first), others)) = copies.split_first() else { continue };
        let mut clusters = BTreeSet::new();
        let mut reasons = BTreeSet::new();
        for (cluster, other) in others {
            let found = differences(first, other);
            if !found.is_empty() {
                clusters.extend([*first_cluster, *cluster]);
                reasons.extend(found);
            }
        }
        if !reasons.is_empty() {
            let clusters = list(clusters);
            let reasons: Vec<&str> = reasons.into_iter().collect();
            report.add("IST0170", first, Val::ABSENT, &[name, namespace, &clusters, &reasons.join("; ")]);
        }
    }
}

fn differences(a: &Object, b: &Object) -> Vec<&'static str> {
    let is_headless = |service: &Object| service.spec().get("clusterIP").str() == "None";
    let kind = |service: &Object| service.spec().get("type").text().unwrap_or("ClusterIP").to_owned();
    let mut found = Vec::new();
    if is_headless(a) != is_headless(b) {
        found.push("service has mixed mode like headless and clusterIP");
    }
    if kind(a) != kind(b) {
        found.push("service type is inconsistent");
    }
    if ports(a) != ports(b) {
        found.push("service ports are inconsistent");
    }
    found
}

/// Everything that is said about ports, in an order that does not matter.
fn ports(service: &Object) -> Vec<String> {
    let mut ports: Vec<String> = service.spec().get("ports").items().map(Val::canonical).collect();
    ports.sort();
    ports
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::{File, Reading};
    use crate::run::analyze;
    use crate::snapshot::Settings;

    fn found(first: &str, second: &str) -> Vec<String> {
        let file = |cluster: &str, spec: &str| {
            let text = format!("apiVersion: v1\nkind: Service\nmetadata: {{name: a}}\nspec: {{{spec}}}\n");
            Arc::new(File::of_cluster(cluster, &text, Some(cluster), &Reading::default()))
        };
        let files = vec![file("c1", first), file("c2", second)];
        let snapshot = Snapshot::new(files, Settings::default());
        assert!(snapshot.duplicates.is_empty());
        analyze(&snapshot, &[&ANALYZER]).into_iter().map(|f| f.message).collect()
    }

    #[test]
    fn copies_of_a_service_agree() {
        let ports = "ports: [{name: a, port: 80}, {name: b, port: 81}]";
        assert!(
            found(ports, "ports: [{port: 81, name: b}, {name: a, port: 80}], type: ClusterIP").is_empty()
        );
        let message = &found(ports, "ports: [{name: a, port: 80}], clusterIP: None")[0];
        assert!(
            message.contains("service has mixed mode like headless and clusterIP; service ports"),
            "{message}"
        );
        assert_eq!(found("type: LoadBalancer", "").len(), 1);
    }
}
