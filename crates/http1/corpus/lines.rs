//! Request lines: method, target, version, and the blanks between them.

use http1::Refusal as R;

use super::Verdict::{Body, Refused};
use super::{Case, message};

/// What a request line is read as: method, path, host.
type Read = Result<(&'static str, &'static str, &'static str), R>;

/// Name, request line (without its end), verdict. Host is `a`.
type Row = (&'static str, &'static [u8], Read);

const ROWS: &[Row] = &[
    ("plain", b"GET / HTTP/1.1", Ok(("GET", "/", "a"))),
    ("query", b"GET /a?b=c&d HTTP/1.1", Ok(("GET", "/a?b=c&d", "a"))),
    ("other method", b"M-SEARCH /a HTTP/1.1", Ok(("M-SEARCH", "/a", "a"))),
    ("method of small letters is another method", b"get /a HTTP/1.1", Ok(("get", "/a", "a"))),
    ("asterisk", b"OPTIONS * HTTP/1.1", Ok(("OPTIONS", "*", "a"))),
    ("two slashes", b"GET //evil/x HTTP/1.1", Ok(("GET", "//evil/x", "a"))),
    ("encoded line end in the path", b"GET /a%0d%0ab HTTP/1.1", Ok(("GET", "/a%0d%0ab", "a"))),
    ("brackets that clients do not escape", b"GET /a?b=[c]|d HTTP/1.1", Ok(("GET", "/a?b=[c]|d", "a"))),
    ("absolute form", b"GET http://a/x HTTP/1.1", Ok(("GET", "/x", "a"))),
    ("absolute form against Host", b"GET http://b/x HTTP/1.1", Ok(("GET", "/x", "b"))),
    ("absolute form with port", b"GET http://b:81/x HTTP/1.1", Ok(("GET", "/x", "b:81"))),
    ("absolute form without path", b"GET http://b HTTP/1.1", Ok(("GET", "/", "b"))),
    ("absolute form with a query only", b"GET http://b?q HTTP/1.1", Ok(("GET", "/?q", "b"))),
    ("absolute form in capitals", b"GET HTTP://b/x HTTP/1.1", Ok(("GET", "/x", "b"))),
    ("absolute form of https", b"GET https://b/x HTTP/1.1", Ok(("GET", "/x", "b"))),
    ("absolute form of another scheme", b"GET ftp://b/x HTTP/1.1", Err(R::Target)),
    ("absolute form with user", b"GET http://u@b/x HTTP/1.1", Err(R::Target)),
    ("absolute form without host", b"GET http:///x HTTP/1.1", Err(R::Target)),
    ("absolute form with a broken port", b"GET http://b:x/ HTTP/1.1", Err(R::Target)),
    ("absolute form with a backslash", b"GET http://b\\@c/ HTTP/1.1", Err(R::Target)),
    ("scheme without slashes", b"GET http:b/x HTTP/1.1", Err(R::Target)),
    ("authority without CONNECT", b"GET a:80 HTTP/1.1", Err(R::Target)),
    ("CONNECT without port", b"CONNECT a HTTP/1.1", Err(R::Target)),
    ("CONNECT of a path", b"CONNECT /a HTTP/1.1", Err(R::Target)),
    ("CONNECT of an absolute form", b"CONNECT http://a:80/ HTTP/1.1", Err(R::Target)),
    ("relative path", b"GET a HTTP/1.1", Err(R::Target)),
    ("fragment", b"GET /a#b HTTP/1.1", Err(R::Target)),
    ("bytes beyond ASCII", b"GET /\xc3\xa4 HTTP/1.1", Err(R::Target)),
    ("DEL in the path", b"GET /a\x7f HTTP/1.1", Err(R::StartLine)),
    ("NUL in the path", b"GET /a\0b HTTP/1.1", Err(R::StartLine)),
    ("tab in the path", b"GET /a\tb HTTP/1.1", Err(R::StartLine)),
    ("CR in the path", b"GET /a\rb HTTP/1.1", Err(R::StartLine)),
    ("a second line end in the path", b"GET /a\nX: HTTP/1.1", Err(R::StartLine)),
    ("blank in the path", b"GET /a b HTTP/1.1", Err(R::StartLine)),
    ("two requests in a line", b"GET / HTTP/1.1 GET /b HTTP/1.1", Err(R::StartLine)),
    ("two blanks before the path", b"GET  / HTTP/1.1", Err(R::StartLine)),
    ("two blanks before the version", b"GET /  HTTP/1.1", Err(R::StartLine)),
    ("tab for a blank", b"GET\t/ HTTP/1.1", Err(R::StartLine)),
    ("form feed for a blank", b"GET\x0c/ HTTP/1.1", Err(R::StartLine)),
    ("blank at the end", b"GET / HTTP/1.1 ", Err(R::StartLine)),
    ("blank at the beginning", b" GET / HTTP/1.1", Err(R::StartLine)),
    ("CR at the end", b"GET / HTTP/1.1\r", Err(R::StartLine)),
    ("HTTP/0.9", b"GET /", Err(R::StartLine)),
    ("no path", b"GET HTTP/1.1", Err(R::StartLine)),
    ("no method", b" / HTTP/1.1", Err(R::StartLine)),
    ("only a colon", b":", Err(R::StartLine)),
    ("method that is no token", b"G@T / HTTP/1.1", Err(R::StartLine)),
    ("method in quotes", b"\"GET\" / HTTP/1.1", Err(R::StartLine)),
    ("version of small letters", b"GET / http/1.1", Err(R::StartLine)),
    ("version 2.0", b"GET / HTTP/2.0", Err(R::Version)),
    ("version 1.2", b"GET / HTTP/1.2", Err(R::Version)),
    ("version 0.9", b"GET / HTTP/0.9", Err(R::Version)),
    ("version 1.10", b"GET / HTTP/1.10", Err(R::Version)),
    ("version 1.1x", b"GET / HTTP/1.1x", Err(R::Version)),
    ("version 01.1", b"GET / HTTP/01.1", Err(R::Version)),
    ("version 1,1", b"GET / HTTP/1,1", Err(R::Version)),
    ("version 1", b"GET / HTTP/1", Err(R::Version)),
    ("version of another protocol", b"GET / HTTPS/1.1", Err(R::StartLine)),
    ("preface of HTTP/2", b"PRI * HTTP/2.0", Err(R::Version)),
];

pub(super) fn cases() -> Vec<Case> {
    let case = |(name, line, read): &Row| {
        let bytes = [*line, b"\r\nHost: a\r\n\r\n"].concat();
        let (message, verdict) = match *read {
            Ok((method, path, host)) => (message(method, path, host, b""), Body(b"")),
            Err(why) => (message("", "", "", b""), Refused(why)),
        };
        Case::one(&format!("line: {name}"), bytes, message, verdict)
    };
    ROWS.iter().map(case).collect()
}
