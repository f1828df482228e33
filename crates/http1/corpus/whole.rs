//! Whole connections: several requests, HTTP/1.0, empty lines, CONNECT, upgrades.

use http1::Refusal as R;

use super::{Case, End, Message, message};

fn get(path: &str) -> Message {
    message("GET", path, "a", b"")
}

fn post(path: &str, body: &[u8]) -> Message {
    message("POST", path, "a", body)
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = accepted();
    for (name, bytes, messages, end) in broken() {
        cases.push(Case { name: format!("whole: {name}"), bytes: bytes.into(), messages, end });
    }
    cases
}

fn accepted() -> Vec<Case> {
    vec![
        Case::all(
            "whole: three in a pipeline",
            b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nokGET /3 HTTP/1.1\r\nHost: a\r\n\r\n",
            vec![get("/1"), post("/2", b"ok"), get("/3")],
        ),
        Case::all(
            "whole: length, chunks and nothing in a pipeline",
            b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\
              POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\nt: v\r\n\r\n\
              GET /3 HTTP/1.1\r\nHost: a\r\n\r\n",
            vec![post("/1", b"abc"), post("/2", b"de"), get("/3")],
        ),
        Case::all("whole: an empty line first", b"\r\nGET /1 HTTP/1.1\r\nHost: a\r\n\r\n", vec![get("/1")]),
        Case::all(
            "whole: an empty line between",
            b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
            vec![post("/1", b"ok"), get("/2")],
        ),
        Case::all(
            "whole: GET with a body",
            b"GET /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 31\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: aGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
            vec![message("GET", "/1", "a", b"GET /smuggled HTTP/1.1\r\nHost: a"), get("/2")],
        ),
        Case::all(
            "whole: what follows a close is not read",
            b"GET /1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
            vec![get("/1")],
        ),
        Case::all(
            "whole: an upgrade to h2c goes on as HTTP/1.1",
            b"GET /1 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n\
              GET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
            vec![get("/1"), get("/2")],
        ),
        Case::all(
            "whole: fields of one hop",
            b"GET /1 HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Hop\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\n\
              Proxy-Connection: keep-alive\r\nTE: deflate, trailers\r\n\r\n",
            vec![get("/1")],
        ),
    ]
}

fn broken() -> Vec<(&'static str, &'static [u8], Vec<Message>, End)> {
    let refused = End::Refused;
    vec![
        ("nothing", b"", vec![], End::Clean),
        ("cut in a request line", b"GET / HT", vec![], End::Incomplete),
        ("cut in the fields", b"GET / HTTP/1.1\r\nHost: a\r\n", vec![], End::Incomplete),
        ("cut in a body", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel", vec![], End::Incomplete),
        ("two empty lines first", b"\r\n\r\nGET /1 HTTP/1.1\r\nHost: a\r\n\r\n", vec![], refused(R::StartLine)),
        ("a bare LF first", b"\nGET /1 HTTP/1.1\r\nHost: a\r\n\r\n", vec![], refused(R::StartLine)),
        ("a NUL first", b"\0GET /1 HTTP/1.1\r\nHost: a\r\n\r\n", vec![], refused(R::StartLine)),
        ("a byte order mark first", b"\xef\xbb\xbfGET /1 HTTP/1.1\r\nHost: a\r\n\r\n", vec![], refused(R::StartLine)),
        ("a TLS handshake", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", vec![], refused(R::StartLine)),
        ("bare LF behind the request line", b"GET / HTTP/1.1\nHost: a\r\n\r\n", vec![], refused(R::BareLineFeed)),
        ("bare LF as the empty line", b"GET / HTTP/1.1\r\nHost: a\r\n\n", vec![], refused(R::BareLineFeed)),
        ("only bare LFs", b"GET / HTTP/1.1\nHost: a\n\n", vec![], refused(R::BareLineFeed)),
        ("bare CR as the empty line", b"GET / HTTP/1.1\r\nHost: a\r\n\rX: y\r\n\r\n", vec![], refused(R::StartLine)),
        ("a line of blanks behind the request line", b"GET / HTTP/1.1\r\n \r\nHost: a\r\n\r\n", vec![], refused(R::LineFolding)),
        ("absolute form without Host", b"GET http://a/ HTTP/1.1\r\n\r\n", vec![], refused(R::HostMissing)),
        (
            "absolute form with two hosts",
            b"GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            vec![],
            refused(R::HostDuplicate),
        ),
        (
            "chunked in HTTP/1.0",
            b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            vec![],
            refused(R::TransferEncodingInHttp10),
        ),
        (
            "length and chunked in HTTP/1.0",
            b"POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            vec![],
            refused(R::LengthAndEncoding),
        ),
        ("two hosts in HTTP/1.0", b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", vec![], refused(R::HostDuplicate)),
        (
            "CONNECT with a body",
            b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nContent-Length: 5\r\n\r\nhello",
            vec![],
            refused(R::ConnectWithBody),
        ),
        (
            "CONNECT in chunks",
            b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            vec![],
            refused(R::ConnectWithBody),
        ),
        (
            "rubbish behind a request",
            b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nrubbish\r\n\r\n",
            vec![get("/1")],
            refused(R::StartLine),
        ),
        (
            "more bytes than the length says",
            b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok!!\r\n\r\n",
            vec![post("/1", b"ok")],
            refused(R::StartLine),
        ),
        (
            "a body that no field announces",
            b"POST /1 HTTP/1.1\r\nHost: a\r\n\r\n{\"a\": 1}\r\n\r\n",
            vec![post("/1", b"")],
            refused(R::StartLine),
        ),
        (
            "chunks that no field announces",
            b"POST /1 HTTP/1.1\r\nHost: a\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            vec![post("/1", b"")],
            refused(R::StartLine),
        ),
        (
            "a good request, then CL.TE",
            b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            vec![get("/1")],
            refused(R::LengthAndEncoding),
        ),
        (
            "a good request, then half of one",
            b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHo",
            vec![get("/1")],
            End::Incomplete,
        ),
    ]
}
