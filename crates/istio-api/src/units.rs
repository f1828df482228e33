//! Values that several kinds share.

use std::fmt;

use model::Str;

use crate::reader::{Item, Read};
use crate::schema::double;
use crate::schema::macros::message;

/// A percentage, kept in millionths of the whole: Envoy's finest unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent(u32);

impl Percent {
    pub const ALL: Percent = Percent(1_000_000);

    /// `None` unless 0 to 100.
    pub fn new(value: f64) -> Option<Self> {
        // The cast is of a value from 0 to 1,000,000.
        (0.0..=100.0).contains(&value).then(|| Percent((value * 10_000.0).round() as u32))
    }

    /// Parts of 1,000,000.
    pub fn millionths(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", f64::from(self.0) / 10_000.0)
    }
}

message! {
    /// A percentage, with four digits behind the point at most.
    table PERCENT {
        "value" = double(),
    }
}

/// As Istio writes it: `{value: 12.5}`.
impl Read for Percent {
    fn read(item: &Item<'_>) -> Option<Self> {
        let fields = item.object()?;
        let value = fields.get("value");
        fields.finish();
        value?.percent()
    }
}

/// A port of a container or service, by number or by the name that a container gives it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PortRef {
    Number(u16),
    Name(Str),
}

impl fmt::Display for PortRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PortRef::Number(number) => write!(f, "{number}"),
            PortRef::Name(name) => write!(f, "{name}"),
        }
    }
}

/// A condition on a string.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StringMatch {
    Exact(Str),
    Prefix(Str),
    /// RE2 syntax; the whole string must match.
    Regex(Str),
}

/// Names that resources are exported to: namespaces, `.` (its own), `*` (all), `~` (none).
pub type ExportTo = Vec<Str>;
