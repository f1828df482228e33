//! Heads of either protocol behind one face. They have one form, HTTP/1's: the engine of HTTP/2 reads and
//! writes it, too. What differs is said where it differs.

mod request;
mod response;
mod websocket;

pub use request::RequestHead;
pub use response::ResponseHead;
pub(crate) use websocket::switched;
