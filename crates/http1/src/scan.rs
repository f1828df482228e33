//! Heads as nearly all of them are, read in one pass: complete, in origin-form, every line ended by CRLF.
//!
//! It looks at sixteen bytes at a time and writes the index as it goes. What it does not take (a head that
//! is not all there, an odd one, a wrong one) is for httparse, which says what is the matter with it; what
//! it takes, it reads as httparse does.

use std::ops::Range;

use crate::block::{self, Found, controls, ends_target, not_plain};
use crate::tokens::is_tchar;
use crate::{Headers, Limits, Version};

/// A request's first line and its fields.
pub(crate) struct Request {
    pub(crate) headers: Headers,
    pub(crate) method: Range<usize>,
    /// Begins with `/` and has only bytes that may be in a target.
    pub(crate) path: Range<usize>,
    pub(crate) version: Version,
}

/// A response's first line and its fields.
pub(crate) struct Response {
    pub(crate) headers: Headers,
    pub(crate) status: u16,
    pub(crate) reason: Range<usize>,
    pub(crate) version: Version,
}

/// The request at the beginning of `bytes`, and how long its head is.
pub(crate) fn request(bytes: &[u8], limits: &Limits) -> Option<(Request, usize)> {
    let method = 0..find(bytes, 0, not_plain, |byte| !is_tchar(byte))?;
    let start = method.end + 1;
    // CONNECT has a target of another form.
    if method.is_empty() || bytes.get(method.end..start + 1)? != b" /" || &bytes[method.clone()] == b"CONNECT"
    {
        return None;
    }
    let not_in_target = |byte: u8| !byte.is_ascii_graphic() || byte == b'#';
    let end = find(bytes, start, ends_target, not_in_target)?;
    let version = match bytes.get(end..end + 11)? {
        b" HTTP/1.1\r\n" => Version::Http11,
        b" HTTP/1.0\r\n" => Version::Http10,
        _ => return None,
    };
    let (headers, len) = fields(bytes, end + 11, limits)?;
    Some((Request { headers, method, path: start..end, version }, len))
}

/// The response at the beginning of `bytes`, and how long its head is.
pub(crate) fn response(bytes: &[u8], limits: &Limits) -> Option<(Response, usize)> {
    let version = match bytes.get(..9)? {
        b"HTTP/1.1 " => Version::Http11,
        b"HTTP/1.0 " => Version::Http10,
        _ => return None,
    };
    let [first @ b'1'..=b'9', second @ b'0'..=b'9', third @ b'0'..=b'9', b' '] = bytes.get(9..13)? else {
        return None;
    };
    let digit = |byte: u8| u16::from(byte - b'0');
    let status = digit(*first) * 100 + digit(*second) * 10 + digit(*third);
    let end = find(bytes, 13, ends_target, |byte| !(b' '..0x7f).contains(&byte))?;
    if bytes.get(end..end + 2)? != b"\r\n" {
        return None;
    }
    let (headers, len) = fields(bytes, end + 2, limits)?;
    let reason = if end > 13 { 13..end } else { 0..0 };
    Some((Response { headers, status, reason, version }, len))
}

/// The fields from `at` up to the empty line, in a copy of the head, and where it ends.
fn fields(bytes: &[u8], mut at: usize, limits: &Limits) -> Option<(Headers, usize)> {
    let blank = |byte: u8| matches!(byte, b' ' | b'\t');
    let not_in_value = |byte: u8| byte.is_ascii_control() && byte != b'\t';
    let mut headers = Headers::with_bytes(b"");
    let mut left = limits.max_headers_count;
    while bytes.get(at..at + 2)? != b"\r\n" {
        left = left.checked_sub(1)?;
        let name = at..find(bytes, at, not_plain, |byte| !is_tchar(byte))?;
        if name.is_empty() || bytes[name.end] != b':' {
            return None;
        }
        let mut start = name.end + 1;
        while blank(*bytes.get(start)?) {
            start += 1;
        }
        let line_end = find(bytes, start, controls, not_in_value)?;
        if bytes.get(line_end..line_end + 2)? != b"\r\n" {
            return None;
        }
        let mut end = line_end;
        while end > start && blank(bytes[end - 1]) {
            end -= 1;
        }
        headers.index(&bytes[name.clone()], at..line_end + 2, start..end);
        at = line_end + 2;
    }
    let len = at + 2;
    if len > limits.max_head_bytes() {
        return None;
    }
    headers.arena.extend_from_slice(&bytes[..len]);
    Some((headers, len))
}

/// Where the first byte from `at` on is that `stops`. `look` finds every such byte of a block; what else it
/// finds costs time only.
#[inline(always)]
fn find(
    bytes: &[u8],
    mut at: usize,
    look: impl Fn(&[u8; block::LEN]) -> Found,
    stops: impl Fn(u8) -> bool,
) -> Option<usize> {
    let Some(last) = bytes.len().checked_sub(block::LEN) else {
        return bytes.get(at..)?.iter().position(|byte| stops(*byte)).map(|more| at + more);
    };
    while at < bytes.len() {
        // The last block begins within the one before.
        let start = at.min(last);
        match look(bytes[start..].first_chunk()?).from(at - start).first() {
            None => at = start + block::LEN,
            Some(found) if stops(bytes[start + found]) => return Some(start + found),
            Some(found) => at = start + found + 1,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use crate::{Limits, Refusal, RequestHead, ResponseHead};

    const REQUESTS: [&str; 5] = [
        "GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n",
        "POST /a/b?c=d HTTP/1.1\r\nhost: a\r\nContent-Length: 12\r\nX_under: \t v \t \r\nx-empty:\r\n\r\nbody",
        "GET /%20 HTTP/1.0\r\nHost:a.example\r\nConnection: keep-alive\r\nCookie: a=b; c=\"\u{e9}\"\r\n\r\n",
        "OPTIONS /~x'y HTTP/1.1\r\nHOST: [::1]:80\r\nAccept: */*\r\nx:y\r\nx:    \r\n\r\nGET /",
        "M-SEARCH /x HTTP/1.1\r\nhost: a\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\r\n0\r\n\r\n",
    ];
    const RESPONSES: [&str; 4] = [
        "HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Length: 100\r\nConnection: keep-alive\r\n\r\nbody",
        "HTTP/1.1 404 \r\nDate: Sun, 22 Nov 2026 10:00:00 GMT\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.0 301 Moved  Permanently\r\nLocation: http://a/?b#c\r\nconnection: close\r\n\r\n",
        "HTTP/1.1 999 x\r\nTransfer-Encoding: chunked\r\nX: \t a\tb \t\r\n\r\n",
    ];

    /// Bytes that mean something in a head, one time in two.
    fn byte(dice: u64) -> u8 {
        let telling = b"\r\n\t :/#?*.019aAzZ-_\x00\x1f\x7f\x80\xff,;@";
        if dice & 1 == 0 { (dice >> 8) as u8 } else { telling[(dice >> 8) as usize % telling.len()] }
    }

    /// The text, with up to three bytes exchanged, put in or left out.
    fn mutated(text: &str, dice: &mut impl FnMut() -> u64) -> Vec<u8> {
        let mut bytes = text.as_bytes().to_vec();
        for _ in 0..dice() % 4 {
            let at = dice() as usize % bytes.len();
            match dice() % 3 {
                0 => bytes[at] = byte(dice()),
                1 => bytes.insert(at, byte(dice())),
                _ => drop(bytes.remove(at)),
            }
        }
        bytes
    }

    fn dice(mut state: u64) -> impl FnMut() -> u64 {
        move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state >> 8
        }
    }

    /// Compares all that a head says. Its arena and index are part of what is printed; where an empty
    /// value lies is nobody's concern, so lines are compared by their content.
    fn request(parsed: Result<Option<(RequestHead, usize)>, Refusal>) -> String {
        let told = parsed.map(|found| {
            found.map(|(head, len)| {
                let lines: Vec<_> = head.lines().map(|line| format!("{line:?}")).collect();
                let rest =
                    (head.method.clone(), head.path.clone(), head.scheme.clone(), head.version, head.body);
                format!("{lines:?} {rest:?} {} {} {len}", head.keep_alive, head.expects_continue)
            })
        });
        format!("{told:?}")
    }

    fn response(parsed: Result<Option<(ResponseHead, usize)>, Refusal>) -> String {
        let told = parsed.map(|found| {
            found.map(|(head, len)| {
                let lines: Vec<_> = head.lines().map(|line| format!("{line:?}")).collect();
                let rest = (head.status, head.reason.clone(), head.version, head.body, head.keep_alive);
                format!("{lines:?} {rest:?} {len}")
            })
        });
        format!("{told:?}")
    }

    #[test]
    fn takes_what_is_usual() {
        for text in REQUESTS {
            assert!(super::request(text.as_bytes(), &Limits::default()).is_some(), "{text}");
        }
        for text in RESPONSES {
            assert!(super::response(text.as_bytes(), &Limits::default()).is_some(), "{text}");
        }
        let few = Limits { max_headers_count: 1, ..Limits::default() };
        assert!(super::request(REQUESTS[0].as_bytes(), &few).is_some());
        assert!(super::request(REQUESTS[1].as_bytes(), &few).is_none());
    }

    #[test]
    fn reads_as_httparse_does() {
        let (limits, mut dice) = (Limits { max_headers_count: 5, ..Limits::default() }, dice(0x5eed));
        let (mut taken, rounds) = (0, 100_000);
        for round in 0..rounds {
            let bytes = mutated(REQUESTS[round % REQUESTS.len()], &mut dice);
            taken += usize::from(super::request(&bytes, &limits).is_some());
            let (fast, slow) =
                (RequestHead::parse(&bytes, &limits), RequestHead::parse_slowly(&bytes, &limits));
            // One empty line before a request is skipped in front of both.
            if !bytes.starts_with(b"\r\n") && !bytes.starts_with(b"\n") {
                assert_eq!(request(fast), request(slow), "{}", bytes.escape_ascii());
            }
            let bytes = mutated(RESPONSES[round % RESPONSES.len()], &mut dice);
            taken += usize::from(super::response(&bytes, &limits).is_some());
            if !bytes.starts_with(b"\r") && !bytes.starts_with(b"\n") {
                let fast = ResponseHead::parse(&bytes, b"GET", &limits);
                let slow = ResponseHead::parse_slowly(&bytes, b"GET", &limits);
                assert_eq!(response(fast), response(slow), "{}", bytes.escape_ascii());
            }
        }
        assert!((rounds / 4..rounds * 2).contains(&taken), "{taken}");
    }
}
