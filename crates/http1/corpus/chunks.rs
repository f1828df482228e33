//! Chunked bodies: sizes, extensions, ends, trailers.

use http1::Refusal as R;

use super::Verdict::{self, Body, Incomplete, Refused};
use super::{Case, message};

/// Name and the bytes behind a head with `Transfer-Encoding: chunked`.
type Row = (&'static str, &'static [u8], Verdict);

const ROWS: &[Row] = &[
    ("nothing", b"0\r\n\r\n", Body(b"")),
    ("two chunks", b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", Body(b"hello world")),
    ("zeros before a size", b"0005\r\nhello\r\n000\r\n\r\n", Body(b"hello")),
    ("capitals", b"A\r\n0123456789\r\n0\r\n\r\n", Body(b"0123456789")),
    ("a line end in the data", b"4\r\n\r\n\r\n\r\n0\r\n\r\n", Body(b"\r\n\r\n")),
    (
        "a request in the data",
        b"1a\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n0\r\n\r\n",
        Body(b"GET /x HTTP/1.1\r\nHost: a\r\n"),
    ),
    ("extension", b"5;a=b\r\nhello\r\n0\r\n\r\n", Body(b"hello")),
    ("extension in quotes", b"5;a=\"b; c\"\r\nhello\r\n0;d\r\n\r\n", Body(b"hello")),
    ("blank before an extension", b"5 ;a\r\nhello\r\n0\r\n\r\n", Body(b"hello")),
    ("trailer", b"5\r\nhello\r\n0\r\nX: y\r\n\r\n", Body(b"hello")),
    ("cut in a size", b"5", Incomplete),
    ("cut in the data", b"5\r\nhel", Incomplete),
    ("cut before the last chunk", b"5\r\nhello\r\n", Incomplete),
    ("cut in the trailers", b"5\r\nhello\r\n0\r\nX: y\r\n", Incomplete),
    ("no size", b"\r\nhello\r\n0\r\n\r\n", Refused(R::ChunkSize)),
    ("only an extension", b";a=b\r\nhello\r\n0\r\n\r\n", Refused(R::ChunkSize)),
    ("no hexadecimal size", b"g\r\nhello\r\n0\r\n\r\n", Refused(R::ChunkSize)),
    ("negative size", b"-1\r\nhello\r\n0\r\n\r\n", Refused(R::ChunkSize)),
    ("signed size", b"+5\r\nhello\r\n0\r\n\r\n", Refused(R::ChunkSize)),
    ("blank before a size", b" 5\r\nhello\r\n0\r\n\r\n", Refused(R::ChunkSize)),
    ("blank behind a size", b"5 \r\nhello\r\n0\r\n\r\n", Refused(R::ChunkExtension)),
    ("tab behind a size", b"5\t\r\nhello\r\n0\r\n\r\n", Refused(R::ChunkExtension)),
    ("size with 0x", b"0x5\r\nhello\r\n0\r\n\r\n", Refused(R::ChunkExtension)),
    ("size with underscore", b"0_5\r\nhello\r\n0\r\n\r\n", Refused(R::ChunkExtension)),
    ("size with text behind", b"5 hello\r\nhello\r\n0\r\n\r\n", Refused(R::ChunkExtension)),
    ("size with a comma", b"5,5\r\nhello\r\n0\r\n\r\n", Refused(R::ChunkExtension)),
    ("size of 2^64 + 5", b"10000000000000005\r\nhello\r\n0\r\n\r\n", Refused(R::ChunkSize)),
    ("size of 2^64 - 1", b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n", Refused(R::ChunkSize)),
    ("size of 2^32 + 5", b"100000005\r\nhello\r\n0\r\n\r\n", Incomplete),
    ("size of 2^31", b"80000000\r\nhello\r\n0\r\n\r\n", Incomplete),
    (
        "many zeros before a size",
        b"00000000000000000000000000000005\r\nhello\r\n0\r\n\r\n",
        Refused(R::ChunkSize),
    ),
    ("bare LF behind a size", b"5\nhello\r\n0\r\n\r\n", Refused(R::ChunkSize)),
    ("bare CR behind a size", b"5\rhello\r\n0\r\n\r\n", Refused(R::ChunkExtension)),
    ("CR CR LF behind a size", b"5\r\r\nhello\r\n0\r\n\r\n", Refused(R::ChunkExtension)),
    ("bare LF behind an extension", b"5;a\nhello\r\n0\r\n\r\n", Refused(R::ChunkExtension)),
    ("bare CR in an extension", b"5;a\rb\r\nhello\r\n0\r\n\r\n", Refused(R::ChunkExtension)),
    ("NUL in an extension", b"5;a\0\r\nhello\r\n0\r\n\r\n", Refused(R::ChunkExtension)),
    ("data longer than its size", b"5\r\nhello!\r\n0\r\n\r\n", Refused(R::ChunkEnd)),
    ("data shorter than its size", b"6\r\nhello\r\n0\r\n\r\n", Refused(R::ChunkEnd)),
    ("bare LF behind the data", b"5\r\nhello\n0\r\n\r\n", Refused(R::ChunkEnd)),
    ("bare CR behind the data", b"5\r\nhello\r0\r\n\r\n", Refused(R::ChunkEnd)),
    ("no line end behind the data", b"5\r\nhello0\r\n\r\n", Refused(R::ChunkEnd)),
    ("bare LF behind the last size", b"5\r\nhello\r\n0\n\r\n", Refused(R::ChunkSize)),
    ("bare LF at the end", b"5\r\nhello\r\n0\r\n\n", Refused(R::BareLineFeed)),
    ("bare CR at the end", b"5\r\nhello\r\n0\r\n\rGET / HTTP/1.1\r\n\r\n", Refused(R::Trailers)),
    ("length in the trailers", b"0\r\nContent-Length: 5\r\n\r\n", Refused(R::Trailers)),
    ("coding in the trailers", b"0\r\nTransfer-Encoding: chunked\r\n\r\n", Refused(R::Trailers)),
    ("host in the trailers", b"0\r\nHost: b\r\n\r\n", Refused(R::Trailers)),
    ("bare LF in the trailers", b"0\r\nX: y\nZ: z\r\n\r\n", Refused(R::BareLineFeed)),
    ("folded trailer", b"0\r\nX: y\r\n z\r\n\r\n", Refused(R::Trailers)),
    ("blank before a trailer's colon", b"0\r\nX : y\r\n\r\n", Refused(R::Trailers)),
    ("trailer without colon", b"0\r\nGET / HTTP/1.1\r\n\r\n", Refused(R::Trailers)),
    ("NUL in a trailer", b"0\r\nX: \0\r\n\r\n", Refused(R::Trailers)),
];

pub(super) fn cases() -> Vec<Case> {
    let chunked = |name: &str, body: &[u8], verdict| {
        let bytes = [b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", body].concat();
        Case::one(&format!("chunk: {name}"), bytes, message("POST", "/c", "a", b""), verdict)
    };
    let mut cases: Vec<Case> =
        ROWS.iter().map(|(name, body, verdict)| chunked(name, body, *verdict)).collect();
    let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(2000));
    cases.push(chunked("extension of 2000 bytes", long.as_bytes(), Refused(R::ChunkExtension)));
    let many = [format!("1;{}\r\nx\r\n", "a".repeat(900)).repeat(20).as_bytes(), b"0\r\n\r\n"].concat();
    cases.push(chunked("extensions of 18 KiB in all", &many, Refused(R::ChunkExtension)));
    let trailers = [b"0\r\n", "x: y\r\n".repeat(101).as_bytes(), b"\r\n"].concat();
    cases.push(chunked("hundred and one trailers", &trailers, Refused(R::TooManyHeaders)));
    cases
}
