//! What is reported to people about their configuration.

use std::fmt;

use stdx::Str;

use crate::{ObjectRef, Place};

/// How bad a finding is, in istioctl's three levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Something does not take effect that should.
    Error,
    Warning,
    Info,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Level::Error => "Error",
            Level::Warning => "Warning",
            Level::Info => "Info",
        })
    }
}

/// One thing somebody should know about their configuration: a broken document, a field
/// without effect, a reference to nothing. `Eq` and ordered, so that a set of findings can
/// be compared with the set before it and only news is printed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Finding {
    pub level: Level,
    /// A stable code: Istio's (`IST0101`) where Istio has one, else ours (`LTN…`).
    pub code: &'static str,
    pub object: Option<ObjectRef>,
    /// The field path inside the object, empty if the finding is about the whole of it.
    pub field: Str,
    pub place: Option<Place>,
    /// A sentence, without the object and the place.
    pub message: Str,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        write!(f, "{} [{}]", self.level, self.code)?;
        if let Some(object) = &self.object {
            write!(f, " ({object})")?;
        }
        if !self.field.is_empty() {
            write!(f, " {}:", self.field)?;
        }
        write!(f, " {}", self.message)
    }
}
