//! Field lines in general, and Host.

use http1::Refusal as R;

use super::Verdict::{self, Body, Refused};
use super::{Case, message};

/// Name, all field lines of a GET, the host that is read.
type Row = (&'static str, &'static [u8], Result<&'static str, R>);

const ROWS: &[Row] = &[
    ("host", b"Host: a.example", Ok("a.example")),
    ("host with port", b"Host: a:8080", Ok("a:8080")),
    ("host with an empty port", b"Host: a:", Ok("a:")),
    ("host of IPv6", b"Host: [::1]:8080", Ok("[::1]:8080")),
    ("host with underscores", b"Host: outbound_.80_._.a.svc", Ok("outbound_.80_._.a.svc")),
    ("no host", b"X: y", Err(R::HostMissing)),
    ("two hosts", b"Host: a\r\nHost: b", Err(R::HostDuplicate)),
    ("two equal hosts", b"Host: a\r\nhost: a", Err(R::HostDuplicate)),
    ("two hosts apart", b"Host: a\r\nX: y\r\nHOST: b", Err(R::HostDuplicate)),
    ("empty host", b"Host:", Err(R::HostInvalid)),
    ("host of only a port", b"Host: :80", Err(R::HostInvalid)),
    ("host with a blank", b"Host: a b", Err(R::HostInvalid)),
    ("host with a path", b"Host: a/b", Err(R::HostInvalid)),
    ("host with a backslash", b"Host: a\\b", Err(R::HostInvalid)),
    ("host with user", b"Host: u@a", Err(R::HostInvalid)),
    ("host with fragment", b"Host: a#b", Err(R::HostInvalid)),
    ("host with query", b"Host: a?b", Err(R::HostInvalid)),
    ("list of hosts", b"Host: a, b", Err(R::HostInvalid)),
    ("host with a broken port", b"Host: a:x", Err(R::HostInvalid)),
    ("host with two ports", b"Host: a:80:81", Err(R::HostInvalid)),
    ("host with a signed port", b"Host: a:+80", Err(R::HostInvalid)),
    ("host with a scheme", b"Host: http://a", Err(R::HostInvalid)),
    ("host of IPv6 without brackets", b"Host: ::1", Err(R::HostInvalid)),
    ("host of an open bracket", b"Host: [::1", Err(R::HostInvalid)),
    ("host beyond ASCII", b"Host: \xc3\xa4", Err(R::HostInvalid)),
    ("host with NUL", b"Host: a\0b", Err(R::FieldValue)),
    ("blank before the colon of host", b"Host : a", Err(R::FieldName)),
    ("blank before host", b" Host: a", Err(R::LineFolding)),
    ("host and a disguised one", b"Host: a\r\nHost : b", Err(R::FieldName)),
    ("folded host", b"Host:\r\n a", Err(R::LineFolding)),
    ("host folded on", b"Host: a\r\n b", Err(R::LineFolding)),
    ("host named away", b"Connection: Host\r\nHost: a", Ok("a")),
    ("host of another field", b"Host: a\r\nX-Host: b\r\nX-Forwarded-Host: c\r\nForwarded: host=d", Ok("a")),
    ("value with text beyond ASCII", b"Host: a\r\nX: \xe4\xff", Ok("a")),
    ("empty value", b"Host: a\r\nX:", Ok("a")),
    ("value of blanks", b"Host: a\r\nX: \t ", Ok("a")),
    ("value of a colon", b"Host: a\r\nX:: :", Ok("a")),
    ("token of all characters", b"Host: a\r\n!#$%&'*+-.^_`|~09azAZ: x", Ok("a")),
    ("folded with a blank", b"Host: a\r\nX: y\r\n z", Err(R::LineFolding)),
    ("folded with a tab", b"Host: a\r\nX: y\r\n\tz", Err(R::LineFolding)),
    ("line of blanks", b"Host: a\r\n  ", Err(R::LineFolding)),
    ("value with NUL", b"Host: a\r\nX: y\0", Err(R::FieldValue)),
    ("value with CR", b"Host: a\r\nX: y\rz", Err(R::FieldValue)),
    ("value with DEL", b"Host: a\r\nX: \x7f", Err(R::FieldValue)),
    ("value with escape", b"Host: a\r\nX: \x1b[0m", Err(R::FieldValue)),
    ("bare LF", b"Host: a\nX: y", Err(R::BareLineFeed)),
    ("bare LF before the empty line", b"Host: a\r\nX: y\n", Err(R::BareLineFeed)),
    ("no colon", b"Host: a\r\nX", Err(R::FieldName)),
    ("no name", b"Host: a\r\n: x", Err(R::FieldName)),
    ("blank in a name", b"Host: a\r\nX y: z", Err(R::FieldName)),
    ("blank before a colon", b"Host: a\r\nX : z", Err(R::FieldName)),
    ("parenthesis in a name", b"Host: a\r\nX(y): z", Err(R::FieldName)),
    ("quotes around a name", b"Host: a\r\n\"X\": z", Err(R::FieldName)),
    ("name beyond ASCII", b"Host: a\r\n\xc3\xa4: z", Err(R::FieldName)),
    ("request in a value", b"Host: a\r\nX: GET /b HTTP/1.1", Ok("a")),
    ("other expectation", b"Host: a\r\nExpect: 200-ok", Err(R::Expectation)),
    ("expectation in a list", b"Host: a\r\nExpect: 100-continue, 200-ok", Err(R::Expectation)),
    ("expectation without body", b"Host: a\r\nExpect: 100-continue", Ok("a")),
];

pub(super) fn cases() -> Vec<Case> {
    let case = |(name, fields, read): &Row| {
        let bytes = [b"GET /f HTTP/1.1\r\n", *fields, b"\r\n\r\n"].concat();
        let verdict: Verdict = read.map_or_else(Refused, |_| Body(b""));
        Case::one(
            &format!("field: {name}"),
            bytes,
            message("GET", "/f", read.unwrap_or_default(), b""),
            verdict,
        )
    };
    let mut cases: Vec<Case> = ROWS.iter().map(case).collect();
    let many = |count: usize| {
        [b"GET /f HTTP/1.1\r\nHost: a\r\n", "x: y\r\n".repeat(count - 1).as_bytes(), b"\r\n"].concat()
    };
    let long =
        |len: usize| format!("GET /f HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(len)).into_bytes();
    for (name, bytes, verdict) in [
        ("hundred lines", many(100), Body(b"")),
        ("hundred and one lines", many(101), Refused(R::TooManyHeaders)),
        ("59 KiB", long(59 << 10), Body(b"")),
        ("61 KiB", long(61 << 10), Refused(R::HeadTooLarge)),
    ] {
        cases.push(Case::one(&format!("field: {name}"), bytes, message("GET", "/f", "a", b""), verdict));
    }
    cases
}
