//! YAML as a tree in which every value knows where it was written.

mod load;
mod node;
mod resolve;
mod split;

pub(crate) use load::load;
pub(crate) use node::{Entry, Node, Scalar, Value};
pub(crate) use resolve::int;
pub(crate) use split::split;

/// Why a document could not be read. Line and column count from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub line: u32,
    pub column: u32,
    pub message: String,
    /// Whether the text is over one of our limits, not wrong.
    pub limit: bool,
}
