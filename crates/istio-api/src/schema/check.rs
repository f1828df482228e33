//! The structural check: types, unknown fields, names of enumerations, limits and rules. Reports
//! every problem with its path and place; what Istio's semantic validation says comes after it.

use model::Level;

use super::{Field, Message, Schema, Shape};
use crate::codes;
use crate::reader::{Item, nearest};
use crate::yaml::{Entry, same_name};

/// Reports everything that the schema does not allow of a value.
pub(crate) fn check(item: &Item<'_>, schema: &Schema) {
    if !check_shape(item, schema) {
        return;
    }
    if let Some(pattern) = schema.pattern
        && !(pattern.matches)(item.node().text())
    {
        item.invalid(format!("must match {}", pattern.regex));
    }
    for rule in schema.rules.iter().filter(|rule| !(rule.holds)(item.node())) {
        item.invalid(rule.message.into());
    }
}

/// Checks type, size and content. `false`: the type is wrong, so nothing more can be said.
fn check_shape(item: &Item<'_>, schema: &Schema) -> bool {
    match schema.shape {
        Shape::Text | Shape::Bytes | Shape::Time => match item.str() {
            Some(text) => check_size(item, schema, text.chars().count(), "characters"),
            None => return false,
        },
        Shape::Choice(names) => return item.position(names).is_some(),
        Shape::Bool => return item.bool().is_some(),
        Shape::Int32 => return item.int(schema.min.unwrap_or(i32::MIN.into()), i32::MAX.into()).is_some(),
        Shape::Int => {
            return item.int(schema.min.unwrap_or(i64::MIN), schema.max.unwrap_or(i64::MAX)).is_some();
        }
        Shape::Double => return check_number(item, schema),
        Shape::IntOrText => {}
        Shape::Free => {
            item.entries();
        }
        Shape::List(inner) => {
            let Some(items) = item.items() else { return false };
            check_size(item, schema, items.len(), "items");
            items.iter().for_each(|item| check_present(item, inner));
            if let Some(key) = schema.key {
                check_unique(&items, key);
            }
        }
        Shape::Map(inner) => {
            let Some(entries) = item.pairs() else { return false };
            check_size(item, schema, entries.len(), "entries");
            entries.iter().for_each(|(_, item)| check_present(item, inner));
        }
        Shape::Object(message) => return check_message(item, message),
    }
    true
}

/// An item of a list or map, which may not be null.
fn check_present(item: &Item<'_>, schema: &Schema) {
    if item.node().is_null() && !schema.nullable {
        item.invalid("must not be null".into());
    } else {
        check(item, schema);
    }
}

fn check_number(item: &Item<'_>, schema: &Schema) -> bool {
    let Some(value) = item.number() else { return false };
    let (min, max) = (schema.min.map(|min| min as f64), schema.max.map(|max| max as f64));
    if min.is_some_and(|min| value < min) || max.is_some_and(|max| value > max) {
        let message = match (schema.min, schema.max) {
            (Some(min), Some(max)) => format!("must be from {min} to {max}"),
            (min, _) => format!("must be at least {}", min.unwrap_or_default()),
        };
        item.invalid(message);
    }
    true
}

fn check_size(item: &Item<'_>, schema: &Schema, size: usize, what: &str) {
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    match (schema.min, schema.max) {
        (Some(1), _) if size == 0 => item.invalid("must not be empty".into()),
        (Some(min), _) if size < min => item.invalid(format!("needs at least {min} {what}, not {size}")),
        (_, Some(max)) if size > max => item.invalid(format!("may have at most {max} {what}, not {size}")),
        _ => {}
    }
}

/// Items are told apart by this field.
fn check_unique(items: &[Item<'_>], key: &'static str) {
    let mut seen = std::collections::BTreeMap::new();
    for item in items {
        let Some(node) = item.node().field(key) else { continue };
        if let Some(line) = seen.insert(node.text(), node.line) {
            item.invalid(format!("{key} {} is given twice, first on line {line}", node.text()));
        }
    }
}

fn check_message(item: &Item<'_>, message: &'static Message) -> bool {
    let Some(entries) = item.object().map(|_| item.node().entries()) else { return false };
    let mut given: Vec<Option<&Entry>> = vec![None; message.fields.len()];
    for entry in entries {
        match position(message.fields, &entry.key) {
            None => report_unknown(item, entry, message),
            Some(index) => match given[index] {
                Some(first) => {
                    let twice = item.child(message.fields[index].name, &entry.node);
                    twice.invalid(format!("given twice, first on line {}", first.node.line));
                }
                None => given[index] = Some(entry),
            },
        }
    }
    for (field, entry) in message.fields.iter().zip(given) {
        match entry.filter(|entry| !entry.node.is_null()) {
            Some(entry) => check(&item.child(field.name, &entry.node), &field.schema),
            None if field.schema.required => item.invalid(format!("{} is required", field.name)),
            None => {}
        }
    }
    check_whole(item, message);
    true
}

/// Alternatives and rules. A required field that is absent was reported already.
fn check_whole(item: &Item<'_>, message: &Message) {
    for names in message.one_of {
        let present: Vec<&str> =
            names.iter().copied().filter(|name| item.node().field(name).is_some()).collect();
        if present.len() > 1 {
            item.invalid(format!("only one of {} can be set", present.join(", ")));
        }
    }
    for rule in message.rules.iter().filter(|rule| !(rule.holds)(item.node())) {
        item.invalid(rule.message.into());
    }
}

/// The field that a key names: exactly, or in its snake_case spelling.
fn position(fields: &[Field], key: &str) -> Option<usize> {
    let exact = fields.iter().position(|field| field.name == key);
    exact.or_else(|| fields.iter().position(|field| same_name(key, field.name)))
}

fn report_unknown(item: &Item<'_>, entry: &Entry, message: &Message) {
    let field = item.child(&entry.key, &entry.node);
    let hint = nearest(&entry.key, message.fields.iter().map(|field| field.name))
        .map_or_else(String::new, |name| format!("; did you mean {name}?"));
    let text = format!("unknown field {:?}{hint}", &*entry.key);
    field.cx().report(Level::Error, codes::UNKNOWN_FIELD, &field.path(), (entry.line, entry.column), text);
    if !message.conditions {
        field.cx().break_object();
    }
}
