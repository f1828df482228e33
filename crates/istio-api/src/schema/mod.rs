//! What an Istio object may look like: one table per message, from which come the structural
//! check of what people write ([`check`]) and the CustomResourceDefinitions ([`crd`]).
//!
//! The tables are written with `message!`, next to the types that are read from them. The
//! notation follows Kubernetes' structural schemas:
//! <https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/>.

pub(crate) mod catalog;
pub(crate) mod check;
mod crd;
mod emit;
pub(crate) mod macros;
pub(crate) mod rules;
mod status;

pub use catalog::{Column, Resource, resources};
pub use crd::definitions;
pub use rules::{Pattern, Rule};

/// An object with named fields.
#[derive(Debug)]
pub struct Message {
    /// As in Istio's reference, for people.
    pub about: &'static str,
    pub fields: &'static [Field],
    /// At most one field of each list may be present.
    pub one_of: &'static [&'static [&'static str]],
    /// What must hold of the object as a whole.
    pub rules: &'static [Rule],
    /// The fields are conditions, all of which must hold: one that is not understood closes what
    /// it restricts, and does not make the whole object unusable.
    pub conditions: bool,
}

/// A field of a [`Message`].
#[derive(Debug)]
pub struct Field {
    /// In camelCase; its snake_case twin is understood too.
    pub name: &'static str,
    pub about: &'static str,
    pub schema: Schema,
}

/// What a value may be.
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    pub shape: Shape,
    /// Whether its absence makes the object around it invalid.
    pub required: bool,
    pub nullable: bool,
    /// Bounds of a number's value, a text's length in characters, or a list's or map's size.
    pub min: Option<i64>,
    pub max: Option<i64>,
    pub pattern: Option<&'static Pattern>,
    pub rules: &'static [Rule],
    /// The field by which the items of a list are told apart, if there is one.
    pub key: Option<&'static str>,
}

#[derive(Clone, Copy, Debug)]
pub enum Shape {
    Text,
    /// A text in base64.
    Bytes,
    /// A text in RFC 3339.
    Time,
    Bool,
    /// 32 bits, signed.
    Int32,
    /// Bounded by the schema alone.
    Int,
    Double,
    IntOrText,
    /// One of these names. Istio also takes a name's position in the list, as protobuf does.
    Choice(&'static [&'static str]),
    List(&'static Schema),
    Map(&'static Schema),
    Object(&'static Message),
    /// An object of any content.
    Free,
}

impl Schema {
    const fn of(shape: Shape) -> Self {
        Schema {
            shape,
            required: false,
            nullable: false,
            min: None,
            max: None,
            pattern: None,
            rules: &[],
            key: None,
        }
    }

    pub(crate) const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    pub(crate) const fn nullable(mut self) -> Self {
        self.nullable = true;
        self
    }

    pub(crate) const fn min(mut self, min: i64) -> Self {
        self.min = Some(min);
        self
    }

    pub(crate) const fn max(mut self, max: i64) -> Self {
        self.max = Some(max);
        self
    }

    pub(crate) const fn pattern(mut self, pattern: &'static Pattern) -> Self {
        self.pattern = Some(pattern);
        self
    }

    pub(crate) const fn rules(mut self, rules: &'static [Rule]) -> Self {
        self.rules = rules;
        self
    }

    pub(crate) const fn key(mut self, key: &'static str) -> Self {
        self.key = Some(key);
        self
    }
}

pub(crate) const fn text() -> Schema {
    Schema::of(Shape::Text)
}

pub(crate) const fn boolean() -> Schema {
    Schema::of(Shape::Bool)
}

pub(crate) const fn int32() -> Schema {
    Schema::of(Shape::Int32)
}

/// 32 bits, unsigned.
pub(crate) const fn uint32() -> Schema {
    Schema::of(Shape::Int).min(0).max(u32::MAX as i64)
}

/// 64 bits, unsigned.
pub(crate) const fn uint64() -> Schema {
    Schema::of(Shape::Int).min(0)
}

/// A whole number from `min` to `max`.
pub(crate) const fn range(min: i64, max: i64) -> Schema {
    Schema::of(Shape::Int).min(min).max(max)
}

pub(crate) const fn double() -> Schema {
    Schema::of(Shape::Double)
}

/// A percentage as a number.
pub(crate) const fn percent() -> Schema {
    double().min(0).max(100).nullable()
}

/// A duration of at least one millisecond.
pub(crate) const fn duration() -> Schema {
    text().rules(rules::DURATION)
}

/// A port: 1 to 65535.
pub(crate) const fn port() -> Schema {
    uint32().rules(rules::PORT)
}

pub(crate) const fn bytes() -> Schema {
    Schema::of(Shape::Bytes)
}

pub(crate) const fn time() -> Schema {
    Schema::of(Shape::Time)
}

pub(crate) const fn int_or_text() -> Schema {
    Schema::of(Shape::IntOrText)
}

pub(crate) const fn choice(names: &'static [&'static str]) -> Schema {
    Schema::of(Shape::Choice(names))
}

pub(crate) const fn list(item: &'static Schema) -> Schema {
    Schema::of(Shape::List(item))
}

pub(crate) const fn map(value: &'static Schema) -> Schema {
    Schema::of(Shape::Map(value))
}

pub(crate) const fn object(message: &'static Message) -> Schema {
    Schema::of(Shape::Object(message))
}

pub(crate) const fn free() -> Schema {
    Schema::of(Shape::Free)
}

/// A list of texts.
pub(crate) const fn texts() -> Schema {
    list(&TEXT)
}

/// A map of texts.
pub(crate) const fn text_map() -> Schema {
    map(&TEXT)
}

const TEXT: Schema = text();
