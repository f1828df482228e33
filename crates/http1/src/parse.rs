//! What requests and responses have in common: the section of header lines.

use std::mem::MaybeUninit;

use httparse::{Error, Header};

use crate::{Headers, Limits, Refusal};

/// Header lines that httparse can store without memory of its own. Limits above it take the heap.
const ON_STACK: usize = 128;

/// Calls `f` with room for as many headers as the limits allow.
pub(crate) fn with_room<'b, T>(limits: &Limits, f: impl FnOnce(&mut [MaybeUninit<Header<'b>>]) -> T) -> T {
    let count = limits.max_headers_count as usize;
    if count <= ON_STACK {
        f(&mut [const { MaybeUninit::uninit() }; ON_STACK][..count])
    } else {
        f(&mut vec![MaybeUninit::uninit(); count.min(1 << 16)])
    }
}

/// Copies a head and indexes its lines. `head` ends behind the empty line.
///
/// httparse lets a bare LF end a line; we do not, because others may not either.
pub(crate) fn index(head: &[u8], parsed: &[Header<'_>]) -> Result<Headers, Refusal> {
    let base = head.as_ptr() as usize;
    let mut headers = Headers::with_lines(head, parsed.len());
    let blank = head.len().saturating_sub(2);
    let start_of = |at: usize| parsed.get(at).map_or(blank, |h| h.name.as_ptr() as usize - base);
    let ends_in_crlf = |end: usize| end >= 2 && head.get(end - 2..end) == Some(b"\r\n");
    let mut start = start_of(0);
    if !ends_in_crlf(head.len()) || !ends_in_crlf(start) {
        return Err(Refusal::BareLineFeed);
    }
    for (at, header) in parsed.iter().enumerate() {
        let end = start_of(at + 1);
        if !ends_in_crlf(end) {
            return Err(Refusal::BareLineFeed);
        }
        let value_start = header.value.as_ptr() as usize - base;
        let value = value_start..value_start + header.value.len();
        headers.index(header.name.as_bytes(), start..end, value);
        start = end;
    }
    Ok(headers)
}

/// A refusal for what httparse found, told apart further for those who read logs.
pub(crate) fn refusal(error: Error, bytes: &[u8]) -> Refusal {
    let folded = || bytes.windows(2).any(|pair| pair[0] == b'\n' && matches!(pair[1], b' ' | b'\t'));
    match error {
        Error::HeaderName if folded() => Refusal::LineFolding,
        Error::HeaderName => Refusal::FieldName,
        Error::HeaderValue => Refusal::FieldValue,
        Error::TooManyHeaders => Refusal::TooManyHeaders,
        Error::Version if names_a_version(bytes) => Refusal::Version,
        Error::NewLine | Error::Status | Error::Token | Error::Version => Refusal::StartLine,
    }
}

/// The first line has `HTTP/` and a digit in it, so that 505 is a better answer than 400.
fn names_a_version(bytes: &[u8]) -> bool {
    let line = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
    line.windows(6).any(|w| w.starts_with(b"HTTP/") && w[5].is_ascii_digit())
}

/// Decides when a section of lines is parsed again as it arrives. A peer that sends it byte by
/// byte must not make us parse it as often: at first, when it may be complete, and each time it
/// has doubled (so that a bad beginning is refused early).
#[derive(Debug, Default)]
pub(crate) struct Patience {
    // Sections are far below 4 GiB, and every idle connection has room for these.
    scanned: u32,
    attempted: u32,
}

impl Patience {
    /// Call it with the same section, grown.
    pub(crate) fn worth_parsing(&mut self, section: &[u8]) -> bool {
        // Nearly always it is complete when its first bytes arrive.
        if self.attempted == 0 {
            self.attempted = section.len().max(1) as u32;
            return true;
        }
        let new = section.get(self.scanned.saturating_sub(3) as usize..).unwrap_or(section);
        let may_be_complete = new.windows(2).any(|w| w == b"\n\n")
            || new.windows(3).any(|w| w == b"\n\r\n")
            || section.starts_with(b"\r\n")
            || section.starts_with(b"\n");
        self.scanned = section.len() as u32;
        let worth = may_be_complete || section.len() >= self.attempted as usize * 2;
        if worth {
            self.attempted = section.len().max(1) as u32;
        }
        worth
    }
}
