//! The CustomResourceDefinitions, printed from the tables. See
//! <https://kubernetes.io/docs/reference/kubernetes-api/extend-resources/custom-resource-definition-v1/>.

use super::emit::Yaml;
use super::{Message, Resource, Rule, Schema, Shape, resources, status};

/// All definitions as a stream of YAML documents.
pub fn definitions() -> String {
    resources().iter().map(|resource| definition(resource).document()).collect()
}

fn definition(resource: &Resource) -> Yaml {
    Yaml::Map(vec![
        ("apiVersion", Yaml::text("apiextensions.k8s.io/v1")),
        ("kind", Yaml::text("CustomResourceDefinition")),
        (
            "metadata",
            Yaml::Map(vec![
                // Removing an installation must not remove people's objects.
                ("annotations", Yaml::Map(vec![("helm.sh/resource-policy", Yaml::text("keep"))])),
                ("name", Yaml::Text(format!("{}.{}", resource.plural, resource.group))),
            ]),
        ),
        (
            "spec",
            Yaml::Map(vec![
                ("group", Yaml::text(resource.group)),
                ("names", names(resource)),
                ("scope", Yaml::text("Namespaced")),
                ("versions", Yaml::List(resource.versions.iter().map(|v| version(resource, v)).collect())),
            ]),
        ),
    ])
}

fn names(resource: &Resource) -> Yaml {
    let group = resource.group.replace('.', "-").trim_end_matches("-io").to_owned();
    let group = group.trim_end_matches("-istio");
    let mut entries = vec![
        ("categories", Yaml::List(vec![Yaml::text("istio-io"), Yaml::Text(format!("{group}-istio-io"))])),
        ("kind", Yaml::text(resource.kind)),
        ("listKind", Yaml::Text(format!("{}List", resource.kind))),
        ("plural", Yaml::text(resource.plural)),
    ];
    if !resource.short.is_empty() {
        entries.push(("shortNames", Yaml::texts([resource.short])));
    }
    entries.push(("singular", Yaml::Text(resource.kind.to_ascii_lowercase())));
    Yaml::Map(entries)
}

fn version(resource: &Resource, version: &'static str) -> Yaml {
    let mut entries = Vec::new();
    if !resource.columns.is_empty() {
        let column = |column: &super::Column| {
            Yaml::Map(vec![
                ("description", Yaml::text(column.about)),
                ("jsonPath", Yaml::text(column.path)),
                ("name", Yaml::text(column.name)),
                ("type", Yaml::text(column.ty)),
            ])
        };
        entries.push(("additionalPrinterColumns", Yaml::List(resource.columns.iter().map(column).collect())));
    }
    let mut whole = vec![(
        "properties",
        Yaml::Map(vec![
            ("spec", schema(&resource.spec, resource.spec_about())),
            ("status", with_unknown_fields(schema(&status::SCHEMA, ""))),
        ]),
    )];
    if resource.spec.required {
        whole.push(("required", Yaml::texts(["spec"])));
    }
    whole.push(("type", Yaml::text("object")));
    entries.extend([
        ("name", Yaml::text(version)),
        ("schema", Yaml::Map(vec![("openAPIV3Schema", Yaml::Map(whole))])),
        ("served", Yaml::Bool(true)),
        ("storage", Yaml::Bool(version == resource.storage)),
        ("subresources", Yaml::Map(vec![("status", Yaml::Map(vec![]))])),
    ]);
    Yaml::Map(entries)
}

/// What controllers of other versions write there stays.
fn with_unknown_fields(schema: Yaml) -> Yaml {
    match schema {
        Yaml::Map(mut entries) => {
            entries.push(("x-kubernetes-preserve-unknown-fields", Yaml::Bool(true)));
            Yaml::Map(entries)
        }
        other => other,
    }
}

fn schema(schema: &Schema, about: &str) -> Yaml {
    let mut entries: Vec<(&'static str, Yaml)> = Vec::new();
    let about = match (about.trim(), schema.shape) {
        ("", Shape::Object(message)) => message.about.trim(),
        (about, _) => about,
    };
    if !about.is_empty() {
        entries.push(("description", Yaml::text(about)));
    }
    shape(schema, &mut entries);
    if schema.nullable {
        entries.push(("nullable", Yaml::Bool(true)));
    }
    if let Some(pattern) = schema.pattern {
        entries.push(("pattern", Yaml::text(pattern.regex)));
    }
    let inner: &[Rule] = match schema.shape {
        Shape::Object(message) => message.rules,
        _ => &[],
    };
    let rules: Vec<Yaml> = inner.iter().chain(schema.rules).map(rule).collect();
    if !rules.is_empty() {
        entries.push(("x-kubernetes-validations", Yaml::List(rules)));
    }
    Yaml::Map(entries)
}

fn rule(rule: &Rule) -> Yaml {
    Yaml::Map(vec![("message", Yaml::text(rule.message)), ("rule", Yaml::text(rule.cel))])
}

/// The type and what belongs to it. Limits have a name of their own for each type.
fn shape(value: &Schema, entries: &mut Vec<(&'static str, Yaml)>) {
    let (ty, format, limits) = match value.shape {
        Shape::Text | Shape::Choice(_) => ("string", "", ["minLength", "maxLength"]),
        Shape::Bytes => ("string", "byte", ["minLength", "maxLength"]),
        Shape::Time => ("string", "date-time", ["minLength", "maxLength"]),
        Shape::Bool => ("boolean", "", ["", ""]),
        Shape::Int32 => ("integer", "int32", ["minimum", "maximum"]),
        Shape::Int => ("integer", "", ["minimum", "maximum"]),
        Shape::Double => ("number", "double", ["minimum", "maximum"]),
        Shape::IntOrText => ("", "", ["", ""]),
        Shape::List(_) => ("array", "", ["minItems", "maxItems"]),
        Shape::Map(_) => ("object", "", ["minProperties", "maxProperties"]),
        Shape::Object(_) | Shape::Free => ("object", "", ["", ""]),
    };
    for (name, limit) in limits.into_iter().zip([value.min, value.max]) {
        if let Some(limit) = limit {
            entries.push((name, Yaml::Int(limit)));
        }
    }
    if !format.is_empty() {
        entries.push(("format", Yaml::text(format)));
    }
    match value.shape {
        Shape::Choice(names) => entries.push(("enum", Yaml::texts(names.iter().copied()))),
        Shape::List(item) => entries.push(("items", schema(item, ""))),
        Shape::Map(inner) => entries.push(("additionalProperties", schema(inner, ""))),
        Shape::Object(message) => fields(message, entries),
        Shape::Free => entries.push(("x-kubernetes-preserve-unknown-fields", Yaml::Bool(true))),
        Shape::IntOrText => {
            let types = ["integer", "string"].map(|ty| Yaml::Map(vec![("type", Yaml::text(ty))]));
            entries.push(("anyOf", Yaml::List(types.into())));
            entries.push(("x-kubernetes-int-or-string", Yaml::Bool(true)));
        }
        _ => {}
    }
    if !ty.is_empty() {
        entries.push(("type", Yaml::text(ty)));
    }
    if let Some(key) = value.key {
        entries.push(("x-kubernetes-list-map-keys", Yaml::texts([key])));
        entries.push(("x-kubernetes-list-type", Yaml::text("map")));
    }
}

fn fields(message: &Message, entries: &mut Vec<(&'static str, Yaml)>) {
    let properties = message.fields.iter().map(|f| (f.name.to_owned(), schema(&f.schema, f.about)));
    entries.push(("properties", Yaml::Named(properties.collect())));
    let required: Vec<&str> =
        message.fields.iter().filter(|f| f.schema.required).map(|field| field.name).collect();
    if !required.is_empty() {
        entries.push(("required", Yaml::texts(required)));
    }
    match message.one_of {
        [] => {}
        [names] => entries.push(("oneOf", at_most_one(names))),
        several => {
            let all = several.iter().map(|names| Yaml::Map(vec![("oneOf", at_most_one(names))]));
            entries.push(("allOf", Yaml::List(all.collect())));
        }
    }
}

/// None of the fields, or exactly one.
fn at_most_one(names: &[&'static str]) -> Yaml {
    let required = |name: &&'static str| Yaml::Map(vec![("required", Yaml::texts([*name]))]);
    let any = Yaml::Map(vec![("anyOf", Yaml::List(names.iter().map(required).collect()))]);
    let none = Yaml::Map(vec![("not", any)]);
    Yaml::List(std::iter::once(none).chain(names.iter().map(required)).collect())
}
