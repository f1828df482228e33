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

/// HTTP/2's fields, and which names they may have: most that are asked for are not there, and to hash a
/// name costs more than to see that.
#[derive(Clone, Debug)]
struct Fields {
    map: HeaderMap,
    /// The [`bit`] of each name that is or was there.
    present: u32,
}

/// One of 32 bits for the names of this length with these letters, whatever their case.
#[inline(always)]
const fn bit(name: &[u8]) -> u32 {
    let len = name.len();
    if len == 0 {
        return 1;
    }
    let (first, middle, last) = (name[0] | 0x20, name[len / 2] | 0x20, name[len - 1] | 0x20);
    // Fibonacci hashing: the highest bits of the product are the best mixed.
    1 << (u32::from_le_bytes([len as u8, first, middle, last]).wrapping_mul(0x9E37_79B1) >> 27)
}

impl Fields {
    fn new(map: HeaderMap) -> Self {
        let present = map.keys().fold(0, |present, name| present | bit(name.as_str().as_bytes()));
        Fields { map, present }
    }

    /// The first value.
    #[inline]
    fn first(&self, name: &str) -> Option<&[u8]> {
        if self.present & bit(name.as_bytes()) == 0 {
            return None;
        }
        match names::frequent(name) {
            Some(name) => self.map.get(name),
            None => self.map.get(name),
        }
        .map(HeaderValue::as_bytes)
    }

    /// All values, joined.
    #[inline]
    fn joined(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        if self.present & bit(name.as_bytes()) == 0 { None } else { joined(&self.map, name) }
    }

    /// Replaces all values. A name that is no token does nothing.
    fn set(&mut self, name: &str, bytes: &[u8]) {
        if let Some(name) = names::name(name.as_bytes()) {
            self.present |= bit(name.as_str().as_bytes());
            self.map.insert(name, value(bytes));
        }
    }

    fn append(&mut self, name: &str, bytes: &[u8]) {
        self.present |= bit(name.as_bytes());
        append(&mut self.map, name.as_bytes(), bytes);
    }

    #[inline]
    fn remove(&mut self, name: &str) -> bool {
        if self.present & bit(name.as_bytes()) == 0 {
            return false;
        }
        let removed = match names::frequent(name) {
            Some(name) => self.map.remove(name),
            None => self.map.remove(name),
        };
        removed.is_some()
    }
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

fn append(map: &mut HeaderMap, name: &[u8], bytes: &[u8]) {
    if let Some(name) = names::name(name) {
        map.append(name, value(bytes));
    }
}

fn number(value: &[u8]) -> Option<u64> {
    let plain = !value.is_empty() && value.len() <= 19 && value.iter().all(u8::is_ascii_digit);
    plain.then(|| value.iter().fold(0, |n, digit| n * 10 + u64::from(digit - b'0')))
}
