//! JSON to the bytes of the message that it is, in one pass and without a tree in between: a
//! bootstrap may have thousands of clusters. Every mistake is reported with its path; what protobuf
//! offers instead stops at the first one and does not say where.

mod any;
mod leaf;
mod shape;
#[cfg(test)]
mod tests;
mod wire;

use std::fmt;

use prost_reflect::MessageDescriptor;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::decode::at::At;
use shape::{FieldShape, Form, Shape, Shapes};
use wire::Wire;

/// Takes a static resource: the field it is in, its index there, its bytes.
pub(super) type TakeResource<'a> = &'a mut dyn FnMut(&str, usize, &[u8]);

/// Where bytes go.
pub(super) struct Output<'a> {
    wire: Wire,
    shapes: Shapes,
    /// Takes elements of `static_resources` as soon as they are written and without mistake, so that
    /// only one of them is in memory. They are no part of the bytes.
    take: TakeResource<'a>,
}

impl<'a> Output<'a> {
    pub(super) fn new(take: TakeResource<'a>) -> Self {
        Output { wire: Wire::default(), shapes: Shapes::default(), take }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.wire.into_bytes()
    }
}

/// A message that is the whole of `from`, at the end of `out`. Mistakes go to the sink of `at`.
///
/// # Errors
/// Of the syntax.
pub(super) fn message<'de, D: Deserializer<'de>>(
    at: At<'_>,
    descriptor: &MessageDescriptor,
    out: &mut Output<'_>,
    from: D,
) -> Result<(), D::Error> {
    let shape = out.shapes.of(descriptor);
    Place { at, wanted: Wanted::Root(&shape), null_is_absent: false, out }.deserialize(from)
}

/// What has to be at a place.
#[derive(Clone, Copy)]
enum Wanted<'a> {
    /// A message without a field around it.
    Root(&'a Shape),
    /// A message in a field of this number.
    Message(u32, &'a Shape),
    /// Messages, in this field, which the text calls so.
    List(&'a FieldShape, &'a str, &'a Shape),
    Map(&'a FieldShape, &'a str, &'a Shape),
}

/// A place in the text, what it has to be, and where it goes.
struct Place<'a, 'o> {
    at: At<'a>,
    wanted: Wanted<'a>,
    null_is_absent: bool,
    out: &'a mut Output<'o>,
}

impl Place<'_, '_> {
    fn refuse(&self) {
        match self.wanted {
            Wanted::Root(shape) | Wanted::Message(_, shape) if !shape.is_any => {
                self.at.refuse(format!("must be an object, {} in JSON", shape.descriptor.name()));
            }
            Wanted::Root(_) | Wanted::Message(..) => self.at.field("@type").refuse("is required"),
            Wanted::List(_, name, _) => self.at.field(name).refuse("must be a list"),
            Wanted::Map(_, name, _) => self.at.field(name).refuse("must be an object"),
        }
    }

    fn refuse_scalar<E>(self) -> Result<(), E> {
        self.refuse();
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Place<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Place<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        match self.wanted {
            Wanted::Root(shape) => fields(self.at, shape, self.out, map),
            Wanted::Message(number, shape) => {
                let mark = self.out.wire.open(number);
                if shape.is_any {
                    any::any(self.at, &shape.descriptor, self.out, map)?;
                } else {
                    fields(self.at, shape, self.out, map)?;
                }
                self.out.wire.close(mark);
                Ok(())
            }
            Wanted::Map(field, name, shape) => entries(self.at, field, name, shape, self.out, map),
            Wanted::List(..) => {
                self.refuse();
                skip(&mut map)
            }
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        match self.wanted {
            Wanted::List(field, name, shape) => elements(self.at, field, name, shape, self.out, list),
            _ => {
                self.refuse();
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(())
            }
        }
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        if self.null_is_absent { Ok(()) } else { self.refuse_scalar() }
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.refuse_scalar()
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.refuse_scalar()
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.refuse_scalar()
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.refuse_scalar()
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        self.refuse_scalar()
    }
}

/// The fields of a message.
fn fields<'de, A: MapAccess<'de>>(
    at: At<'_>,
    shape: &Shape,
    out: &mut Output<'_>,
    mut map: A,
) -> Result<(), A::Error> {
    let mut set = Set::default();
    while let Some(key) = map.next_key_seed(KeyOf(shape))? {
        let (name, field) = match key {
            Key::Field(name, field) => (name, field),
            Key::Unknown(name) => {
                at.field(&name).refuse(format!("is no field of {}", shape.descriptor.full_name()));
                map.next_value::<IgnoredAny>()?;
                continue;
            }
        };
        let before = out.wire.len();
        map.next_value_seed(Field { at, field, name, out })?;
        set.note(at.field(name), field, out.wire.len() > before);
    }
    Ok(())
}

/// A key of an object that is a message.
enum Key<'a> {
    Field(&'a str, &'a FieldShape),
    Unknown(String),
}

struct KeyOf<'a>(&'a Shape);

impl<'de, 'a> DeserializeSeed<'de> for KeyOf<'a> {
    type Value = Key<'a>;
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Key<'a>, D::Error> {
        from.deserialize_str(self)
    }
}

impl<'de, 'a> Visitor<'de> for KeyOf<'a> {
    type Value = Key<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Key<'a>, E> {
        let known = self.0.field(name).map(|(name, field)| Key::Field(name, field));
        Ok(known.unwrap_or_else(|| Key::Unknown(name.to_owned())))
    }
}

/// Fields that were there. Protobuf would merge what comes twice; JSON has no such thing.
#[derive(Default)]
struct Set {
    fields: u128,
    oneofs: u64,
}

impl Set {
    fn note(&mut self, at: At<'_>, field: &FieldShape, written: bool) {
        if self.fields & field.bit != 0 {
            return at.refuse("is there twice");
        }
        self.fields |= field.bit;
        // `null` is not there.
        if !written {
            return;
        }
        if self.oneofs & field.oneof != 0 {
            let oneof = field.descriptor.containing_oneof();
            let name = oneof.as_ref().map_or("", |oneof| oneof.name());
            return at.refuse(format!("another field of the oneof {name} is there, too"));
        }
        self.oneofs |= field.oneof;
    }
}

/// One field's value.
struct Field<'a, 'o> {
    at: At<'a>,
    field: &'a FieldShape,
    name: &'a str,
    out: &'a mut Output<'o>,
}

impl<'de> DeserializeSeed<'de> for Field<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        let Field { at, field, name, out } = self;
        let link = match &field.form {
            Form::Leaf(leaf) => return leaf::leaf(at, field, leaf, name, out, from),
            Form::Message(link) | Form::List(link) | Form::Map(link) => link,
        };
        let (at_field, shape) = (at.field(name), link.follow(&out.shapes));
        let (at, wanted) = match &field.form {
            Form::List(_) => (at, Wanted::List(field, name, &shape)),
            Form::Map(_) => (at, Wanted::Map(field, name, &shape)),
            _ => (at_field, Wanted::Message(field.number, &shape)),
        };
        Place { at, wanted, null_is_absent: true, out }.deserialize(from)
    }
}

fn elements<'de, A: SeqAccess<'de>>(
    at: At<'_>,
    field: &FieldShape,
    name: &str,
    shape: &Shape,
    out: &mut Output<'_>,
    mut list: A,
) -> Result<(), A::Error> {
    let wanted = match field.has_resources {
        true => Wanted::Root(shape),
        false => Wanted::Message(field.number, shape),
    };
    for index in 0.. {
        let (start, problems) = (out.wire.len(), at.problems());
        let place = Place { at: at.index(name, index), wanted, null_is_absent: false, out: &mut *out };
        if list.next_element_seed(place)?.is_none() {
            break;
        }
        if field.has_resources {
            if at.problems() == problems {
                (out.take)(field.descriptor.name(), index, out.wire.since(start));
            }
            out.wire.truncate(start);
        }
    }
    Ok(())
}

/// A map's entry is a message of key and value.
fn entries<'de, A: MapAccess<'de>>(
    at: At<'_>,
    field: &FieldShape,
    name: &str,
    shape: &Shape,
    out: &mut Output<'_>,
    mut map: A,
) -> Result<(), A::Error> {
    while let Some(key) = map.next_key::<String>()? {
        let entry = out.wire.open(field.number);
        out.wire.text(1, &key);
        let (at, wanted) = (at.key(name, &key), Wanted::Message(2, shape));
        map.next_value_seed(Place { at, wanted, null_is_absent: false, out: &mut *out })?;
        out.wire.close(entry);
    }
    Ok(())
}

fn skip<'de, A: MapAccess<'de>>(map: &mut A) -> Result<(), A::Error> {
    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}
