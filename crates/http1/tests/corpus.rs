//! A corpus of requests and responses with a verdict each. What two recipients could read
//! differently is refused.

use bytes::BytesMut;
use http1::{BodyKind, Limits, Refusal, RequestHead, ResponseHead, Version};

type Verdict = Result<BodyKind, Refusal>;

/// The verdict must be the same however the head arrives: no earlier refusal of a good one, no
/// acceptance of a part of it.
#[track_caller]
fn request(text: &str, expected: Verdict) {
    let bytes = text.as_bytes();
    let parsed = RequestHead::parse(bytes, &Limits::default());
    let verdict = parsed.map(|head| head.expect("complete").0.body_kind());
    assert_eq!(verdict, expected, "{text:?}");
    let end = text.find("\r\n\r\n").map_or(text.len(), |at| at + 4);
    for cut in 0..end.min(text.len().saturating_sub(1)) {
        match RequestHead::parse(&bytes[..cut], &Limits::default()) {
            Ok(None) => {}
            Ok(Some(_)) => assert!(cut == end, "{text:?} accepted at {cut}"),
            Err(early) => assert!(expected.is_err(), "{text:?} refused at {cut}: {early:?}"),
        }
    }
}

#[track_caller]
fn response(method: &str, text: &str, expected: Verdict) {
    let parsed = ResponseHead::parse(text.as_bytes(), method.as_bytes(), &Limits::default());
    let verdict = parsed.map(|head| head.expect("complete").0.body_kind());
    assert_eq!(verdict, expected, "{text:?}");
}

#[test]
fn frames_requests() {
    let post = |fields: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
    request("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Ok(BodyKind::None));
    request("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Ok(BodyKind::None));
    request("GET / HTTP/1.0\r\n\r\n", Ok(BodyKind::None));
    for (fields, expected) in [
        ("Content-Length: 5", Ok(BodyKind::Length(5))),
        ("Content-Length: 0", Ok(BodyKind::Length(0))),
        ("content-length:  7 \t", Ok(BodyKind::Length(7))),
        ("Content-Length: 0005", Ok(BodyKind::Length(5))),
        ("Content-Length: 9223372036854775807", Ok(BodyKind::Length(i64::MAX as u64))),
        ("Transfer-Encoding: chunked", Ok(BodyKind::Chunked)),
        ("transfer-encoding: CHUNKED", Ok(BodyKind::Chunked)),
        ("Transfer-Encoding:\tchunked ", Ok(BodyKind::Chunked)),
        // CL.TE and TE.CL
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", Err(Refusal::LengthAndEncoding)),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5", Err(Refusal::LengthAndEncoding)),
        ("Content-Length: 5\r\nTransfer-Encoding: identity", Err(Refusal::LengthAndEncoding)),
        ("Content-Length: x\r\nTransfer-Encoding: chunked", Err(Refusal::LengthAndEncoding)),
        // CL.CL
        ("Content-Length: 5\r\nContent-Length: 6", Err(Refusal::ContentLengthDuplicate)),
        ("Content-Length: 5\r\nContent-Length: 5", Err(Refusal::ContentLengthDuplicate)),
        ("Content-Length: 5, 5", Err(Refusal::ContentLengthInvalid)),
        ("Content-Length: 5,6", Err(Refusal::ContentLengthInvalid)),
        ("Content-Length: +5", Err(Refusal::ContentLengthInvalid)),
        ("Content-Length: -5", Err(Refusal::ContentLengthInvalid)),
        ("Content-Length: 0x5", Err(Refusal::ContentLengthInvalid)),
        ("Content-Length: 5 5", Err(Refusal::ContentLengthInvalid)),
        ("Content-Length: 5.0", Err(Refusal::ContentLengthInvalid)),
        ("Content-Length: ", Err(Refusal::ContentLengthInvalid)),
        ("Content-Length: \u{0665}", Err(Refusal::ContentLengthInvalid)),
        ("Content-Length: 99999999999999999999", Err(Refusal::ContentLengthInvalid)),
        ("Content-Length : 5", Err(Refusal::FieldName)),
        ("Content\u{00ad}-Length: 5", Err(Refusal::FieldName)),
        ("Content-Length\t: 5", Err(Refusal::FieldName)),
        // TE.TE
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", Err(Refusal::TransferEncodingDuplicate)),
        ("Transfer-Encoding: chunked, chunked", Err(Refusal::TransferEncodingDuplicate)),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", Err(Refusal::TransferEncodingUnknown)),
        ("Transfer-Encoding: identity", Err(Refusal::TransferEncodingUnknown)),
        ("Transfer-Encoding: gzip, chunked", Err(Refusal::TransferEncodingUnknown)),
        ("Transfer-Encoding: chunked, gzip", Err(Refusal::TransferEncodingUnknown)),
        ("Transfer-Encoding: xchunked", Err(Refusal::TransferEncodingUnknown)),
        ("Transfer-Encoding: \"chunked\"", Err(Refusal::TransferEncodingUnknown)),
        ("Transfer-Encoding: chunked;q=1", Err(Refusal::TransferEncodingUnknown)),
        ("Transfer-Encoding: ", Err(Refusal::TransferEncodingUnknown)),
        ("Transfer-Encoding: ,", Err(Refusal::TransferEncodingUnknown)),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding:", Err(Refusal::TransferEncodingUnknown)),
        ("Transfer-Encoding: \u{000b}chunked", Err(Refusal::FieldValue)),
        ("Transfer-Encoding : chunked", Err(Refusal::FieldName)),
        (" Transfer-Encoding: chunked", Err(Refusal::LineFolding)),
        ("X: y\r\n Transfer-Encoding: chunked", Err(Refusal::LineFolding)),
        ("X: y\r\n\tz", Err(Refusal::LineFolding)),
        ("Transfer-Encoding:\r\n chunked", Err(Refusal::LineFolding)),
        ("X: y\nTransfer-Encoding: chunked", Err(Refusal::BareLineFeed)),
        ("X: y\rTransfer-Encoding: chunked", Err(Refusal::FieldValue)),
        ("X: y\0", Err(Refusal::FieldValue)),
        ("X: \u{7f}", Err(Refusal::FieldValue)),
        ("X", Err(Refusal::FieldName)),
        (": x", Err(Refusal::FieldName)),
        ("X y: z", Err(Refusal::FieldName)),
        ("X(y): z", Err(Refusal::FieldName)),
        ("Expect: 200-ok", Err(Refusal::Expectation)),
    ] {
        request(&post(fields), expected);
    }
    let old = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    request(old, Err(Refusal::TransferEncodingInHttp10));
}

#[test]
fn judges_request_lines_and_hosts() {
    let line = |line: &str| format!("{line}\r\nHost: a\r\n\r\n");
    for (text, expected) in [
        ("GET / HTTP/1.1", Ok(BodyKind::None)),
        ("M-SEARCH * HTTP/1.1", Ok(BodyKind::None)),
        ("OPTIONS * HTTP/1.1", Ok(BodyKind::None)),
        ("GET http://b/x HTTP/1.1", Ok(BodyKind::None)),
        ("CONNECT a:443 HTTP/1.1", Ok(BodyKind::None)),
        ("CONNECT / HTTP/1.1", Err(Refusal::Target)),
        ("GET a HTTP/1.1", Err(Refusal::Target)),
        ("GET /a#b HTTP/1.1", Err(Refusal::Target)),
        ("GET /\u{e4} HTTP/1.1", Err(Refusal::Target)),
        ("GET http://u@b/ HTTP/1.1", Err(Refusal::Target)),
        ("GET  / HTTP/1.1", Err(Refusal::StartLine)),
        ("GET /  HTTP/1.1", Err(Refusal::StartLine)),
        ("GET\t/ HTTP/1.1", Err(Refusal::StartLine)),
        ("GET / HTTP/1.1 ", Err(Refusal::StartLine)),
        ("GET / b HTTP/1.1", Err(Refusal::StartLine)),
        ("GET /", Err(Refusal::StartLine)),
        (" GET / HTTP/1.1", Err(Refusal::StartLine)),
        ("G@T / HTTP/1.1", Err(Refusal::StartLine)),
        ("GET / http/1.1", Err(Refusal::StartLine)),
        ("GET / HTTP/2.0", Err(Refusal::Version)),
        ("GET / HTTP/1.2", Err(Refusal::Version)),
        ("GET / HTTP/0.9", Err(Refusal::Version)),
        ("GET / HTTP/1.10", Err(Refusal::Version)),
    ] {
        let text = line(text);
        let parsed = RequestHead::parse(text.as_bytes(), &Limits::default());
        let verdict = parsed.map(|head| head.expect("complete").0.body_kind());
        // 400 or 505: which of them a broken version gets does not matter.
        match (verdict, expected) {
            (Err(Refusal::StartLine | Refusal::Version), Err(Refusal::StartLine | Refusal::Version)) => {}
            (verdict, expected) => assert_eq!(verdict, expected, "{text:?}"),
        }
    }
    let hosts = |fields: &str| format!("GET / HTTP/1.1\r\n{fields}\r\n");
    for (fields, expected) in [
        ("", Err(Refusal::HostMissing)),
        ("Host: a\r\nHost: a\r\n", Err(Refusal::HostDuplicate)),
        ("Host: a\r\nhost: b\r\n", Err(Refusal::HostDuplicate)),
        ("Host:\r\n", Err(Refusal::HostInvalid)),
        ("Host: a b\r\n", Err(Refusal::HostInvalid)),
        ("Host: a/b\r\n", Err(Refusal::HostInvalid)),
        ("Host: a@b\r\n", Err(Refusal::HostInvalid)),
        ("Host: a:x\r\n", Err(Refusal::HostInvalid)),
        ("Host: a, b\r\n", Err(Refusal::HostInvalid)),
        ("Host : a\r\n", Err(Refusal::FieldName)),
        ("Host: [::1]:8080\r\n", Ok(BodyKind::None)),
        ("Host: a:80\r\n", Ok(BodyKind::None)),
    ] {
        request(&hosts(fields), expected);
    }
    request("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 1\r\n\r\n", Err(Refusal::ConnectWithBody));
    request("GET / HTTP/1.1\nHost: a\r\n\r\n", Err(Refusal::BareLineFeed));
    request("GET / HTTP/1.1\r\nHost: a\n\r\n", Err(Refusal::BareLineFeed));
    request("GET / HTTP/1.1\r\nHost: a\r\n\n", Err(Refusal::BareLineFeed));
    request("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Err(Refusal::StartLine));
    request("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Err(Refusal::StartLine));
}

#[test]
fn keeps_limits() {
    let with = |count: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "x: y\r\n".repeat(count));
    let parse = |text: &str| RequestHead::parse(text.as_bytes(), &Limits::default()).map(|h| h.is_some());
    assert_eq!(parse(&with(99)), Ok(true));
    assert_eq!(parse(&with(100)), Err(Refusal::TooManyHeaders));
    let long = |len: usize| format!("GET / HTTP/1.1\r\nHost: a\r\nx: {}\r\n\r\n", "y".repeat(len));
    assert_eq!(parse(&long(60_000)), Ok(true));
    assert_eq!(parse(&long(62_000)), Err(Refusal::HeadTooLarge));
    assert_eq!(parse(&long(62_000)[..61_700]), Err(Refusal::HeadTooLarge));
    assert_eq!(parse(&long(62_000)[..61_000]), Ok(false));
    let many = Limits { max_headers_count: 1000, ..Limits::default() };
    assert!(RequestHead::parse(with(500).as_bytes(), &many).unwrap().is_some());
    assert_eq!(Refusal::HeadTooLarge.status(), 431);
}

#[test]
fn frames_responses() {
    for (method, text, expected) in [
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Ok(BodyKind::Length(5))),
        ("GET", "HTTP/1.1 200\r\nContent-Length: 5\r\n\r\n", Ok(BodyKind::Length(5))),
        ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Ok(BodyKind::Chunked)),
        ("GET", "HTTP/1.1 200 OK\r\n\r\n", Ok(BodyKind::UntilClose)),
        ("GET", "HTTP/1.0 200 OK\r\n\r\n", Ok(BodyKind::UntilClose)),
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Ok(BodyKind::None)),
        ("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Ok(BodyKind::None)),
        ("GET", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", Ok(BodyKind::None)),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", Ok(BodyKind::None)),
        ("GET", "HTTP/1.1 100 Continue\r\n\r\n", Ok(BodyKind::None)),
        ("GET", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", Ok(BodyKind::None)),
        ("CONNECT", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Ok(BodyKind::None)),
        ("CONNECT", "HTTP/1.1 403 No\r\nContent-Length: 5\r\n\r\n", Ok(BodyKind::Length(5))),
        (
            "GET",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            Err(Refusal::LengthAndEncoding),
        ),
        (
            "GET",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            Err(Refusal::ContentLengthDuplicate),
        ),
        (
            "GET",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            Err(Refusal::TransferEncodingInHttp10),
        ),
        ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", Err(Refusal::TransferEncodingUnknown)),
        ("GET", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", Err(Refusal::LineFolding)),
        ("GET", "HTTP/1.1 200 OK\r\nX : a\r\n\r\n", Err(Refusal::FieldName)),
        ("GET", "HTTP/1.1 200 OK\nX: a\r\n\r\n", Err(Refusal::BareLineFeed)),
        ("GET", "HTTP/1.1 20 OK\r\n\r\n", Err(Refusal::StartLine)),
        ("GET", "HTTP/1.1 099 OK\r\n\r\n", Err(Refusal::StartLine)),
        ("GET", "\r\nHTTP/1.1 200 OK\r\n\r\n", Err(Refusal::StartLine)),
        ("GET", "HTTP/2.0 200 OK\r\n\r\n", Err(Refusal::Version)),
        ("GET", "garbage\r\n\r\n", Err(Refusal::StartLine)),
    ] {
        response(method, text, expected);
    }
}

#[track_caller]
fn rewritten(text: &str, edit: impl FnOnce(&mut RequestHead), expected: &str) {
    let (mut head, len) = RequestHead::parse(text.as_bytes(), &Limits::default()).unwrap().unwrap();
    assert_eq!(len, text.len());
    let kind = head.body_kind();
    edit(&mut head);
    let mut out = BytesMut::new();
    head.write(kind, &mut out);
    assert_eq!(String::from_utf8_lossy(&out), expected);
    // What is written is read back as the same.
    let (again, _) = RequestHead::parse(&out, &Limits::default()).unwrap().unwrap();
    assert_eq!(
        (again.method(), again.path(), again.authority()),
        (head.method(), head.path(), head.authority())
    );
    assert_eq!(again.body_kind(), kind);
}

#[test]
fn writes_edits() {
    let text = "GET /a?b HTTP/1.1\r\nHost: h\r\nX-One:1\r\nX-Two: 2 \r\n\r\n";
    rewritten(text, |_| (), "GET /a?b HTTP/1.1\r\nHost: h\r\nX-One:1\r\nX-Two: 2 \r\n\r\n");
    rewritten(
        text,
        |head| {
            head.set_method("PUT");
            head.set_path("/c d");
            head.set_authority("other:1");
            head.set("x-one", "3");
            head.append("x-two", "4");
        },
        "PUT /c%20d HTTP/1.1\r\nX-Two: 2 \r\nhost: other:1\r\nx-one: 3\r\nx-two: 4\r\n\r\n",
    );
    rewritten(
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nConnection: close, X-Gone, host\r\nX-Gone: 1\r\nTE: trailers, deflate\r\nKeep-Alive: 5\r\nExpect: 100-continue\r\nUpgrade: x\r\nProxy-Connection: a\r\n\r\n",
        |head| {
            assert!(!head.keep_alive() && head.expects_continue() && head.upgrade().is_none());
            head.strip_hop_by_hop(false);
        },
        "POST / HTTP/1.1\r\nHost: h\r\nte: trailers\r\ncontent-length: 3\r\n\r\n",
    );
    rewritten(
        "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n",
        |head| {
            assert_eq!(head.upgrade(), Some(&b"websocket"[..]));
            head.strip_hop_by_hop(true);
        },
        "GET /ws HTTP/1.1\r\nHost: h\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
    );
    // Absolute form: the target's authority is the host, whatever Host says.
    for (target, path) in [("http://b:8/x?y", "/x?y"), ("http://b:8", "/"), ("http://b:8?q", "/?q")] {
        rewritten(
            &format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"),
            |head| assert_eq!(head.scheme(), Some(&b"http"[..])),
            &format!("GET {path} HTTP/1.1\r\nhost: b:8\r\n\r\n"),
        );
    }
    rewritten(
        "OPTIONS http://b:8 HTTP/1.1\r\nHost: a\r\n\r\n",
        |_| (),
        "OPTIONS * HTTP/1.1\r\nhost: b:8\r\n\r\n",
    );
    rewritten("CONNECT b:8 HTTP/1.1\r\nHost: a\r\n\r\n", |_| (), "CONNECT b:8 HTTP/1.1\r\nhost: b:8\r\n\r\n");
}

#[test]
fn knows_persistence() {
    let keep =
        |text: &str| RequestHead::parse(text.as_bytes(), &Limits::default()).unwrap().unwrap().0.keep_alive();
    assert!(keep("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert!(!keep("GET / HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n"));
    assert!(!keep("GET / HTTP/1.1\r\nHost: a\r\nConnection: a\r\nConnection: b,close\r\n\r\n"));
    assert!(!keep("GET / HTTP/1.0\r\n\r\n"));
    assert!(keep("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
    assert!(!keep("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n"));
}

#[test]
fn makes_heads() {
    let mut head = ResponseHead::new(404);
    head.set("server", "lateen");
    let mut out = BytesMut::new();
    head.write(BodyKind::Length(2), &mut out);
    assert_eq!(out, "HTTP/1.1 404 Not Found\r\nserver: lateen\r\ncontent-length: 2\r\n\r\n");
    let (head, _) = ResponseHead::parse(&out, b"GET", &Limits::default()).unwrap().unwrap();
    assert_eq!((head.status(), head.reason(), head.version()), (404, &b"Not Found"[..], Version::Http11));
    let head = RequestHead::new("GET", "a", "");
    assert_eq!((head.method(), head.authority(), head.path()), (&b"GET"[..], &b"a"[..], &b"/"[..]));
}
