//! The files of the conformance data, as users write them: everything is read, nothing right is
//! called wrong, and every field that Istio knows is known.

mod crds;
mod validate;

use std::fs;
use std::path::{Path, PathBuf};

use istio_api::{Parsed, parse_stream};
use model::{Finding, Level};
use serde_json::{Value, json};

fn root() -> Option<PathBuf> {
    let root = std::env::var_os("LATEEN_CONFORMANCE").map(PathBuf::from);
    if root.is_none() {
        eprintln!("SKIPPED: LATEEN_CONFORMANCE is not set");
    }
    root
}

fn parse(path: &Path) -> Parsed {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    parse_stream(&path.display().to_string(), &text)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("folder") {
        let path = entry.expect("entry").path();
        match path.extension().and_then(|ext| ext.to_str()) {
            _ if path.is_dir() => found.extend(files(&path)),
            Some("yaml" | "yml") => found.push(path),
            _ => {}
        }
    }
    found.sort();
    found
}

fn errors(parsed: &Parsed) -> Vec<&Finding> {
    parsed.findings.iter().filter(|finding| finding.level == Level::Error).collect()
}

fn read_json(path: PathBuf) -> Value {
    serde_json::from_str(&fs::read_to_string(path).expect("file")).expect("JSON")
}

#[test]
fn samples_have_no_errors() {
    let Some(root) = root() else { return };
    let mut documents = 0;
    for path in files(&root.join("samples")) {
        let parsed = parse(&path);
        assert!(errors(&parsed).is_empty(), "{:#?}", errors(&parsed));
        documents += parsed.documents.len();
    }
    assert!(documents > 150, "{documents}");
}

#[test]
fn every_object_of_a_kind_we_read_is_found_in_the_samples() {
    let Some(root) = root() else { return };
    let index = read_json(root.join("samples/index.json"));
    let listed = index.get("files").unwrap_or(&index);
    let entries: Vec<(String, Vec<Value>)> = match listed {
        Value::Object(map) => {
            map.iter().map(|(f, d)| (f.clone(), d.as_array().cloned().unwrap_or_default())).collect()
        }
        Value::Array(list) => list
            .iter()
            .map(|f| {
                let name = f["file"].as_str().or(f["path"].as_str()).expect("file").to_owned();
                (name, f["documents"].as_array().or(f["resources"].as_array()).cloned().unwrap_or_default())
            })
            .collect(),
        _ => panic!("unexpected index"),
    };
    let read = ["Namespace", "Service", "ServiceAccount", "Pod", "Deployment", "ConfigMap", "Secret"];
    let istio =
        ["VirtualService", "DestinationRule", "ServiceEntry", "PeerAuthentication", "AuthorizationPolicy"];
    let mut checked = 0;
    for (file, documents) in entries {
        let parsed = parse(&root.join("samples").join(file.trim_start_matches("samples/")));
        for document in documents {
            let kind = document["kind"].as_str().unwrap_or_default();
            let name = document["name"].as_str().unwrap_or_default();
            if read.contains(&kind) || istio.contains(&kind) {
                let found = parsed.documents.iter().any(|d| d.object.kind == *kind && d.object.name == *name);
                assert!(found, "{file}: {kind} {name} is missing");
                checked += 1;
            }
        }
    }
    assert!(checked > 150, "{checked}");
}

#[test]
fn field_reports_have_the_findings_their_readme_names() {
    let Some(root) = root() else { return };
    for path in files(&root.join("field-reports")) {
        let parsed = parse(&path);
        let errors = errors(&parsed);
        if path.ends_with("a-injection.yaml") {
            // The Pod is a fragment without a name; the Namespace still counts.
            assert_eq!(errors.len(), 1, "{errors:#?}");
            assert!(errors.iter().all(|e| e.place.as_ref().is_some_and(|p| p.line > 1)), "{errors:#?}");
            assert_eq!(parsed.documents.len(), 1);
        } else {
            assert!(errors.is_empty(), "{}: {errors:#?}", path.display());
        }
    }
}

/// An object that has every field of the schema, from the list of paths.
fn full_object(group: &str, kind: &str, version: &str, fields: &[Value]) -> Value {
    let mut object = json!({
        "apiVersion": format!("{group}/{version}"), "kind": kind, "metadata": {"name": "full"},
    });
    for field in fields {
        let (path, ty) = (field["path"].as_str().expect("path"), field["type"].as_str().unwrap_or("any"));
        if path.starts_with("status") {
            continue;
        }
        let mut at = &mut object;
        for part in path.split('.') {
            let name = part.trim_end_matches("[]").trim_end_matches("{}");
            at = at.as_object_mut().expect("object").entry(name).or_insert(Value::Null);
            if part.ends_with("[]") {
                if at.as_array().is_none_or(Vec::is_empty) {
                    *at = json!([null]);
                }
                at = &mut at[0];
            } else if part.ends_with("{}") {
                if !at.is_object() {
                    *at = json!({});
                }
                at = at.as_object_mut().expect("object").entry("key").or_insert(Value::Null);
            }
            let is_last = path.rsplit('.').next() == Some(part);
            if at.is_null() && !is_last {
                *at = json!({});
            }
        }
        if at.is_null() {
            *at = match ty {
                "object" => json!({}),
                "array" => json!([]),
                "integer" | "number" => json!(1),
                "boolean" => json!(true),
                _ => json!("text"),
            };
        }
    }
    object
}

#[test]
fn every_field_of_istios_schemas_is_known() {
    let Some(root) = root() else { return };
    let schemas = read_json(root.join("crds/fields.json"));
    let mut checked = 0;
    for (name, schema) in schemas["kinds"].as_object().expect("kinds") {
        let (group, kind) = name.split_once('/').expect("group/Kind");
        for (version, content) in schema["versions"].as_object().expect("versions") {
            let same = content["same_as"].as_str().unwrap_or(version);
            let fields = schema["versions"][same]["fields"].as_array().expect("fields");
            let text = full_object(group, kind, version, fields).to_string();
            let parsed = parse_stream("full.json", &text);
            let unknown: Vec<&Finding> =
                parsed.findings.iter().filter(|f| f.code == istio_api::codes::UNKNOWN_FIELD).collect();
            assert!(unknown.is_empty(), "{unknown:#?}");
            let unserved: Vec<&Finding> =
                parsed.findings.iter().filter(|f| f.code == istio_api::codes::UNKNOWN_KIND).collect();
            assert!(unserved.is_empty(), "{unserved:#?}");
            checked += 1;
        }
    }
    assert!(checked >= 30, "{checked}");
}

#[test]
fn every_field_of_the_mesh_configuration_is_known() {
    let Some(root) = root() else { return };
    let lists = read_json(root.join("reference/meshconfig-fields.json"));
    for (message, under) in [("MeshConfig", None), ("ProxyConfig", Some("defaultConfig"))] {
        for field in lists["messages"][message]["fields"].as_array().expect("fields") {
            let path = field["path"].as_str().expect("path");
            if path.contains(['.', '[', '{']) {
                continue;
            }
            let inner = json!({path: null});
            let whole = under.map_or(inner.clone(), |outer| json!({outer: inner}));
            let parsed = istio_api::parse_mesh_config("mesh.json", &whole.to_string());
            assert!(parsed.findings.is_empty(), "{path}: {:?}", parsed.findings);
        }
    }
    let defaults = read_json(root.join("reference/meshconfig-defaults.json"));
    let parsed = istio_api::parse_mesh_config("defaults.json", &defaults["meshConfig"].to_string());
    assert!(!parsed.broken, "{:#?}", parsed.findings);
    assert_eq!(parsed.config, istio_api::MeshConfig::default());
}

/// A generator that is the same every time (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides.max(1) as u64) as usize
    }
}

/// Not a fuzzer, but what one finds first: every file cut, doubled and sprinkled with YAML's own
/// characters must be read without a panic.
#[test]
fn damaged_files_are_reported_and_never_panic() {
    let Some(root) = root() else { return };
    const SALT: [&str; 14] =
        ["\n", "  ", "- ", ": ", "[", "}", "\"", "&a ", "*a", "|\n", "---\n", "\t", "null", "<<: "];
    let mut dice = Dice(0x1a7e_e001);
    let mut found = 0;
    for path in files(&root.join("samples")).iter().chain(&files(&root.join("field-reports"))) {
        let text = fs::read_to_string(path).expect("file");
        for _ in 0..12 {
            let mut damaged: Vec<char> = text.chars().collect();
            for _ in 0..=dice.roll(4) {
                let at = dice.roll(damaged.len());
                match dice.roll(3) {
                    0 => damaged.truncate(at),
                    1 => drop(damaged.splice(at..at, SALT[dice.roll(SALT.len())].chars())),
                    _ => drop(damaged.splice(at..(at + dice.roll(20)).min(damaged.len()), [])),
                }
            }
            let damaged: String = damaged.into_iter().collect();
            found += parse_stream("damaged.yaml", &damaged).findings.len();
        }
    }
    assert!(found > 1000, "{found}");
}
