//! What an upstream answers, and what must become of it.

use http1::Refusal as R;

/// A response to a request of that method, alone on its connection, which the upstream then closes.
#[derive(Clone, Debug)]
pub struct Answer {
    pub name: &'static str,
    pub method: &'static str,
    pub bytes: Vec<u8>,
    /// Status and body; `None` for a body that is cut off.
    pub read: Result<(u16, Option<&'static [u8]>), R>,
}

type Row = (&'static str, &'static str, &'static [u8], Result<(u16, Option<&'static [u8]>), R>);

const HELLO: Option<&[u8]> = Some(b"hello");

const ROWS: &[Row] = &[
    ("length", "GET", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", Ok((200, HELLO))),
    ("no reason", "GET", b"HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\nhello", Ok((200, HELLO))),
    ("no blank before the reason", "GET", b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello", Ok((200, HELLO))),
    ("unknown status", "GET", b"HTTP/1.1 299 Fine\r\nContent-Length: 5\r\n\r\nhello", Ok((299, HELLO))),
    ("chunked", "GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", Ok((200, HELLO))),
    ("until close", "GET", b"HTTP/1.1 200 OK\r\n\r\nhello", Ok((200, HELLO))),
    ("HTTP/1.0", "GET", b"HTTP/1.0 200 OK\r\n\r\nhello", Ok((200, HELLO))),
    ("HTTP/1.0 with a length", "GET", b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", Ok((200, HELLO))),
    ("after interim ones", "GET", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", Ok((200, HELLO))),
    ("HEAD with a length", "HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Ok((200, Some(b"")))),
    ("HEAD with chunks announced", "HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Ok((200, Some(b"")))),
    ("HEAD with a body", "HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", Ok((200, Some(b"")))),
    ("204 with a length", "GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", Ok((204, Some(b"")))),
    ("204 with a body", "GET", b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Ok((204, Some(b"")))),
    ("304 with a length", "GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", Ok((304, Some(b"")))),
    ("a second response", "GET", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nworld", Ok((200, HELLO))),
    ("connection named away", "GET", b"HTTP/1.1 200 OK\r\nConnection: Content-Length\r\nContent-Length: 5\r\n\r\nhello", Ok((200, HELLO))),
    ("length too long", "GET", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello", Ok((200, None))),
    ("chunks cut off", "GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", Ok((200, None))),
    ("chunk of a broken size", "GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5 5\r\nhello\r\n0\r\n\r\n", Ok((200, None))),
    ("chunk longer than its size", "GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n", Ok((200, None))),
    ("chunk with a bare LF", "GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n", Ok((200, None))),
    ("length in the trailers", "GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n", Ok((200, None))),
    ("CL.TE", "GET", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Err(R::LengthAndEncoding)),
    ("TE.CL", "GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", Err(R::LengthAndEncoding)),
    ("two lengths", "GET", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", Err(R::ContentLengthDuplicate)),
    ("two equal lengths", "GET", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", Err(R::ContentLengthDuplicate)),
    ("signed length", "GET", b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello", Err(R::ContentLengthInvalid)),
    ("length of 2^64", "GET", b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\nhello", Err(R::ContentLengthInvalid)),
    ("chunked in HTTP/1.0", "GET", b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Err(R::TransferEncodingInHttp10)),
    ("other coding", "GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello", Err(R::TransferEncodingUnknown)),
    ("two codings", "GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", Err(R::TransferEncodingUnknown)),
    ("broken length of a HEAD", "HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\n", Err(R::ContentLengthInvalid)),
    ("folded field", "GET", b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n", Err(R::LineFolding)),
    ("blank before a colon", "GET", b"HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nhello", Err(R::FieldName)),
    ("bare LF behind the status line", "GET", b"HTTP/1.1 200 OK\nContent-Length: 5\r\n\r\nhello", Err(R::BareLineFeed)),
    ("bare CR in a value", "GET", b"HTTP/1.1 200 OK\r\nX: a\rContent-Length: 5\r\n\r\nhello", Err(R::FieldValue)),
    ("NUL in a value", "GET", b"HTTP/1.1 200 OK\r\nX: a\0\r\nContent-Length: 5\r\n\r\nhello", Err(R::FieldValue)),
    ("status of two digits", "GET", b"HTTP/1.1 20 OK\r\n\r\n", Err(R::StartLine)),
    ("status of four digits", "GET", b"HTTP/1.1 2000 OK\r\n\r\n", Err(R::StartLine)),
    ("status below 100", "GET", b"HTTP/1.1 099 OK\r\n\r\n", Err(R::StartLine)),
    ("an empty line first", "GET", b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Err(R::StartLine)),
    ("version 2.0", "GET", b"HTTP/2.0 200 OK\r\n\r\n", Err(R::Version)),
    ("no HTTP", "GET", b"garbage\r\n\r\n", Err(R::StartLine)),
    ("HTTP/0.9", "GET", b"hello", Err(R::StartLine)),
];

/// Every response.
pub fn responses() -> Vec<Answer> {
    let answer =
        |(name, method, bytes, read): &Row| Answer { name, method, bytes: bytes.to_vec(), read: *read };
    ROWS.iter().map(answer).collect()
}
