//! Why a configuration could not be compiled.

use std::fmt;

/// What is wrong and where, inside one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// A path such as `virtual_hosts[0].routes[2].match.headers[0]`.
    pub field: String,
    pub message: String,
}

impl Problem {
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Problem { field: field.into(), message: message.into() }
    }

    /// The same problem, seen from the message that `field` is a part of.
    pub fn inside(mut self, parent: impl fmt::Display) -> Self {
        self.field =
            if self.field.is_empty() { parent.to_string() } else { format!("{parent}.{}", self.field) };
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.field, self.message)
        }
    }
}

impl std::error::Error for Problem {}
