//! istioctl's list of messages, with what it lacks: the column, the reason and the mend.

use serde_json::{Map, Value, json};

use super::{Input, origin, reference};
use crate::catalogue;
use crate::finding::Finding;

pub(super) fn render(input: &Input<'_>) -> String {
    let list: Vec<Value> = input.findings.iter().map(|f| Value::Object(message(f))).collect();
    let mut text = serde_json::to_string_pretty(&list).unwrap_or_default();
    text.push('\n');
    text
}

/// The fields of one message. Ordered by name, as istioctl has them.
pub(super) fn message(finding: &Finding) -> Map<String, Value> {
    let entry = catalogue::entry(finding.code);
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| {
        fields.insert(name.to_owned(), value);
    };
    if let Some(cluster) = &finding.cluster {
        put("cluster", json!(&**cluster));
    }
    put("code", json!(finding.code));
    if let Some(place) = &finding.place {
        put("column", json!(place.column));
    }
    if let Some(url) = entry.url() {
        put("documentationUrl", json!(format!("{url}?ref=lateen-analyze")));
    }
    put("level", json!(finding.level.to_string()));
    put("mend", json!(entry.mend));
    put("message", json!(finding.message));
    if let Some(object) = &finding.object {
        put("origin", json!(origin(object)));
    }
    if let Some(place) = &finding.place {
        put("reference", json!(reference(place)));
    }
    put("why", json!(entry.why));
    fields
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::super::tests::{render_all, render_none};
    use super::*;

    #[test]
    fn messages_have_istioctls_fields() {
        let list: Vec<Value> = serde_json::from_str(&render_all(Format::Json)).expect("JSON");
        assert_eq!(list.len(), 4);
        let message = &list[1];
        for (field, value) in [
            ("code", "IST0101"),
            ("level", "Error"),
            ("origin", "VirtualService shop/a"),
            ("reference", "dir/a b,c.yaml:3"),
            ("message", "Referenced host not found: \"x\""),
            (
                "documentationUrl",
                "https://istio.io/latest/docs/reference/config/analysis/ist0101/?ref=lateen-analyze",
            ),
        ] {
            assert_eq!(message[field], value, "{field}");
        }
        assert_eq!(message["column"], 5);
        assert!(list[0].get("origin").is_none() && list[0].get("reference").is_none());
        assert_eq!(render_none(Format::Json), "[]\n");
    }
}
