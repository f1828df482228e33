//! Dynamic metadata: what filters tell those after them about a request.

use std::collections::BTreeMap;

use stdx::Str;

use crate::StringMatcher;
pub use crate::bootstrap::Json;

/// Values by key, by the name of the filter that wrote them.
pub type Metadata = BTreeMap<Str, BTreeMap<Str, Json>>;

/// `envoy.type.matcher.v3.MetadataMatcher`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MetadataMatcher {
    pub filter: Str,
    /// Keys, each inside of the one before; at least one.
    pub path: Vec<Str>,
    pub value: ValueMatcher,
    pub invert: bool,
}

/// `envoy.type.matcher.v3.ValueMatcher`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ValueMatcher {
    Null,
    Bool(bool),
    Text(StringMatcher),
    /// There is some value.
    Present,
    /// A list, one of whose values matches.
    List(Box<ValueMatcher>),
    Or(Vec<ValueMatcher>),
}
