//! Istio's own traffic simulation, followed through what we generate: each call must reach the
//! cluster, or meet the error, that the case expects. The cases are data from elsewhere: their
//! folder comes in `LATEEN_CONFORMANCE`; without it nothing is checked, and that is said.

#[path = "../common/mod.rs"]
mod common;
mod follow;

use std::collections::BTreeMap;
use std::path::Path;

use common::Proxy;
use follow::{Outcome, follow};
use serde_json::Value;

/// Whole tests, or cases of one, that need what is not here yet, and why.
const APART: &[(&str, &str)] = &[("TestSidecarRoutes/httproute", "Gateway API"), ("TestIngress", "Ingress")];

#[test]
fn calls_end_where_istio_expects_them() {
    let Some(folder) = std::env::var_os("LATEEN_CONFORMANCE") else {
        eprintln!("SKIPPED: traffic simulation (LATEEN_CONFORMANCE is not set)");
        return;
    };
    let file = Path::new(&folder).join("simulation/cases.json");
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let cases: Value = serde_json::from_str(&text).expect("cases.json");
    let (mut passed, mut apart) = (0, BTreeMap::<&str, usize>::new());
    let mut failed = Vec::new();
    for case in cases["cases"].as_array().expect("cases") {
        let name = case["name"].as_str().expect("name");
        if let Some((_, why)) = APART.iter().find(|(prefix, _)| name.starts_with(prefix)) {
            *apart.entry(why).or_default() += 1;
            continue;
        }
        let proxy = proxy(case);
        for call in case["calls"].as_array().expect("calls") {
            let what = format!("{name} / {}", call["name"].as_str().unwrap_or_default());
            let outcome = follow(&proxy, &follow::read(&call["call"]));
            match differences(&outcome, &call["expect"]) {
                differences if differences.is_empty() => passed += 1,
                _ if !call["apart"].is_null() || !case["apart"].is_null() => {}
                differences => failed.push(format!("{what}: {}", differences.join(", "))),
            }
        }
    }
    eprintln!("traffic simulation: {passed} calls as expected; cases apart: {apart:?}");
    assert!(failed.is_empty(), "{} calls differ:\n{}", failed.len(), failed.join("\n"));
    assert!(passed > 150, "only {passed} calls were checked");
}

fn proxy(case: &Value) -> Proxy {
    let text = |field: &str| case[field].as_str().unwrap_or_default().to_owned();
    // Entries that are resolved by DNS are not here yet; where a call goes does not depend on it.
    let yaml = format!("{}\n---\n{}", text("config"), text("kube_config"));
    let yaml = yaml.replace("resolution: DNS", "resolution: STATIC");
    let variable = |name: &str| case["env"][name].as_str().map(str::to_owned);
    let settings =
        registry::Settings { features: registry::Features::read(variable).0, ..Default::default() };
    let mut snapshot = common::changed(&registry::Snapshot::new(settings), &yaml);
    if case["mesh_config"].as_object().is_some_and(|mesh| !mesh.is_empty()) {
        snapshot = common::with_mesh(&snapshot, &case["mesh_config"].to_string());
    }
    let node = &case["proxy"];
    let namespace = node["namespace"].as_str().expect("namespace");
    let address = node["ips"][0].as_str().expect("ip");
    let pairs = node["labels"].as_object().into_iter().flatten();
    let labels: Vec<String> = pairs.map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default())).collect();
    let node = match node["type"].as_str() {
        Some("router") => common::router(namespace, address, &labels.join(",")),
        _ => common::sidecar(namespace, address, &labels.join(",")),
    };
    Proxy::of(&snapshot, &node)
}

fn differences(outcome: &Outcome, expect: &Value) -> Vec<String> {
    let mut differences = Vec::new();
    let wanted = expect["error"].as_str();
    let refusal = outcome.refusal.map(|refusal| refusal.code());
    if refusal != wanted {
        differences.push(format!("error {refusal:?} instead of {wanted:?}"));
    }
    let strict = expect["strict"].as_bool() == Some(true);
    for (field, found) in [
        ("cluster_matched", &outcome.cluster),
        ("listener_matched", &outcome.listener),
        ("virtual_host_matched", &outcome.virtual_host),
        ("route_matched", &outcome.route),
    ] {
        let wanted = expect[field].as_str().or_else(|| strict.then_some(""));
        if let Some(wanted) = wanted.filter(|wanted| *wanted != found.as_deref().unwrap_or_default()) {
            differences.push(format!("{field} {found:?} instead of {wanted:?}"));
        }
    }
    differences
}
