//! SARIF 2.1.0. The rules are those of the catalogue that have results, with their pages.

use std::collections::BTreeSet;

use model::Level;
use serde_json::{Value, json};

use super::Input;
use crate::catalogue::{self, Entry};
use crate::finding::{Finding, Fix};

pub(super) fn render(input: &Input<'_>) -> String {
    let codes: BTreeSet<&str> = input.findings.iter().map(|finding| finding.code).collect();
    let rules: Vec<Value> = codes.iter().map(|code| rule(catalogue::entry(code))).collect();
    let index = |code: &str| codes.iter().position(|known| *known == code);
    let results: Vec<Value> = input.findings.iter().map(|f| result(f, index(f.code))).collect();
    let driver = json!({
        "name": "lateen",
        "semanticVersion": input.version,
        "rules": rules,
    });
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": driver },
            // Our columns count characters.
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    let mut text = serde_json::to_string_pretty(&log).unwrap_or_default();
    text.push('\n');
    text
}

fn rule(entry: &Entry) -> Value {
    let mut rule = json!({
        "id": entry.code,
        "name": entry.name,
        "shortDescription": { "text": entry.description },
        "fullDescription": { "text": entry.why },
        "help": { "text": entry.mend, "markdown": catalogue::page(entry) },
        "defaultConfiguration": { "level": level(entry.level) },
    });
    if let Some(url) = entry.url() {
        rule["helpUri"] = json!(url);
    }
    rule
}

fn result(finding: &Finding, index: Option<usize>) -> Value {
    let mut result = json!({
        "ruleId": finding.code,
        "level": level(finding.level),
        "message": { "text": finding.message },
    });
    if let Some(index) = index {
        result["ruleIndex"] = json!(index);
    }
    let mut location = json!({});
    if let Some(place) = &finding.place {
        location["physicalLocation"] = json!({
            "artifactLocation": { "uri": uri(&place.file) },
            "region": { "startLine": place.line, "startColumn": place.column },
        });
        if let Some(fix) = &finding.fix {
            result["fixes"] = json!([change(fix, &place.file)]);
        }
    }
    if let Some(object) = &finding.object {
        location["logicalLocations"] =
            json!([{ "name": &*object.name, "fullyQualifiedName": object.to_string(), "kind": "object" }]);
    }
    if location.as_object().is_some_and(|fields| !fields.is_empty()) {
        result["locations"] = json!([location]);
    }
    result
}

fn change(fix: &Fix, file: &str) -> Value {
    let replacements: Vec<Value> = fix
        .edits
        .iter()
        .map(|edit| {
            let end = edit.column as usize + edit.old.chars().count();
            json!({
                "deletedRegion": { "startLine": edit.line, "startColumn": edit.column, "endColumn": end },
                "insertedContent": { "text": edit.new },
            })
        })
        .collect();
    json!({
        "description": { "text": fix.title },
        "artifactChanges": [{ "artifactLocation": { "uri": uri(file) }, "replacements": replacements }],
    })
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Info => "note",
    }
}

/// A path as a URI reference (RFC 3986); an absolute one as a `file` URI.
fn uri(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    if path.starts_with('/') {
        uri.push_str("file://");
    }
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(char::from(byte))
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::super::tests::{render_all, render_none};
    use super::*;

    /// The part of the SARIF 2.1.0 schema that is used: of each object the properties it may have
    /// (required ones with `!`), as `NAME:TYPE`; the schema allows no others.
    const SCHEMA: &[(&str, &str)] = &[
        ("log", "$schema:uri version!:2.1.0 runs!:[run"),
        ("run", "tool!:tool results:[result columnKind:columnKind"),
        ("tool", "driver!:component"),
        ("component", "name!:text semanticVersion:text rules:[rule"),
        (
            "rule",
            "id!:text name:text shortDescription:message_text fullDescription:message_text help:message_text \
             helpUri:uri defaultConfiguration:configuration",
        ),
        ("configuration", "level:level"),
        ("message_text", "text!:text markdown:text"),
        ("message", "text:text"),
        (
            "result",
            "ruleId:text ruleIndex:number level:level message!:message locations:[location fixes:[fix",
        ),
        ("location", "physicalLocation:physical logicalLocations:[logical"),
        ("physical", "artifactLocation:artifact region:region"),
        ("artifact", "uri:uri"),
        ("region", "startLine:positive startColumn:positive endColumn:positive"),
        ("logical", "name:text fullyQualifiedName:text kind:text"),
        ("fix", "description:message artifactChanges!:[change"),
        ("change", "artifactLocation!:artifact replacements!:[replacement"),
        ("replacement", "deletedRegion!:region insertedContent:content"),
        ("content", "text:text"),
    ];

    fn check(value: &Value, ty: &str, path: &str) {
        let text = || value.as_str().unwrap_or_else(|| panic!("{path}: no text"));
        match ty {
            "text" => assert!(!text().is_empty(), "{path}"),
            "uri" => assert!(
                text().bytes().all(|b| b.is_ascii_graphic() && !b"<>\"{}|\\^`".contains(&b)),
                "{path}"
            ),
            "level" => assert!(["none", "note", "warning", "error"].contains(&text()), "{path}"),
            "columnKind" => assert!(["utf16CodeUnits", "unicodeCodePoints"].contains(&text()), "{path}"),
            "2.1.0" => assert_eq!(text(), "2.1.0", "{path}"),
            "number" => assert!(value.is_u64(), "{path}"),
            "positive" => assert!(value.as_u64().is_some_and(|n| n > 0), "{path}"),
            _ => check_object(value, ty, path),
        }
    }

    fn check_object(value: &Value, ty: &str, path: &str) {
        let (_, properties) = SCHEMA.iter().find(|(name, _)| *name == ty).unwrap_or_else(|| panic!("{ty}"));
        let object = value.as_object().unwrap_or_else(|| panic!("{path}: no object"));
        let known: Vec<(&str, &str)> =
            properties.split_whitespace().filter_map(|p| p.split_once(':')).collect();
        for (name, _) in known.iter().filter(|(name, _)| name.ends_with('!')) {
            assert!(object.contains_key(name.trim_end_matches('!')), "{path} lacks {name}");
        }
        for (name, value) in object {
            let path = format!("{path}.{name}");
            let ty = known.iter().find(|(known, _)| known.trim_end_matches('!') == name);
            let (_, ty) = ty.unwrap_or_else(|| panic!("{path} is not in the schema"));
            match ty.strip_prefix('[') {
                Some(ty) => value.as_array().expect("list").iter().for_each(|item| check(item, ty, &path)),
                None => check(value, ty, &path),
            }
        }
    }

    #[test]
    fn logs_are_valid() {
        for text in [render_all(Format::Sarif), render_none(Format::Sarif)] {
            check(&serde_json::from_str(&text).expect("JSON"), "log", "");
        }
    }

    #[test]
    fn results_refer_to_rules_and_places() {
        let log: Value = serde_json::from_str(&render_all(Format::Sarif)).expect("JSON");
        let run = &log["runs"][0];
        let results = run["results"].as_array().expect("results");
        for result in results {
            let index = result["ruleIndex"].as_u64().expect("index") as usize;
            assert_eq!(run["tool"]["driver"]["rules"][index]["id"], result["ruleId"]);
        }
        let place = &results[1]["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "dir/a%20b%2Cc.yaml");
        assert_eq!(place["region"]["startLine"], 3);
        assert_eq!(results[3]["level"], "note");
        let region = &results[2]["fixes"][0]["artifactChanges"][0]["replacements"][0]["deletedRegion"];
        assert_eq!((&region["startColumn"], &region["endColumn"]), (&json!(5), &json!(6)));
        assert_eq!(uri("/a b"), "file:///a%20b");
    }
}
