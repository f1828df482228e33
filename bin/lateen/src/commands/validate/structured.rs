//! Findings for programs: JSON and YAML, one list of all files. The names of `istioctl analyze`
//! where it has them (`code`, `level`, `message`, `origin`, `reference`), and the place in parts.

use std::fmt::Write;

use model::Finding;
use serde_json::{Map, Value, json};

use super::Judged;

pub fn json(files: &[Judged]) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(&records(files).collect::<Vec<_>>())? + "\n")
}

pub fn yaml(files: &[Judged]) -> anyhow::Result<String> {
    let mut out = String::new();
    for record in records(files) {
        let mut lead = "- ";
        for (key, value) in record {
            // A JSON string is a quoted string of YAML too.
            writeln!(out, "{lead}{key}: {}", serde_json::to_string(&value)?)?;
            lead = "  ";
        }
    }
    Ok(if out.is_empty() { "[]\n".into() } else { out })
}

fn records(files: &[Judged]) -> impl Iterator<Item = Map<String, Value>> {
    files.iter().flat_map(|file| file.findings.iter().map(|finding| record(&file.name, finding)))
}

fn record(file: &str, finding: &Finding) -> Map<String, Value> {
    let mut record = Map::new();
    let mut put = |key: &str, value: Value| drop(record.insert(key.into(), value));
    put("code", json!(finding.code));
    put("level", json!(finding.level.to_string()));
    put("message", json!(&*finding.message));
    if let Some(object) = &finding.object {
        put("origin", json!(object.to_string()));
    }
    if !finding.field.is_empty() {
        put("field", json!(&*finding.field));
    }
    put("file", json!(file));
    if let Some(place) = &finding.place {
        put("reference", json!(place.to_string()));
        put("line", json!(place.line));
        put("column", json!(place.column));
    }
    record
}
