//! What of a descriptor matters here, found out once per type: a bootstrap says the same few dozen
//! fields hundreds of thousands of times.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};

use foldhash::fast::RandomState;
use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};

const ANY: &str = "google.protobuf.Any";
const STATIC_RESOURCES: &str = "envoy.config.bootstrap.v3.Bootstrap.StaticResources";

/// The types that were met.
#[derive(Default)]
pub(super) struct Shapes {
    by_name: RefCell<HashMap<String, Rc<Shape>, RandomState>>,
}

impl Shapes {
    pub fn of(&self, descriptor: &MessageDescriptor) -> Rc<Shape> {
        if let Some(known) = self.by_name.borrow().get(descriptor.full_name()) {
            return known.clone();
        }
        let shape = Rc::new(Shape::new(descriptor.clone()));
        self.by_name.borrow_mut().insert(descriptor.full_name().to_owned(), shape.clone());
        shape
    }
}

/// A type of message.
pub(super) struct Shape {
    pub descriptor: MessageDescriptor,
    pub is_any: bool,
    fields: Vec<FieldShape>,
    /// Their indices, by the names that they have in JSON and in the `.proto`.
    names: HashMap<String, usize, RandomState>,
}

impl Shape {
    fn new(descriptor: MessageDescriptor) -> Self {
        let fields: Vec<FieldShape> =
            descriptor.fields().enumerate().map(|(index, field)| FieldShape::new(index, field)).collect();
        let mut names = HashMap::with_capacity_and_hasher(fields.len() * 2, RandomState::default());
        for (index, field) in fields.iter().enumerate() {
            names.insert(field.descriptor.json_name().to_owned(), index);
        }
        for (index, field) in fields.iter().enumerate() {
            names.entry(field.descriptor.name().to_owned()).or_insert(index);
        }
        Shape { is_any: descriptor.full_name() == ANY, descriptor, fields, names }
    }

    /// The field of this name, and the name.
    pub fn field(&self, name: &str) -> Option<(&str, &FieldShape)> {
        let (name, index) = self.names.get_key_value(name)?;
        self.fields.get(*index).map(|field| (name.as_str(), field))
    }
}

/// A field of a message.
pub(super) struct FieldShape {
    pub descriptor: FieldDescriptor,
    pub number: u32,
    pub form: Form,
    /// It is one of `static_resources`, whose elements are taken one by one.
    pub has_resources: bool,
    /// Its index among the fields, as a bit.
    pub bit: u128,
    /// The index of its oneof among the message's, as a bit; 0 without one.
    pub oneof: u64,
}

/// What a field's value looks like.
pub(super) enum Form {
    Message(Link),
    List(Link),
    /// From texts to messages.
    Map(Link),
    Leaf(Leaf),
}

/// A field without messages of ours in it. Well-known types have a JSON form of their own.
pub(super) enum Leaf {
    Text,
    Texts,
    Flag,
    /// `uint32`.
    Number,
    Enum(EnumDescriptor),
    /// `google.protobuf.BoolValue`.
    FlagValue,
    /// `google.protobuf.UInt32Value`.
    NumberValue,
    /// `google.protobuf.Duration`.
    Duration,
    Other,
}

/// A type that a field refers to. Types refer to each other in circles: [`Shapes`] owns them.
pub(super) struct Link {
    descriptor: MessageDescriptor,
    shape: OnceCell<Weak<Shape>>,
}

impl Link {
    fn new(descriptor: MessageDescriptor) -> Self {
        Link { descriptor, shape: OnceCell::new() }
    }

    pub fn follow(&self, shapes: &Shapes) -> Rc<Shape> {
        self.shape.get().and_then(Weak::upgrade).unwrap_or_else(|| {
            let shape = shapes.of(&self.descriptor);
            let _ = self.shape.set(Rc::downgrade(&shape));
            shape
        })
    }
}

impl FieldShape {
    fn new(index: usize, descriptor: FieldDescriptor) -> Self {
        let message = descriptor.parent_message();
        let oneof = descriptor.containing_oneof();
        let oneof = oneof.and_then(|own| message.oneofs().position(|it| it.name() == own.name()));
        FieldShape {
            number: descriptor.number(),
            form: form(&descriptor),
            has_resources: message.full_name() == STATIC_RESOURCES,
            bit: 1 << index,
            oneof: oneof.map_or(0, |index| 1 << index),
            descriptor,
        }
    }
}

fn form(field: &FieldDescriptor) -> Form {
    let kind = match field.kind() {
        Kind::Message(entry) if field.is_map() => match entry.map_entry_key_field().kind() {
            Kind::String => entry.map_entry_value_field().kind(),
            _ => return Form::Leaf(Leaf::Other),
        },
        kind => kind,
    };
    match kind {
        Kind::Message(descriptor) if !is_leaf(&descriptor) => {
            let link = Link::new(descriptor);
            match (field.is_list(), field.is_map()) {
                (true, _) => Form::List(link),
                (_, true) => Form::Map(link),
                _ => Form::Message(link),
            }
        }
        _ if field.is_map() => Form::Leaf(Leaf::Other),
        Kind::String if field.is_list() => Form::Leaf(Leaf::Texts),
        _ if field.is_list() => Form::Leaf(Leaf::Other),
        kind => Form::Leaf(leaf(kind)),
    }
}

/// The most frequent ones are written directly.
fn leaf(kind: Kind) -> Leaf {
    match kind {
        Kind::String => Leaf::Text,
        Kind::Bool => Leaf::Flag,
        Kind::Uint32 => Leaf::Number,
        Kind::Enum(names) => Leaf::Enum(names),
        Kind::Message(known) => match known.full_name() {
            "google.protobuf.BoolValue" => Leaf::FlagValue,
            "google.protobuf.UInt32Value" => Leaf::NumberValue,
            "google.protobuf.Duration" => Leaf::Duration,
            _ => Leaf::Other,
        },
        _ => Leaf::Other,
    }
}

/// Whether a message has a JSON form of its own.
pub(super) fn is_leaf(descriptor: &MessageDescriptor) -> bool {
    descriptor.package_name() == "google.protobuf" && descriptor.full_name() != ANY
}

#[cfg(test)]
mod tests {
    use crate::json::pool::Pool;

    #[test]
    fn a_bit_per_field_and_oneof_is_enough() {
        let pool = Pool::new();
        for message in pool.bootstrap().parent_pool().all_messages() {
            let (fields, oneofs) = (message.fields().count(), message.oneofs().count());
            assert!(fields <= 128 && oneofs <= 64, "{}: {fields} fields", message.full_name());
        }
    }
}
