//! `/debug/configz`: every object that is known, where it was written, and what is wrong with it.

use istio_api::{Document, document::Kind};
use model::Finding;
use registry::Snapshot;
use serde_json::{Value, json};

pub fn page(snapshot: &Snapshot, findings: &[Finding]) -> Value {
    let objects: Vec<Value> = snapshot.objects().map(|document| object(document, findings)).collect();
    let others = findings
        .iter()
        .filter(|finding| finding.object.as_ref().is_none_or(|o| snapshot.object(o).is_none()));
    json!({ "objects": objects, "findings": others.map(finding).collect::<Vec<_>>() })
}

/// All findings.
pub fn findings(findings: &[Finding]) -> Value {
    findings.iter().map(finding).collect()
}

fn object(document: &Document, findings: &[Finding]) -> Value {
    let object = &document.object;
    let about = findings.iter().filter(|finding| finding.object.as_ref() == Some(object));
    json!({
        "kind": object.kind.as_str(),
        "apiVersion": document.api_version.as_str(),
        "metadata": {
            "namespace": object.namespace.as_str(),
            "name": object.name.as_str(),
            "labels": document.labels.0,
            "annotations": document.annotations,
            "resourceVersion": document.resource_version.as_deref(),
        },
        "place": document.place.to_string(),
        "broken": document.broken,
        "effective": effective(&document.body),
        "findings": about.map(finding).collect::<Vec<_>>(),
    })
}

/// What is in effect, as it was understood, defaults filled in. Never a Secret's content.
fn effective(body: &Kind) -> String {
    match body {
        Kind::Secret(_) => "(not shown)".into(),
        Kind::Namespace | Kind::ServiceAccount => String::new(),
        other => format!("{other:?}"),
    }
}

fn finding(finding: &Finding) -> Value {
    json!({
        "level": finding.level.to_string(),
        "code": finding.code,
        "object": finding.object.as_ref().map(ToString::to_string),
        "field": finding.field.as_str(),
        "place": finding.place.as_ref().map(ToString::to_string),
        "message": finding.message.as_str(),
    })
}
