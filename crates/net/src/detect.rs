//! Which HTTP a connection begins with, if any.

/// What the first bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpVerdict {
    /// A request line of HTTP/1.0 or 1.1.
    Http1,
    /// HTTP/2's preface.
    Http2,
    NotHttp,
    /// It may become either.
    NeedMore,
}

/// HTTP/2's first bytes (RFC 9113, section 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Longest method that is taken for one. The longest registered is `UPDATEREDIRECTREF` with 17.
const MAX_METHOD: usize = 32;

/// Judges the first bytes of a connection, as Envoy's `http_inspector` does. Says
/// [`HttpVerdict::NotHttp`] as early as it can.
pub fn detect_http(bytes: &[u8]) -> HttpVerdict {
    let compared = bytes.len().min(PREFACE.len());
    if bytes[..compared] == PREFACE[..compared] {
        return if compared == PREFACE.len() { HttpVerdict::Http2 } else { HttpVerdict::NeedMore };
    }
    detect_request_line(bytes)
}

fn detect_request_line(bytes: &[u8]) -> HttpVerdict {
    let method = bytes.iter().take_while(|b| b.is_ascii_alphabetic() || matches!(b, b'-' | b'_')).count();
    if method > MAX_METHOD || (method == 0 && !bytes.is_empty()) {
        return HttpVerdict::NotHttp;
    }
    let Some((separator, rest)) = bytes[method..].split_first() else { return HttpVerdict::NeedMore };
    if *separator != b' ' {
        return HttpVerdict::NotHttp;
    }
    let target = rest.iter().take_while(|b| b.is_ascii_graphic() || **b >= 0x80).count();
    let Some((separator, version)) = rest[target..].split_first() else { return HttpVerdict::NeedMore };
    if *separator != b' ' || target == 0 {
        return HttpVerdict::NotHttp;
    }
    detect_version(version)
}

fn detect_version(bytes: &[u8]) -> HttpVerdict {
    let matched = |at: usize, byte: u8| match at {
        0..7 => byte == b"HTTP/1."[at],
        7 => matches!(byte, b'0' | b'1'),
        _ => matches!(byte, b'\r' | b'\n'),
    };
    match bytes.iter().take(9).enumerate().all(|(at, byte)| matched(at, *byte)) {
        false => HttpVerdict::NotHttp,
        true if bytes.len() < 9 => HttpVerdict::NeedMore,
        true => HttpVerdict::Http1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], expected: HttpVerdict) {
        assert_eq!(detect_http(bytes), expected, "{:?}", String::from_utf8_lossy(bytes));
        // A longer beginning never contradicts a shorter one.
        for end in 0..bytes.len() {
            let early = detect_http(&bytes[..end]);
            assert!(early == HttpVerdict::NeedMore || early == expected, "{end}: {early:?}");
        }
    }

    #[test]
    fn tells_protocols_apart() {
        check(b"GET / HTTP/1.1\r\n", HttpVerdict::Http1);
        check(b"GET http://a/ HTTP/1.0\r\nHost: a\r\n\r\n", HttpVerdict::Http1);
        check(b"M-SEARCH * HTTP/1.1\r\n", HttpVerdict::Http1);
        check(b"PRINT /x HTTP/1.1\n", HttpVerdict::Http1);
        check(PREFACE, HttpVerdict::Http2);
        check(b"PRI * HTTP/2.0\r\n\r\nXX", HttpVerdict::NotHttp);
        check(b"GET / HTTP/1.2\r\n", HttpVerdict::NotHttp);
        check(b"GET / HTTP/1.1x", HttpVerdict::NotHttp);
        check(b"GET /\r\n", HttpVerdict::NotHttp);
        check(b"PING\r\n", HttpVerdict::NotHttp);
        check(b"EHLO mail\r\n", HttpVerdict::NotHttp);
        check(b"\x16\x03\x01", HttpVerdict::NotHttp);
        check(b"*1\r\n$4\r\nPING\r\n", HttpVerdict::NotHttp);
        check(b"SSH-2.0-x\r\n", HttpVerdict::NotHttp);
        check(b" GET / HTTP/1.1\r\n", HttpVerdict::NotHttp);
        check(&[b'A'; 40], HttpVerdict::NotHttp);
        check(b"", HttpVerdict::NeedMore);
        check(b"GET /a/long/path", HttpVerdict::NeedMore);
    }
}
