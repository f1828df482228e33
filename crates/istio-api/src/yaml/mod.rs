//! YAML as a tree in which every value knows where it was written.

mod load;
mod node;
mod resolve;
mod split;

pub(crate) use load::load;
pub(crate) use node::same_name;
pub use node::{Entry, Node, Scalar, Value};
pub use resolve::int;
pub(crate) use split::{Chunk, split};

/// Why a document could not be read. Line and column count from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    pub line: u32,
    pub column: u32,
    pub message: String,
    /// Whether the text is over one of our limits, not wrong.
    pub limit: bool,
}

/// What can be read of a text with many documents: a broken document costs only itself. What is
/// wrong with the others is said by [`parse_stream`](crate::parse_stream).
pub fn documents(text: &str) -> Vec<Node> {
    split(text).into_iter().flat_map(|chunk| load(chunk).unwrap_or_default()).collect()
}

/// The one document of a text, or why there is none: for a text inside a field of an object.
/// `lines_before` is added to the lines of its places.
pub fn document(text: &str, lines_before: u32) -> Result<Option<Node>, SyntaxError> {
    Ok(load(split::Chunk { text, lines_before })?.into_iter().next())
}
