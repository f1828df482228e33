//! `google.protobuf.Any`: a message whose type is said beside its fields.

use prost::Message;
use prost_reflect::{DynamicMessage, MessageDescriptor};
use serde::de::{Deserializer, Error, MapAccess};
use serde_json::{Map, Value};

use super::shape::is_leaf;
use super::{Output, Place, Wanted, fields, skip};
use crate::decode::at::At;

const TYPE: &str = "@type";
/// Fields of an `Any`.
const URL: u32 = 1;
const VALUE: u32 = 2;

/// The fields of an `Any`. Usually the type comes first; else everything is collected until it comes.
pub(super) fn any<'de, A: MapAccess<'de>>(
    at: At<'_>,
    descriptor: &MessageDescriptor,
    out: &mut Output<'_>,
    mut map: A,
) -> Result<(), A::Error> {
    let mut before = Map::new();
    while let Some(name) = map.next_key::<String>()? {
        let value: Value = map.next_value()?;
        if name != TYPE {
            before.insert(name, value);
            continue;
        }
        let Some((url, payload)) = payload(at, descriptor, value) else { return skip(&mut map) };
        if before.is_empty() && !is_leaf(&payload) {
            out.wire.text(URL, &url);
            let mark = out.wire.open(VALUE);
            let shape = out.shapes.of(&payload);
            fields(at, &shape, out, map)?;
            out.wire.close(mark);
            return Ok(());
        }
        while let Some((name, value)) = map.next_entry()? {
            before.insert(name, value);
        }
        return collected(at, descriptor, out, (url, payload), before).map_err(A::Error::custom);
    }
    at.field(TYPE).refuse("is required");
    Ok(())
}

fn payload(at: At<'_>, descriptor: &MessageDescriptor, url: Value) -> Option<(String, MessageDescriptor)> {
    let Value::String(url) = url else {
        at.field(TYPE).refuse("is required");
        return None;
    };
    let name = url.rsplit_once('/').map_or("", |(_, name)| name);
    let Some(payload) = descriptor.parent_pool().get_message_by_name(name) else {
        at.refuse(format!("{} is not supported", if name.is_empty() { &url } else { name }));
        return None;
    };
    Some((url, payload))
}

fn collected(
    at: At<'_>,
    descriptor: &MessageDescriptor,
    out: &mut Output<'_>,
    (url, payload): (String, MessageDescriptor),
    mut rest: Map<String, Value>,
) -> Result<(), serde_json::Error> {
    if is_leaf(&payload) {
        // A form of its own, under the key `value`.
        rest.insert(TYPE.to_owned(), Value::String(url));
        match DynamicMessage::deserialize(descriptor.clone(), Value::Object(rest)) {
            Ok(any) => out.wire.raw(&any.encode_to_vec()),
            Err(error) => at.refuse(error.to_string()),
        }
        return Ok(());
    }
    out.wire.text(URL, &url);
    let mark = out.wire.open(VALUE);
    let shape = out.shapes.of(&payload);
    let place = Place { at, wanted: Wanted::Root(&shape), null_is_absent: false, out: &mut *out };
    Value::Object(rest).deserialize_any(place)?;
    out.wire.close(mark);
    Ok(())
}
