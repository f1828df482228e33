//! Scalars and well-known types.

use prost::Message;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind};
use serde::Deserialize;
use serde::de::Deserializer;
use serde_json::{Map, Value};

use super::Output;
use crate::decode::at::At;

/// A field without messages of ours in it.
pub(super) fn leaf<'de, D: Deserializer<'de>>(
    at: At<'_>,
    field: &FieldDescriptor,
    name: &str,
    out: &mut Output<'_>,
    from: D,
) -> Result<(), D::Error> {
    let value = Value::deserialize(from)?;
    if !simple(field, &value, out) {
        alone(at.field(name), field, name, value, out);
    }
    Ok(())
}

/// The most frequent ones, directly; `false`: it is none of them, or wrong.
fn simple(field: &FieldDescriptor, value: &Value, out: &mut Output<'_>) -> bool {
    let number = field.number();
    match (field.kind(), value) {
        _ if field.is_map() => return false,
        (Kind::String, Value::Array(all)) if field.is_list() && all.iter().all(Value::is_string) => {
            all.iter().filter_map(Value::as_str).for_each(|text| out.wire.text(number, text));
        }
        _ if field.is_list() => return false,
        (Kind::String, Value::String(text)) => out.wire.text(number, text),
        (Kind::Bool, Value::Bool(value)) => out.wire.number(number, u64::from(*value)),
        (Kind::Uint32, Value::Number(value)) => {
            match value.as_u64().filter(|value| *value <= u64::from(u32::MAX)) {
                Some(value) => out.wire.number(number, value),
                None => return false,
            }
        }
        _ => return false,
    }
    true
}

/// The field as a message of its own: protobuf merges messages that follow each other.
fn alone(at: At<'_>, field: &FieldDescriptor, name: &str, value: Value, out: &mut Output<'_>) {
    let fields = Value::Object(Map::from_iter([(name.to_owned(), value)]));
    match DynamicMessage::deserialize(field.parent_message().clone(), fields) {
        Ok(message) => out.wire.raw(&message.encode_to_vec()),
        Err(error) => at.refuse(error.to_string()),
    }
}
