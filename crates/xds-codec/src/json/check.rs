//! Compares JSON with the message it should be, to report every mistake with its path. The real
//! deserializer stops at the first one and does not say where.

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value};

use crate::decode::at::At;

const ANY: &str = "google.protobuf.Any";

pub(super) fn message(at: At<'_>, descriptor: &MessageDescriptor, value: &Value) {
    let Value::Object(fields) = value else {
        return at.refuse(format!("must be an object, {} in JSON", descriptor.name()));
    };
    for (name, value) in fields {
        match find(descriptor, name) {
            Some(field) => one_field(at, &field, name, value),
            None => at.field(name).refuse(format!("is no field of {}", descriptor.full_name())),
        }
    }
}

fn find(descriptor: &MessageDescriptor, name: &str) -> Option<FieldDescriptor> {
    descriptor.get_field_by_json_name(name).or_else(|| descriptor.get_field_by_name(name))
}

fn one_field(at: At<'_>, field: &FieldDescriptor, name: &str, value: &Value) {
    let element = if field.is_map() { map_value(field) } else { field.kind() };
    let Some(descriptor) = nested(&element) else {
        return leaf(at, field, name, value);
    };
    match value {
        Value::Null => {}
        Value::Object(all) if field.is_map() => {
            for (key, value) in all {
                element_of(at.key(name, key), &descriptor, value);
            }
        }
        Value::Array(all) if field.is_list() => {
            for (index, value) in all.iter().enumerate() {
                element_of(at.index(name, index), &descriptor, value);
            }
        }
        _ if field.is_map() => at.field(name).refuse("must be an object"),
        _ if field.is_list() => at.field(name).refuse("must be a list"),
        _ => element_of(at.field(name), &descriptor, value),
    }
}

fn map_value(field: &FieldDescriptor) -> Kind {
    match field.kind() {
        Kind::Message(entry) => entry.map_entry_value_field().kind(),
        kind => kind,
    }
}

/// The message to look into. Well-known types have a JSON form of their own and are leaves.
fn nested(kind: &Kind) -> Option<MessageDescriptor> {
    match kind {
        Kind::Message(descriptor) if !is_leaf(descriptor) => Some(descriptor.clone()),
        _ => None,
    }
}

fn is_leaf(descriptor: &MessageDescriptor) -> bool {
    descriptor.package_name() == "google.protobuf" && descriptor.full_name() != ANY
}

fn element_of(at: At<'_>, descriptor: &MessageDescriptor, value: &Value) {
    if descriptor.full_name() == ANY { any(at, descriptor, value) } else { message(at, descriptor, value) }
}

fn any(at: At<'_>, descriptor: &MessageDescriptor, value: &Value) {
    let Some(Value::String(url)) = value.get("@type") else {
        return at.field("@type").refuse("is required");
    };
    let name = url.rsplit('/').next().unwrap_or_default();
    let Some(payload) = descriptor.parent_pool().get_message_by_name(name) else {
        return at.refuse(format!("{name} is not supported"));
    };
    let Value::Object(fields) = value else { return };
    if is_leaf(&payload) {
        return attempt(at, descriptor, value);
    }
    let rest: Map<String, Value> =
        fields.iter().filter(|(key, _)| *key != "@type").map(|(k, v)| (k.clone(), v.clone())).collect();
    message(at, &payload, &Value::Object(rest));
}

/// Tries the field alone.
fn leaf(at: At<'_>, field: &FieldDescriptor, name: &str, value: &Value) {
    let alone = Value::Object(Map::from_iter([(name.to_owned(), value.clone())]));
    attempt(at.field(name), field.parent_message(), &alone);
}

fn attempt(at: At<'_>, descriptor: &MessageDescriptor, value: &Value) {
    if let Err(error) = DynamicMessage::deserialize(descriptor.clone(), value) {
        at.refuse(error.to_string());
    }
}
