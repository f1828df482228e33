//! Heads: what edits write, limits, persistence.

use bytes::BytesMut;
use http1::{BodyKind, Limits, Refusal, RequestHead, ResponseHead, Version};

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

#[test]
fn a_tunnel_has_no_body() {
    let kind = |method: &str, text: &str| {
        let (head, _) =
            ResponseHead::parse(text.as_bytes(), method.as_bytes(), &Limits::default()).unwrap().unwrap();
        head.body_kind()
    };
    assert_eq!(kind("CONNECT", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), BodyKind::None);
    assert_eq!(kind("CONNECT", "HTTP/1.1 403 No\r\nContent-Length: 5\r\n\r\n"), BodyKind::Length(5));
    assert_eq!(kind("GET", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"), BodyKind::None);
}
