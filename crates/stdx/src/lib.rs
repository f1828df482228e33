//! Small things the standard library lacks. Knows nothing of meshes, does no I/O.

pub mod digest;
pub mod duration;
pub mod text;

pub use digest::{Digest, digest};
pub use text::Str;
