//! Heads of either protocol behind one face. They have one form, HTTP/1's: the engine of HTTP/2 reads and
//! writes it, too. What differs is said where it differs.

mod request;
mod response;
mod websocket;

pub use request::RequestHead;
pub use response::ResponseHead;
pub(crate) use websocket::switched;

fn number(value: &[u8]) -> Option<u64> {
    let plain = !value.is_empty() && value.len() <= 19 && value.iter().all(u8::is_ascii_digit);
    plain.then(|| value.iter().fold(0, |n, digit| n * 10 + u64::from(digit - b'0')))
}
