//! Networks that name clusters nobody knows (`meshnetworks.MeshNetworksAnalyzer`).

use std::collections::HashSet;

use model::{Place, Str};

use super::Analyzer;
use crate::catalogue;
use crate::finding::{Finding, Report};
use crate::kind::Kind;
use crate::snapshot::Snapshot;
use crate::value::Val;

pub static ANALYZER: Analyzer = Analyzer {
    name: "meshnetworks.MeshNetworksAnalyzer",
    description: "Check the validity of MeshNetworks in the cluster",
    codes: &["IST0126"],
    inputs: &[Kind::MeshNetworks, Kind::Secret],
    by_default: true,
    by_file: false,
    run,
};

fn run(snapshot: &Snapshot, report: &mut Report) {
    let Some(given) = &snapshot.settings.mesh_networks else { return };
    let (file, node) = &**given;
    // Registries that exist without a remote secret.
    let mut known: HashSet<&str> = ["Mock", "Kubernetes", "External"].into();
    let remote = snapshot.of(Kind::Secret).iter().filter(|s| s.label("istio/multiCluster") == Some("true"));
    for secret in remote {
        for field in ["data", "stringData"] {
            known.extend(secret.root().get(field).entries().map(|(entry, _)| &*entry.key));
        }
    }
    let root = Val::of(node);
    for (network, value) in root.get("networks").entries() {
        for endpoint in value.get("endpoints").items() {
            let registry = endpoint.get("fromRegistry");
            if registry.exists() && !known.contains(registry.str()) {
                report.push(finding(file, registry, &network.key));
            }
        }
    }
}

fn finding(file: &Str, registry: Val<'_>, network: &str) -> Finding {
    let entry = catalogue::entry("IST0126");
    let (line, column) = registry.place().unwrap_or((1, 1));
    Finding {
        level: entry.level,
        code: entry.code,
        analyzer: ANALYZER.name,
        // MeshNetworks are no object of their own; Istio names them so.
        object: Some(model::ObjectRef::new("MeshNetworks", "istio-system", "meshnetworks")),
        namespace: "istio-system".into(),
        cluster: None,
        place: Some(Place { file: file.clone(), line, column }),
        message: catalogue::format(entry.template, &[&registry.str(), &network]),
        fix: None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use istio_api::yaml;

    use super::*;
    use crate::file::{File, Reading};
    use crate::run::analyze;
    use crate::snapshot::Settings;

    #[test]
    fn registries_are_clusters_with_a_remote_secret() {
        let networks = "networks:\n  one:\n    endpoints: [{fromRegistry: c1}, {fromRegistry: c2}, {fromCidr: 10.0.0.0/8}]\n";
        let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s, labels: {istio/multiCluster: 'true'}}\n\
            stringData: {c1: x}\n";
        let settings = Settings {
            mesh_networks: Some(Arc::new(("n.yaml".into(), yaml::documents(networks).remove(0)))),
            ..Settings::default()
        };
        let files = vec![Arc::new(File::read("f", secret, &Reading::default()))];
        let findings = analyze(&Snapshot::new(files, settings), &[&ANALYZER]);
        let messages: Vec<&str> = findings.iter().map(|f| &*f.message).collect();
        assert_eq!(messages, ["Unknown service registry c2 in network one"]);
        assert_eq!(findings[0].place.as_ref().map(|p| p.to_string()).as_deref(), Some("n.yaml:3:52"));
    }
}
