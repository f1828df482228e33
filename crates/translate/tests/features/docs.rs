//! `docs/networking.md` says of every path what it does, and names tests that are there.

use std::collections::BTreeSet;
use std::path::Path;

use istio_api::schema::{Message, Shape, resources};

struct Row {
    path: String,
    /// It has an effect, which this test shows.
    test: Option<String>,
}

/// The rows of the table below the heading of a kind.
fn rows(text: &str, kind: &str) -> Vec<Row> {
    let part = text.split_once(&format!("\n## {kind}\n")).unwrap_or_else(|| panic!("no table of {kind}")).1;
    let part = part.split("\n## ").next().unwrap_or_default();
    let lines = part.lines().filter(|line| line.starts_with("| `"));
    lines
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [path, effect, about] = cells.as_slice() else { panic!("{line}") };
            let plain = |text: &str| text.trim_matches('`').to_owned();
            assert!(!about.is_empty(), "{line}");
            match *effect {
                "yes" => Row { path: plain(path), test: Some(plain(about)) },
                "no" => Row { path: plain(path), test: None },
                other => panic!("{other} is neither yes nor no: {line}"),
            }
        })
        .collect()
}

fn paths(message: &Message, at: &str, found: &mut BTreeSet<String>) {
    for field in message.fields {
        let mut path = if at.is_empty() { field.name.to_owned() } else { format!("{at}.{}", field.name) };
        let mut shape = field.schema.shape;
        loop {
            shape = match shape {
                Shape::List(inner) => {
                    path.push_str("[]");
                    inner.shape
                }
                Shape::Map(inner) => {
                    path.push_str("{}");
                    inner.shape
                }
                Shape::Object(inner) => {
                    paths(inner, &path, found);
                    break;
                }
                _ => {
                    found.insert(path);
                    break;
                }
            };
        }
    }
}

/// A policy of a subset or of a port is a policy.
fn shared(path: &str) -> String {
    let path =
        path.strip_prefix("subsets[].").filter(|rest| rest.starts_with("trafficPolicy")).unwrap_or(path);
    match path.strip_prefix("trafficPolicy.portLevelSettings[].") {
        Some(rest) if !rest.starts_with("port.") => format!("trafficPolicy.{rest}"),
        _ => path.to_owned(),
    }
}

#[test]
fn every_path_says_what_it_does() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("../../docs/networking.md")).unwrap();
    let mut without = 0;
    let kinds = [
        "VirtualService",
        "DestinationRule",
        "ServiceEntry",
        "WorkloadEntry",
        "WorkloadGroup",
        "ProxyConfig",
        "Gateway",
        "Sidecar",
    ];
    for kind in kinds {
        let rows = rows(&text, kind);
        let resource = resources().iter().find(|resource| resource.kind == kind).unwrap();
        let Shape::Object(message) = resource.spec.shape else { panic!("{kind}") };
        let mut all = BTreeSet::new();
        paths(message, "", &mut all);
        let all: Vec<String> = all.iter().map(|path| shared(path)).collect();
        without += judge(root, kind, &rows, &all);
    }
    assert!(without <= 15, "{without} paths have no effect");
}

/// Every path has a row, every row a path, and a test that is there. How many rows have no effect.
fn judge(root: &Path, kind: &str, rows: &[Row], all: &[String]) -> usize {
    let mut used = BTreeSet::new();
    for path in all {
        let covers = |row: &&Row| {
            path.strip_prefix(&row.path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[', '{']))
        };
        let row = rows.iter().filter(covers).max_by_key(|row| row.path.len());
        let row = row.unwrap_or_else(|| panic!("{kind}: nothing is said of {path}"));
        used.insert(row.path.clone());
    }
    for row in rows {
        assert!(used.contains(&row.path), "{kind}: there is no {}", row.path);
        if let Some(test) = &row.test {
            assert!(shows(root, test, &row.path), "{kind} {}: there is no test {test}", row.path);
        }
    }
    rows.iter().filter(|row| row.test.is_none()).count()
}

/// `MODULE::NAME` of these tests, or `meshes/FILE` that has the field, among the scenarios.
fn shows(root: &Path, test: &str, path: &str) -> bool {
    let read = |file: &Path| {
        std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    };
    if let Some(mesh) = test.strip_prefix("meshes/") {
        let text = read(&root.join("../../tests/tests/scenarios/meshes").join(mesh));
        return text.contains(path.rsplit('.').next().unwrap_or(path));
    }
    match test.split_once("::") {
        Some((module, name)) => {
            let code = read(&root.join(format!("tests/features/{module}.rs")));
            code.contains(&format!("\nfn {name}("))
        }
        // In words: what is always so.
        None => test.contains(' '),
    }
}

/// Istio's fields of the mesh's configuration, as the conformance data list them.
#[test]
fn every_field_of_the_mesh_says_what_it_does() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("../../docs/mesh-config.md")).unwrap();
    let Some(folder) = std::env::var_os("LATEEN_CONFORMANCE") else {
        assert!(std::env::var_os("LATEEN_NO_SKIP").is_none(), "LATEEN_CONFORMANCE is not set");
        return eprintln!("SKIPPED: fields of MeshConfig (LATEEN_CONFORMANCE is not set)");
    };
    let file = Path::new(&folder).join("reference/meshconfig-fields.json");
    let fields: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    for (message, heading) in [("MeshConfig", "MeshConfig"), ("ProxyConfig", "defaultConfig")] {
        let listed = fields["messages"][message]["fields"].as_array().expect("fields");
        let all: Vec<String> =
            listed.iter().filter_map(|field| field["path"].as_str()).map(str::to_owned).collect();
        assert!(all.len() > 60, "{message}: {}", all.len());
        // An object says nothing that its fields do not say.
        let inner = |path: &&String| !all.iter().any(|other| other.starts_with(&format!("{path}.")));
        let leaves: Vec<String> = all.iter().filter(inner).cloned().collect();
        judge(root, heading, &rows(&text, heading), &leaves);
    }
}
