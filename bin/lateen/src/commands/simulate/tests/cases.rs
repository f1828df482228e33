//! Istio's own traffic simulation: each call must reach the cluster, or meet the error, that the case
//! expects. The cases are data from elsewhere: their folder comes in `LATEEN_CONFORMANCE`; without it
//! nothing is checked, and that is said.

use std::collections::BTreeMap;
use std::path::Path;

use engine::follow::{Configuration, Followed, follow};
use model::{Labels, Node};
use registry::Features;
use serde_json::Value;

use super::super::{call, configure, input};

/// What is pending: nothing is derived from these kinds yet.
const PENDING: [(&str, &str); 2] =
    [("TestSidecarRoutes/httproute", "Gateway API"), ("TestIngress", "Ingress")];

#[test]
fn calls_end_where_istio_expects_them() {
    let Some(folder) = std::env::var_os("LATEEN_CONFORMANCE") else {
        assert!(std::env::var_os("LATEEN_NO_SKIP").is_none(), "LATEEN_CONFORMANCE is not set");
        eprintln!("SKIPPED: traffic simulation (LATEEN_CONFORMANCE is not set)");
        return;
    };
    let file = Path::new(&folder).join("simulation/cases.json");
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let cases: Value = serde_json::from_str(&text).expect("cases.json");
    let mut tally = Tally::default();
    for case in cases["cases"].as_array().expect("cases") {
        tally.case(case);
    }
    let Tally { passed, pending, apart, failed } = &tally;
    eprintln!("traffic simulation: {passed} calls as expected; pending cases: {pending:?}");
    apart.iter().for_each(|line| eprintln!("apart: {line}"));
    assert!(failed.is_empty(), "{} calls differ:\n{}", failed.len(), failed.join("\n"));
    assert!(*passed > 250, "only {passed} calls were checked");
}

#[derive(Default)]
struct Tally {
    passed: usize,
    pending: BTreeMap<&'static str, usize>,
    /// Calls whose outcome decides nothing, and that end elsewhere.
    apart: Vec<String>,
    failed: Vec<String>,
}

impl Tally {
    fn case(&mut self, case: &Value) {
        let name = case["name"].as_str().expect("name");
        if let Some((_, why)) = PENDING.iter().find(|(prefix, _)| name.starts_with(prefix)) {
            *self.pending.entry(why).or_default() += 1;
            return;
        }
        let configuration = configuration(case);
        for expected in case["calls"].as_array().expect("calls") {
            let call = call::read(&expected["call"]).unwrap_or_else(|error| panic!("{name}: {error:#}"));
            let found = follow(&configuration, &call);
            let differences = differences(&found, &expected["expect"]);
            if differences.is_empty() {
                self.passed += 1;
                continue;
            }
            let what = expected["name"].as_str().unwrap_or_default();
            let line = format!("{name} / {what}: {}", differences.join(", "));
            let decides = case["apart"].is_null() && expected["apart"].is_null();
            if decides { self.failed.push(line) } else { self.apart.push(line) }
        }
    }
}

fn configuration(case: &Value) -> Configuration {
    let text = |field: &str| case[field].as_str().unwrap_or_default();
    let variable = |name: &str| case["env"][name].as_str().map(str::to_owned);
    let mut mesh = input::Mesh::new(Features::read(variable).0);
    mesh.add("case.yaml", &format!("{}\n---\n{}", text("config"), text("kube_config"))).expect("a mesh");
    if case["mesh_config"].as_object().is_some_and(|mesh| !mesh.is_empty()) {
        mesh.configure("mesh-config.yaml", &case["mesh_config"].to_string()).expect("a MeshConfig");
    }
    configure(&mesh.snapshot, &node(&case["proxy"])).expect("a configuration").0
}

fn node(proxy: &Value) -> Node {
    let namespace = proxy["namespace"].as_str().expect("namespace");
    let labels = proxy["labels"].as_object().into_iter().flatten();
    let addresses = proxy["ips"].as_array().expect("ips").iter().filter_map(Value::as_str);
    let kind = proxy["type"].as_str().expect("type");
    let id = format!("{kind}~1.1.1.1~simulated.{namespace}~{namespace}.svc.cluster.local");
    Node {
        data_plane: model::DataPlane::Lateen,
        addresses: addresses.map(|address| address.parse().expect("address")).collect(),
        labels: labels.map(|(k, v)| (k.as_str(), v.as_str().unwrap_or_default())).collect::<Labels>(),
        ..Node::parse_id(&id).expect("node id")
    }
}

fn differences(found: &Followed, expect: &Value) -> Vec<String> {
    let mut differences = Vec::new();
    let refusal = found.refusal.map(|refusal| refusal.code());
    if refusal != expect["error"].as_str() {
        differences.push(format!("error {refusal:?} instead of {}", expect["error"]));
    }
    let strict = expect["strict"].as_bool() == Some(true);
    for (field, found, optional) in [
        ("cluster_matched", &found.cluster, false),
        ("listener_matched", &found.listener, false),
        ("virtual_host_matched", &found.virtual_host, false),
        ("route_matched", &found.route, false),
        ("filter_chain_matched", &found.filter_chain, true),
        ("route_config_matched", &found.routes, true),
    ] {
        let wanted = expect[field].as_str().or_else(|| (strict && !optional).then_some(""));
        let found = found.as_deref().unwrap_or_default();
        if wanted.is_some_and(|wanted| wanted != found && !(optional && found.is_empty())) {
            differences.push(format!("{field} {found:?} instead of {wanted:?}"));
        }
    }
    differences
}
