//! Applications that run as the proxy's user (`applicationUID.Analyzer`).

use super::Analyzer;
use crate::finding::Report;
use crate::kind::Kind;
use crate::snapshot::Snapshot;
use crate::workloads::PROXY;

/// The user whose traffic capture leaves alone.
const PROXY_UID: i64 = 1337;

pub static ANALYZER: Analyzer = Analyzer {
    name: "applicationUID.Analyzer",
    description: "Checks invalid application UID",
    codes: &["IST0144"],
    inputs: &[Kind::Pod, Kind::Deployment],
    by_default: true,
    by_file: true,
    run,
};

fn run(snapshot: &Snapshot, report: &mut Report) {
    for object in snapshot.of_all(&[Kind::Pod, Kind::Deployment]).filter(|o| !o.is_control_plane()) {
        let pod = object.pod_spec();
        let applications = pod.get("containers").items().filter(|container| {
            let name = container.get("name").str();
            name != PROXY && name != "istio-operator"
        });
        // The pod's setting holds for every container that has none of its own.
        let users =
            std::iter::once(pod).chain(applications).map(|part| part.path("securityContext.runAsUser"));
        if let Some(at) = users.into_iter().find(|user| user.int() == Some(PROXY_UID)) {
            report.add("IST0144", object, at, &[]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check;

    fn pod(name: &str, uid: u32) -> String {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: a}}\nspec:\n  containers:\n  - name: {name}\n    \
             securityContext: {{runAsUser: {uid}}}\n"
        )
    }

    #[test]
    fn only_the_proxy_is_user_1337() {
        check(&ANALYZER, &pod("app", 1337), &["IST0144 Pod default/a:7"]);
        check(&ANALYZER, &pod("app", 1338), &[]);
        check(&ANALYZER, &pod("istio-proxy", 1337), &[]);
        let deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec:\n  template:\n    spec:\n      \
                          securityContext: {runAsUser: 1337}\n";
        check(&ANALYZER, deployment, &["IST0144 Deployment default/a:7"]);
    }
}
