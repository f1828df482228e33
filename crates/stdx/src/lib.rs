//! Small things the standard library lacks. Knows nothing of meshes, does no I/O.

mod boxed;
pub mod digest;
pub mod duration;
pub mod text;
pub mod turn;
mod waker;

pub use boxed::{boxed, pinned};
pub use digest::{Digest, digest};
pub use text::Str;
pub use waker::WakerId;
