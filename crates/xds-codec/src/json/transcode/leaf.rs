//! Scalars and well-known types.

use std::fmt;

use prost::Message;
use prost_reflect::DynamicMessage;
use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::Output;
use super::shape::{FieldShape, Leaf};
use super::wire::Wire;
use crate::decode::at::At;

/// A field without messages of ours in it.
pub(super) fn leaf<'de, D: Deserializer<'de>>(
    at: At<'_>,
    field: &FieldShape,
    leaf: &Leaf,
    name: &str,
    out: &mut Output<'_>,
    from: D,
) -> Result<(), D::Error> {
    let left = from.deserialize_any(Scalar { number: field.number, leaf, wire: &mut out.wire })?;
    if let Some(value) = left {
        alone(at.field(name), field, name, value, out);
    }
    Ok(())
}

/// Writes the most frequent ones directly, and gives back the others, and what is wrong.
struct Scalar<'a> {
    number: u32,
    leaf: &'a Leaf,
    wire: &'a mut Wire,
}

impl Scalar<'_> {
    /// A message of one number. Protobuf writes none that is 0.
    fn wrapped(self, value: u64) {
        let mark = self.wire.open(self.number);
        if value != 0 {
            self.wire.number(1, value);
        }
        self.wire.close(mark);
    }
}

impl<'de> Visitor<'de> for Scalar<'_> {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        match self.leaf {
            Leaf::Text => self.wire.text(self.number, text),
            Leaf::Enum(names) => match names.get_value_by_name(text) {
                // Protobuf extends the sign of what is negative.
                Some(value) => self.wire.number(self.number, i64::from(value.number()) as u64),
                None => return Ok(Some(text.into())),
            },
            Leaf::Duration => match whole_seconds(text) {
                Some(seconds) => self.wrapped(seconds),
                None => return Ok(Some(text.into())),
            },
            _ => return Ok(Some(text.into())),
        }
        Ok(None)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        match self.leaf {
            Leaf::Flag => self.wire.number(self.number, u64::from(value)),
            Leaf::FlagValue => self.wrapped(u64::from(value)),
            _ => return Ok(Some(value.into())),
        }
        Ok(None)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        match self.leaf {
            _ if value > u64::from(u32::MAX) => return Ok(Some(value.into())),
            Leaf::Number => self.wire.number(self.number, value),
            Leaf::NumberValue => self.wrapped(value),
            _ => return Ok(Some(value.into())),
        }
        Ok(None)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Some(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Some(value.into()))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Some(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        let value = Value::deserialize(SeqAccessDeserializer::new(list))?;
        match (self.leaf, &value) {
            (Leaf::Texts, Value::Array(all)) if all.iter().all(Value::is_string) => {
                let texts = all.iter().filter_map(Value::as_str);
                texts.for_each(|text| self.wire.text(self.number, text));
                Ok(None)
            }
            _ => Ok(Some(value)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Value::deserialize(MapAccessDeserializer::new(map)).map(Some)
    }
}

/// The most seconds that protobuf allows, about 10,000 years.
const MAX_SECONDS: u64 = 315_576_000_000;

/// `10s`, and nothing with a fraction or a sign.
fn whole_seconds(text: &str) -> Option<u64> {
    let digits = text.strip_suffix('s')?;
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().filter(|seconds| *seconds <= MAX_SECONDS)
}

/// The field as a message of its own: protobuf merges messages that follow each other.
fn alone(at: At<'_>, field: &FieldShape, name: &str, value: Value, out: &mut Output<'_>) {
    let fields = Value::Object(Map::from_iter([(name.to_owned(), value)]));
    match DynamicMessage::deserialize(field.descriptor.parent_message().clone(), fields) {
        Ok(message) => out.wire.raw(&message.encode_to_vec()),
        Err(error) => at.refuse(error.to_string()),
    }
}
