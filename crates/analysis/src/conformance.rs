//! The analyzer cases, samples and field reports of the conformance data, from the folder in
//! `LATEEN_CONFORMANCE`. Its README says how a case is judged.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use istio_api::yaml;
use model::Level;
use serde_json::Value;

use crate::analyzers;
use crate::file::{File, Reading};
use crate::finding::Finding;
use crate::run::analyze;
use crate::snapshot::{Settings, Snapshot};

/// January 2027: one certificate of the data has expired then, the others have not.
const NOW: i64 = 1_800_000_000;

fn folder(test: &str) -> Option<PathBuf> {
    let Some(root) = std::env::var_os("LATEEN_CONFORMANCE").map(PathBuf::from) else {
        assert!(std::env::var_os("LATEEN_NO_SKIP").is_none(), "{test}: LATEEN_CONFORMANCE is not set");
        eprintln!("SKIPPED: {test} (LATEEN_CONFORMANCE is not set)");
        return None;
    };
    Some(root)
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Runs a case as `analyze --use-kube=false --all-namespaces` does.
fn run_case(root: &Path, case: &Value) -> Vec<Finding> {
    let reading = Reading { show_default_namespace: false, ..Reading::default() };
    let clusters: BTreeMap<&str, &str> = case["clusters"]
        .as_object()
        .into_iter()
        .flatten()
        .flat_map(|(cluster, files)| texts(files).into_iter().map(move |file| (file, cluster.as_str())))
        .collect();
    let files = texts(&case["files"]).into_iter().map(|name| {
        let text = read(&root.join(name));
        Arc::new(File::of_cluster(name, &text, clusters.get(name).copied(), &reading))
    });
    let extra = |key: &str| {
        let name = case[key].as_str()?;
        let node = yaml::documents(&read(&root.join(name))).into_iter().next()?;
        Some(Arc::new((name.into(), node)))
    };
    let settings =
        Settings { mesh_config: extra("mesh_config"), mesh_networks: extra("mesh_networks"), now: NOW };
    let asked: Vec<_> = match texts(&case["requires"]).contains(&"not_in_default_set") {
        true => case["analyzer"].as_str().and_then(analyzers::find).into_iter().collect(),
        false => analyzers::by_default().collect(),
    };
    analyze(&Snapshot::new(files.collect(), settings), &asked)
}

fn in_scope(finding: &Finding, case: &Value) -> bool {
    let kind = finding.object.as_ref().map(|object| &*object.kind).unwrap_or_default();
    let kinds = texts(&case["kinds_in_scope"]);
    let named = |text: &str| {
        let of = |kind: &&str| text.starts_with(&format!("Referenced {kind} not found"));
        texts(&case["ref_types"]).iter().any(of)
    };
    texts(&case["codes_in_scope"]).contains(&finding.code)
        && (kinds.is_empty() || kinds.contains(&kind))
        && (finding.code != "IST0101" || named(&finding.message))
}

/// `default/NAME` and `NAME` are the same.
fn key(code: &str, origin: &str) -> String {
    format!("{code} {}", origin.replacen(" default/", " ", 1))
}

/// What is missing or too much; empty if the case agrees.
fn differences(case: &Value, findings: &[Finding]) -> Vec<String> {
    let keys = |list: &Value| -> Vec<String> {
        let entry = |e: &Value| key(e["code"].as_str().unwrap_or(""), e["origin"].as_str().unwrap_or(""));
        list.as_array().into_iter().flatten().map(entry).collect()
    };
    let mut counts: BTreeMap<String, i64> = BTreeMap::new();
    for finding in findings.iter().filter(|finding| in_scope(finding, case)) {
        let origin = finding.object.as_ref().map(ToString::to_string).unwrap_or_default();
        *counts.entry(key(finding.code, &origin)).or_default() += 1;
    }
    for expected in keys(&case["expected"]) {
        *counts.entry(expected).or_default() -= 1;
    }
    let allowed = keys(&case["also_allowed"]);
    counts.retain(|key, count| *count < 0 || (*count > 0 && !allowed.contains(key)));
    counts.into_iter().map(|(key, count)| format!("{key} ({count:+})")).collect()
}

#[test]
fn analyzer_cases_agree() {
    let Some(root) = folder("analyzer cases").map(|root| root.join("analyze")) else { return };
    let cases: Vec<Value> = serde_json::from_str(&read(&root.join("cases.json"))).expect("cases.json");
    let mut wrong = Vec::new();
    for case in &cases {
        let findings = run_case(&root, case);
        let differences = differences(case, &findings);
        if !differences.is_empty() {
            wrong.push(format!("{}: {}", case["name"], differences.join(", ")));
        }
    }
    println!("{} of {} analyzer cases agree", cases.len() - wrong.len(), cases.len());
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// Files below a folder that could be configuration.
fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(yaml_files(&path));
        } else if path.extension().is_some_and(|e| e == "yaml" || e == "yml") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn analyze_file(path: &Path) -> Vec<Finding> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let file = File::read(&name, &read(path), &Reading::default());
    let settings = Settings { now: NOW, ..Settings::default() };
    analyze(&Snapshot::new(vec![Arc::new(file)], settings), &analyzers::by_default().collect::<Vec<_>>())
}

/// What is an error in a single file because the rest of the mesh is in other files.
const NEEDS_MORE: [&str; 3] = ["IST0101", "IST0139", "IST0173"];

#[test]
fn samples_have_no_false_errors() {
    let Some(root) = folder("samples").map(|root| root.join("samples")) else { return };
    let mut wrong = Vec::new();
    for path in yaml_files(&root) {
        let errors = analyze_file(&path).into_iter();
        for finding in errors.filter(|f| f.level == Level::Error && !NEEDS_MORE.contains(&f.code)) {
            let place = finding.place.map(|p| p.to_string()).unwrap_or_default();
            wrong.push(format!("{}: {place} {} {}", path.display(), finding.code, finding.message));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What each field report is to be told; what Lateen itself does not do yet (`LTN0002`, `LTN0004`)
/// changes with every release and is not counted.
const FIELD_REPORTS: [(&str, &[&str]); 13] = [
    ("a-alerts.yaml", &["LTN0115:8"]),
    ("a-consul-service-entry.yaml", &[]),
    ("a-injection.yaml", &["IST0106:13"]),
    ("a-operator-concurrency.yaml", &[]),
    ("a-operator-tracing.yaml", &["LTN0111:8"]),
    ("a-outlier.yaml", &["IST0174:6"]),
    ("a-peer-authentication.yaml", &[]),
    ("a-sidecar-scope.yaml", &[]),
    ("a-timeouts.yaml", &["IST0101:13", "IST0174:21"]),
    ("b-operator.yaml", &[]),
    ("b-production-bundle.yaml", &["LTN0112:44"]),
    ("b-strict-mtls.yaml", &[]),
    ("b-traffic-routing.yaml", &["IST0101:16", "IST0101:21", "IST0174:31"]),
];

#[test]
fn field_reports_get_exactly_their_findings() {
    let Some(root) = folder("field reports").map(|root| root.join("field-reports")) else { return };
    let mut wrong = Vec::new();
    for (name, expected) in FIELD_REPORTS {
        let findings = analyze_file(&root.join(name));
        let told: Vec<&Finding> =
            findings.iter().filter(|finding| !matches!(finding.code, "LTN0002" | "LTN0004")).collect();
        let codes: Vec<String> =
            told.iter().map(|f| format!("{}:{}", f.code, f.place.as_ref().map_or(0, |p| p.line))).collect();
        if codes != expected {
            let messages: Vec<&str> = told.iter().map(|f| &*f.message).collect();
            wrong.push(format!("{name}: {codes:?} {messages:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(yaml_files(&root).len(), FIELD_REPORTS.len());
}
