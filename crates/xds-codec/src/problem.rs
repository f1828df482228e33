//! What is wrong with a message.

use std::fmt;

use stdx::Str;

/// One thing in a message that cannot be honoured.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Problem {
    /// Where in the message: `filter_chains[2].filters[0].typed_config.route_config`. Empty if the
    /// message as a whole could not be read.
    pub path: Str,
    /// A sentence without the path.
    pub message: Str,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.path, self.message)
        }
    }
}

/// Why a message was refused: every reason at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// The resource's name, if the message could be read that far.
    pub name: Option<Str>,
    /// Never empty.
    pub problems: Vec<Problem>,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.name {
            write!(f, "{name}: ")?;
        }
        for (index, problem) in self.problems.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for DecodeError {}
