//! Where a body ends (RFC 9112, section 6), and what is refused because two recipients could
//! disagree about it.

use crate::tokens::{Known, trim};
use crate::{Headers, Refusal, Version};

/// How a body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// There is none.
    None,
    /// That many bytes.
    Length(u64),
    /// Unknown length, delimited by chunks (HTTP/1) or frames (HTTP/2).
    Chunked,
    /// Up to the end of the connection. Responses only.
    UntilClose,
}

/// What the framing fields say; `None`: there are none.
pub(crate) fn announced(headers: &Headers, version: Version) -> Result<Option<BodyKind>, Refusal> {
    let mut lengths = headers.all_known(Known::ContentLength);
    let mut codings = headers.all_known(Known::TransferEncoding).peekable();
    let (length, more) = (lengths.next(), lengths.next());
    if codings.peek().is_some() {
        if length.is_some() {
            return Err(Refusal::LengthAndEncoding);
        }
        if version == Version::Http10 {
            return Err(Refusal::TransferEncodingInHttp10);
        }
        return only_chunked(codings).map(|()| Some(BodyKind::Chunked));
    }
    match (length, more) {
        (_, Some(_)) => Err(Refusal::ContentLengthDuplicate),
        (Some(value), None) => content_length(value).map(|length| Some(BodyKind::Length(length))),
        (None, None) => Ok(None),
    }
}

/// `chunked` once and nothing else: we undo no other coding, and pass none on by one hop. Empty
/// elements of the list count as unknown ones: others do not skip them.
fn only_chunked<'a>(values: impl Iterator<Item = &'a [u8]>) -> Result<(), Refusal> {
    let elements = values.flat_map(|value| value.split(|b| *b == b',')).map(trim);
    let mut seen = 0;
    for element in elements {
        if !element.eq_ignore_ascii_case(b"chunked") {
            return Err(Refusal::TransferEncodingUnknown);
        }
        seen += 1;
    }
    if seen == 1 { Ok(()) } else { Err(Refusal::TransferEncodingDuplicate) }
}

/// The value of one Content-Length: digits and nothing else, no sign, no list, no white space inside.
///
/// # Errors
/// [`Refusal::ContentLengthInvalid`].
pub fn content_length(value: &[u8]) -> Result<u64, Refusal> {
    if value.is_empty() || value.len() > 19 || !value.iter().all(u8::is_ascii_digit) {
        return Err(Refusal::ContentLengthInvalid);
    }
    // 19 digits fit.
    Ok(value.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

/// Whether the connection may be used again after a message (RFC 9112, section 9.3).
pub(crate) fn keep_alive(headers: &Headers, version: Version) -> bool {
    let says = |token| headers.all_known(Known::Connection).any(|list| crate::has_token(list, token));
    match version {
        Version::Http11 => !says("close"),
        Version::Http10 => says("keep-alive") && !says("close"),
    }
}
