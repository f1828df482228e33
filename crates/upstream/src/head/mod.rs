//! Heads of either protocol behind one face: as they came, converted only where the other
//! protocol is spoken on.

mod convert;
mod names;
mod request;
mod response;
mod websocket;

pub use request::RequestHead;
pub use response::ResponseHead;

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue};

pub use convert::{h2_trailers, trailers_of_h2};
pub(crate) use websocket::switched;

/// The first value in a map.
#[inline]
fn first<'a>(map: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    match names::frequent(name) {
        Some(name) => map.get(name),
        None => map.get(name),
    }
    .map(HeaderValue::as_bytes)
}

/// All values in a map, joined; HTTP/2 may split Cookie, whose parts belong together with `; `.
#[inline]
fn joined<'a>(map: &'a HeaderMap, name: &str) -> Option<Cow<'a, [u8]>> {
    let all = match names::frequent(name) {
        Some(name) => map.get_all(name),
        None => map.get_all(name),
    };
    let mut values = all.iter();
    let one = values.next()?.as_bytes();
    let Some(second) = values.next() else { return Some(Cow::Borrowed(one)) };
    let separator: &[u8] = if name == "cookie" { b"; " } else { b"," };
    let mut all = one.to_vec();
    for value in std::iter::once(second).chain(values) {
        all.extend_from_slice(separator);
        all.extend_from_slice(value.as_bytes());
    }
    Some(Cow::Owned(all))
}

/// A value that a header can have: control characters become spaces, as in HTTP/1 heads.
fn value(bytes: &[u8]) -> HeaderValue {
    names::value(bytes).unwrap_or_else(|| {
        let harmless = |b: &u8| if b.is_ascii_control() && *b != b'\t' { b' ' } else { *b };
        let bytes: Vec<u8> = bytes.iter().map(harmless).collect();
        HeaderValue::from_bytes(&bytes).unwrap_or(HeaderValue::from_static(""))
    })
}

/// Replaces all values. A name that is no token does nothing.
fn set(map: &mut HeaderMap, name: &str, bytes: &[u8]) {
    if let Some(name) = names::name(name.as_bytes()) {
        map.insert(name, value(bytes));
    }
}

#[inline]
fn remove(map: &mut HeaderMap, name: &str) -> bool {
    let removed = match names::frequent(name) {
        Some(name) => map.remove(name),
        None => map.remove(name),
    };
    removed.is_some()
}

fn append(map: &mut HeaderMap, name: &[u8], bytes: &[u8]) {
    if let Some(name) = names::name(name) {
        map.append(name, value(bytes));
    }
}

fn number(value: &[u8]) -> Option<u64> {
    let plain = !value.is_empty() && value.len() <= 19 && value.iter().all(u8::is_ascii_digit);
    plain.then(|| value.iter().fold(0, |n, digit| n * 10 + u64::from(digit - b'0')))
}
