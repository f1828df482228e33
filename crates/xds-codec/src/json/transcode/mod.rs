//! JSON to the bytes of the message that it is, in one pass and without a tree in between: a
//! bootstrap may have thousands of clusters. Every mistake is reported with its path; what protobuf
//! offers instead stops at the first one and does not say where.

mod any;
mod leaf;
mod wire;

use std::fmt;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::decode::at::At;
use wire::Wire;

const ANY: &str = "google.protobuf.Any";
const STATIC_RESOURCES: &str = "envoy.config.bootstrap.v3.Bootstrap.StaticResources";

/// Takes a static resource: the field it is in, its index there, its bytes.
pub(super) type TakeResource<'a> = &'a mut dyn FnMut(&str, usize, &[u8]);

/// Where bytes go.
pub(super) struct Output<'a> {
    wire: Wire,
    /// Takes elements of `static_resources` as soon as they are written and without mistake, so that
    /// only one of them is in memory. They are no part of the bytes.
    take: TakeResource<'a>,
}

impl<'a> Output<'a> {
    pub(super) fn new(take: TakeResource<'a>) -> Self {
        Output { wire: Wire::default(), take }
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
    Place { at, wanted: Wanted::Root(descriptor), null_is_absent: false, out }.deserialize(from)
}

/// What has to be at a place.
#[derive(Clone, Copy)]
enum Wanted<'a> {
    /// A message without a field around it.
    Root(&'a MessageDescriptor),
    /// A message in a field of this number.
    Message(u32, &'a MessageDescriptor),
    /// Messages, in a field of this name.
    List(&'a FieldDescriptor, &'a str, &'a MessageDescriptor),
    Map(&'a FieldDescriptor, &'a str, &'a MessageDescriptor),
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
            Wanted::Root(descriptor) | Wanted::Message(_, descriptor) if descriptor.full_name() != ANY => {
                self.at.refuse(format!("must be an object, {} in JSON", descriptor.name()));
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
            Wanted::Root(descriptor) => fields(self.at, descriptor, self.out, map),
            Wanted::Message(number, descriptor) => {
                let mark = self.out.wire.open(number);
                if descriptor.full_name() == ANY {
                    any::any(self.at, descriptor, self.out, map)?;
                } else {
                    fields(self.at, descriptor, self.out, map)?;
                }
                self.out.wire.close(mark);
                Ok(())
            }
            Wanted::Map(field, name, descriptor) => entries(self.at, field, name, descriptor, self.out, map),
            Wanted::List(..) => {
                self.refuse();
                skip(&mut map)
            }
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        match self.wanted {
            Wanted::List(field, name, descriptor) => {
                elements(self.at, field, name, descriptor, self.out, list)
            }
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
    descriptor: &MessageDescriptor,
    out: &mut Output<'_>,
    mut map: A,
) -> Result<(), A::Error> {
    let mut set = Set::default();
    while let Some(name) = map.next_key::<String>()? {
        let Some(field) = find(descriptor, &name) else {
            at.field(&name).refuse(format!("is no field of {}", descriptor.full_name()));
            map.next_value::<IgnoredAny>()?;
            continue;
        };
        let before = out.wire.len();
        map.next_value_seed(Field { at, field: &field, name: &name, out })?;
        set.note(at.field(&name), &field, out.wire.len() > before);
    }
    Ok(())
}

fn find(descriptor: &MessageDescriptor, name: &str) -> Option<FieldDescriptor> {
    descriptor.get_field_by_json_name(name).or_else(|| descriptor.get_field_by_name(name))
}

/// Fields that were there. Protobuf would merge what comes twice; JSON has no such thing.
#[derive(Default)]
struct Set {
    fields: Vec<u32>,
    oneofs: Vec<String>,
}

impl Set {
    fn note(&mut self, at: At<'_>, field: &FieldDescriptor, written: bool) {
        if self.fields.contains(&field.number()) {
            return at.refuse("is there twice");
        }
        self.fields.push(field.number());
        // `null` is not there.
        let Some(oneof) = field.containing_oneof().filter(|_| written) else { return };
        if self.oneofs.iter().any(|name| name == oneof.name()) {
            return at.refuse(format!("another field of the oneof {} is there, too", oneof.name()));
        }
        self.oneofs.push(oneof.name().to_owned());
    }
}

/// One field's value.
struct Field<'a, 'o> {
    at: At<'a>,
    field: &'a FieldDescriptor,
    name: &'a str,
    out: &'a mut Output<'o>,
}

impl<'de> DeserializeSeed<'de> for Field<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        let Field { at, field, name, out } = self;
        let Some(descriptor) = nested(field) else {
            return leaf::leaf(at, field, name, out, from);
        };
        let at_field = at.field(name);
        let (at, wanted) = match (field.is_list(), field.is_map()) {
            (true, _) => (at, Wanted::List(field, name, &descriptor)),
            (_, true) => (at, Wanted::Map(field, name, &descriptor)),
            _ => (at_field, Wanted::Message(field.number(), &descriptor)),
        };
        Place { at, wanted, null_is_absent: true, out }.deserialize(from)
    }
}

/// The message to look into. Well-known types have a JSON form of their own and are leaves.
fn nested(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    let kind = match field.kind() {
        Kind::Message(entry) if field.is_map() => match entry.map_entry_key_field().kind() {
            Kind::String => entry.map_entry_value_field().kind(),
            _ => return None,
        },
        kind => kind,
    };
    match kind {
        Kind::Message(descriptor) if !is_leaf(&descriptor) => Some(descriptor),
        _ => None,
    }
}

fn is_leaf(descriptor: &MessageDescriptor) -> bool {
    descriptor.package_name() == "google.protobuf" && descriptor.full_name() != ANY
}

fn elements<'de, A: SeqAccess<'de>>(
    at: At<'_>,
    field: &FieldDescriptor,
    name: &str,
    descriptor: &MessageDescriptor,
    out: &mut Output<'_>,
    mut list: A,
) -> Result<(), A::Error> {
    let are_resources = field.parent_message().full_name() == STATIC_RESOURCES;
    let wanted = match are_resources {
        true => Wanted::Root(descriptor),
        false => Wanted::Message(field.number(), descriptor),
    };
    for index in 0.. {
        let (start, problems) = (out.wire.len(), at.problems());
        let place = Place { at: at.index(name, index), wanted, null_is_absent: false, out: &mut *out };
        if list.next_element_seed(place)?.is_none() {
            break;
        }
        if are_resources {
            if at.problems() == problems {
                (out.take)(field.name(), index, out.wire.since(start));
            }
            out.wire.truncate(start);
        }
    }
    Ok(())
}

/// A map's entry is a message of key and value.
fn entries<'de, A: MapAccess<'de>>(
    at: At<'_>,
    field: &FieldDescriptor,
    name: &str,
    descriptor: &MessageDescriptor,
    out: &mut Output<'_>,
    mut map: A,
) -> Result<(), A::Error> {
    while let Some(key) = map.next_key::<String>()? {
        let entry = out.wire.open(field.number());
        out.wire.text(1, &key);
        let (at, wanted) = (at.key(name, &key), Wanted::Message(2, descriptor));
        map.next_value_seed(Place { at, wanted, null_is_absent: false, out: &mut *out })?;
        out.wire.close(entry);
    }
    Ok(())
}

fn skip<'de, A: MapAccess<'de>>(map: &mut A) -> Result<(), A::Error> {
    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}
