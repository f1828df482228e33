//! `crds/fields.json`: the definitions that we print have the paths, types, names and required
//! fields of Istio's, no more and no less. They are read back from the printed YAML.

use std::collections::BTreeMap;

use istio_api::schema::definitions;
use istio_api::value::Free;
use serde_json::Value;

use super::{read_json, root};

/// Path to type, names of an enumeration, and whether it is required.
type Fields = BTreeMap<String, (String, Vec<String>, bool)>;

#[test]
fn the_definitions_have_all_fields_of_istios() {
    let Some(root) = root() else { return };
    let expected = read_json(root.join("crds/fields.json"));
    let printed = printed();
    let (mut checked, mut kinds, mut wrong) = (0, 0, Vec::new());
    for (name, kind) in expected["kinds"].as_object().expect("kinds") {
        kinds += 1;
        let versions = kind["versions"].as_object().expect("versions");
        for (version, content) in versions {
            let same = content["same_as"].as_str().unwrap_or(version);
            let fields = fields_of(&kind["versions"][same]["fields"]);
            let Some(ours) = printed.get(&format!("{name}/{version}")) else {
                wrong.push(format!("{name}/{version} is missing"));
                continue;
            };
            checked += fields.len();
            wrong.extend(difference(&format!("{name}/{version}"), &fields, &ours.fields));
            for (what, theirs, mine) in [
                ("storage", content["storage"] == true, ours.storage),
                ("namespaced", kind["scope"] == "Namespaced", ours.namespaced),
                ("plural", true, kind["plural"] == *ours.plural),
            ] {
                if theirs != mine {
                    wrong.push(format!("{name}/{version}: {what} differs"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!((kinds, printed.len()), (15, expected_versions(&expected)));
    eprintln!("{checked} paths of {kinds} kinds are the same");
    assert_eq!(checked as u64, expected["path_count"].as_u64().expect("path_count"));
}

fn expected_versions(expected: &Value) -> usize {
    let kinds = expected["kinds"].as_object().expect("kinds");
    kinds.values().map(|kind| kind["versions"].as_object().map_or(0, serde_json::Map::len)).sum()
}

fn fields_of(list: &Value) -> Fields {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let names = |value: &Value| value.as_array().map(|n| n.iter().map(text).collect()).unwrap_or_default();
    let field = |f: &Value| (text(&f["path"]), (text(&f["type"]), names(&f["enum"]), f["required"] == true));
    list.as_array().expect("fields").iter().map(field).collect()
}

fn difference(name: &str, theirs: &Fields, ours: &Fields) -> Vec<String> {
    let missing = theirs.keys().filter(|path| !ours.contains_key(*path));
    let mut wrong: Vec<String> = missing.map(|path| format!("{name}: {path} is missing")).collect();
    for (path, field) in ours {
        match theirs.get(path) {
            None => wrong.push(format!("{name}: {path} is too much")),
            Some(expected) if expected != field => {
                wrong.push(format!("{name}: {path} is {field:?}, not {expected:?}"));
            }
            Some(_) => {}
        }
    }
    wrong
}

/// A version of a kind as we print it.
struct Printed {
    fields: Fields,
    storage: bool,
    namespaced: bool,
    plural: String,
}

fn printed() -> BTreeMap<String, Printed> {
    let mut all = BTreeMap::new();
    for document in Free::parse(&definitions()).expect("our own YAML") {
        let spec = get(&document, "spec");
        let (group, names) = (text(get(spec, "group")), get(spec, "names"));
        for version in items(get(spec, "versions")) {
            let mut fields = Fields::new();
            let schema = get(get(version, "schema"), "openAPIV3Schema");
            walk(schema, "", &mut fields);
            let key = format!("{group}/{}/{}", text(get(names, "kind")), text(get(version, "name")));
            let printed = Printed {
                fields,
                storage: *get(version, "storage") == Free::Bool(true),
                namespaced: text(get(spec, "scope")) == "Namespaced",
                plural: text(get(names, "plural")),
            };
            all.insert(key, printed);
        }
    }
    all
}

fn walk(schema: &Free, path: &str, fields: &mut Fields) {
    let required = items(get(schema, "required"));
    let Free::Object(properties) = get(schema, "properties") else { return };
    for (name, inner) in properties {
        let path = if path.is_empty() { name.to_string() } else { format!("{path}.{name}") };
        let is_required = required.iter().any(|r| text(r) == **name);
        add(inner, path, is_required, fields);
    }
}

fn add(schema: &Free, path: String, required: bool, fields: &mut Fields) {
    let ty = match get(schema, "x-kubernetes-int-or-string") {
        Free::Bool(true) => "int-or-string".to_owned(),
        _ => text(get(schema, "type")),
    };
    let names = items(get(schema, "enum")).iter().map(text).collect();
    walk(schema, &path, fields);
    for (inner, suffix) in [("items", "[]"), ("additionalProperties", "{}")] {
        if let inner @ Free::Object(_) = get(schema, inner) {
            add(inner, format!("{path}{suffix}"), false, fields);
        }
    }
    fields.insert(path, (ty, names, required));
}

fn get<'f>(value: &'f Free, key: &str) -> &'f Free {
    match value {
        Free::Object(map) => map.get(key).unwrap_or(&Free::Null),
        _ => &Free::Null,
    }
}

fn items(value: &Free) -> &[Free] {
    match value {
        Free::List(items) => items,
        _ => &[],
    }
}

fn text(value: &Free) -> String {
    match value {
        Free::Text(text) => text.to_string(),
        _ => String::new(),
    }
}
