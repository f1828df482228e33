//! Both ends of connections over in-memory streams.

use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use http1::{
    Body, BodyError, BodyKind, ClientConn, Empty, Frame, Full, Incoming, Limits, ReadError, Refusal,
    RequestHead, ResponseHead, ServerConn, Trailers,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

fn server(size: usize) -> (DuplexStream, ServerConn<DuplexStream>) {
    let (far, near) = duplex(size);
    (far, ServerConn::new(near, Limits::default()))
}

async fn collect(body: &mut Incoming<DuplexStream>) -> Result<(Vec<u8>, Option<Trailers>), BodyError> {
    let mut data = Vec::new();
    loop {
        match poll_fn(|cx| body.poll_frame(cx)).await? {
            Some(Frame::Data(piece)) => data.extend_from_slice(&piece),
            Some(Frame::Trailers(trailers)) => return Ok((data, Some(trailers))),
            None => return Ok((data, None)),
        }
    }
}

/// Reads what there is until nothing more comes.
async fn available(stream: &mut DuplexStream) -> String {
    let mut all = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(Ok(read)) = tokio::time::timeout(Duration::from_millis(20), stream.read(&mut piece)).await {
        if read == 0 {
            break;
        }
        all.extend_from_slice(&piece[..read]);
    }
    String::from_utf8(all).unwrap()
}

#[tokio::test]
async fn serves_pipelined_requests_at_every_split() {
    let input = "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc\
                 POST /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\nt: v\r\n\r\n\
                 GET /c HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    for size in [1, 2, 3, 7, 50, 1000] {
        let (mut far, mut conn) = server(4096);
        let client = async {
            for piece in input.as_bytes().chunks(size) {
                far.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            let mut output = String::new();
            far.read_to_string(&mut output).await.unwrap();
            output
        };
        let server = async {
            for (path, expected, trailers) in [("/a", "abc", None), ("/b", "de", Some("v")), ("/c", "", None)]
            {
                let head = conn.read_head().await.unwrap().unwrap();
                assert_eq!(head.path(), path.as_bytes());
                let (data, got) = collect(&mut conn.body()).await.unwrap();
                assert_eq!(data, expected.as_bytes());
                assert_eq!(got.as_ref().and_then(|t| t.get("T")), trailers.map(str::as_bytes));
                conn.start(&ResponseHead::new(200), BodyKind::Length(2), false);
                conn.write_body(&mut Full::new("ok")).await.unwrap().unwrap();
                assert_eq!(conn.finish().await.unwrap(), path != "/c");
            }
            drop(conn);
        };
        let (output, ()) = tokio::join!(client, server);
        let ok = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        let last = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
        assert_eq!(output, format!("{ok}{ok}{last}"), "{size}");
    }
}

#[tokio::test]
async fn an_idle_connection_holds_no_buffer() {
    let (mut far, mut conn) = server(4096);
    far.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    conn.read_head().await.unwrap().unwrap();
    let after_head = http1::pool::kept();
    assert!(after_head.0 >= 1, "the buffer went back with the head: {after_head:?}");
    conn.start(&ResponseHead::new(204), BodyKind::None, false);
    conn.write_body(&mut Empty).await.unwrap().unwrap();
    assert!(conn.finish().await.unwrap());
    let kept = http1::pool::kept();
    assert!(tokio::time::timeout(Duration::from_millis(10), conn.readable()).await.is_err());
    assert_eq!(http1::pool::kept(), kept);
    far.write_all(b"G").await.unwrap();
    assert!(conn.readable().await.unwrap());
    assert_eq!(http1::pool::kept().0, kept.0 - 1);
    drop(far);
    assert!(matches!(conn.read_head().await, Err(ReadError::Closed)));
    drop(conn);
    assert_eq!(http1::pool::kept(), kept);
}

/// What a server answers to `request` with `status`, a body of `kind` and `text`.
async fn answer(request: &str, status: u16, kind: BodyKind, text: &'static str) -> (String, bool) {
    let (mut far, mut conn) = server(1 << 16);
    far.write_all(request.as_bytes()).await.unwrap();
    conn.read_head().await.unwrap().unwrap();
    conn.start(&ResponseHead::new(status), kind, false);
    conn.write_body(&mut Full::new(text)).await.unwrap().unwrap();
    let again = conn.finish().await.unwrap();
    drop(conn);
    let mut output = String::new();
    far.read_to_string(&mut output).await.unwrap();
    (output, again)
}

#[tokio::test]
async fn frames_responses() {
    let get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    let old = "GET / HTTP/1.0\r\n\r\n";
    let old_keep = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    let head = "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n";
    for (request, status, kind, text, expected, again) in [
        (get, 200, BodyKind::Length(2), "ok", "200 OK\r\ncontent-length: 2\r\n\r\nok", true),
        (get, 200, BodyKind::None, "", "200 OK\r\ncontent-length: 0\r\n\r\n", true),
        (
            get,
            200,
            BodyKind::Chunked,
            "ok",
            "200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            true,
        ),
        (get, 200, BodyKind::UntilClose, "ok", "200 OK\r\nconnection: close\r\n\r\nok", false),
        (get, 204, BodyKind::Length(2), "", "204 No Content\r\n\r\n", true),
        (get, 304, BodyKind::None, "", "304 Not Modified\r\n\r\n", true),
        (head, 200, BodyKind::Length(2), "ok", "200 OK\r\ncontent-length: 2\r\n\r\n", true),
        (head, 200, BodyKind::Chunked, "ok", "200 OK\r\n\r\n", true),
        (
            old,
            200,
            BodyKind::Length(2),
            "ok",
            "200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok",
            false,
        ),
        (old, 200, BodyKind::Chunked, "ok", "200 OK\r\nconnection: close\r\n\r\nok", false),
        (
            old_keep,
            200,
            BodyKind::Length(2),
            "ok",
            "200 OK\r\ncontent-length: 2\r\nconnection: keep-alive\r\n\r\nok",
            true,
        ),
    ] {
        let (output, reusable) = answer(request, status, kind, text).await;
        assert_eq!(output, format!("HTTP/1.1 {expected}"), "{request} {status} {kind:?}");
        assert_eq!(reusable, again, "{request} {status} {kind:?}");
    }
}

#[tokio::test]
async fn refuses_a_body_that_breaks_its_promise() {
    for (length, text) in [(3, "ok"), (1, "ok")] {
        let (mut far, mut conn) = server(4096);
        far.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
        conn.read_head().await.unwrap().unwrap();
        conn.start(&ResponseHead::new(200), BodyKind::Length(length), false);
        assert!(conn.write_body(&mut Full::new(text)).await.unwrap().is_err());
    }
}

#[tokio::test]
async fn sends_100_continue_only_when_the_body_is_asked_for() {
    let request = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    let (mut far, mut conn) = server(4096);
    far.write_all(request.as_bytes()).await.unwrap();
    assert!(conn.read_head().await.unwrap().unwrap().expects_continue());
    assert_eq!(available(&mut far).await, "");
    let mut body = conn.body();
    let (collected, _) = tokio::join!(collect(&mut body), async {
        assert_eq!(available(&mut far).await, "HTTP/1.1 100 Continue\r\n\r\n");
        far.write_all(b"ok").await.unwrap();
    });
    assert_eq!(collected.unwrap().0, b"ok");

    let (mut far, mut conn) = server(4096);
    far.write_all(request.as_bytes()).await.unwrap();
    conn.read_head().await.unwrap().unwrap();
    conn.start(&ResponseHead::new(403), BodyKind::None, false);
    conn.write_body(&mut Empty).await.unwrap().unwrap();
    assert!(!conn.finish().await.unwrap());
    let expected = "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    assert_eq!(available(&mut far).await, expected);
}

#[tokio::test]
async fn throws_a_short_unread_body_away() {
    let (mut far, mut conn) = server(4096);
    far.write_all(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab").await.unwrap();
    conn.read_head().await.unwrap().unwrap();
    conn.start(&ResponseHead::new(403), BodyKind::None, false);
    conn.write_body(&mut Empty).await.unwrap().unwrap();
    let (again, ()) = tokio::join!(conn.finish(), async {
        far.write_all(b"cdeGET /next HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    });
    assert!(again.unwrap());
    assert_eq!(conn.read_head().await.unwrap().unwrap().path(), b"/next");
}

#[tokio::test]
async fn notices_that_the_client_is_gone() {
    let (mut far, mut conn) = server(4096);
    far.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    conn.read_head().await.unwrap().unwrap();
    let closed = tokio::time::timeout(Duration::from_millis(10), poll_fn(|cx| conn.poll_closed(cx))).await;
    assert!(closed.is_err());
    drop(far);
    poll_fn(|cx| conn.poll_closed(cx)).await;
}

#[tokio::test]
async fn refuses_and_lingers() {
    let (mut far, mut conn) = server(4096);
    far.write_all(b"GET / HTTP/9.9\r\n\r\n").await.unwrap();
    let Err(ReadError::Refused(refusal)) = conn.read_head().await else { panic!() };
    assert_eq!(refusal, Refusal::Version);
    conn.start(&ResponseHead::new(refusal.status()), BodyKind::None, true);
    conn.write_body(&mut Empty).await.unwrap().unwrap();
    let (output, ()) = tokio::join!(
        async {
            let mut output = String::new();
            far.read_to_string(&mut output).await.unwrap();
            drop(far);
            output
        },
        conn.close()
    );
    assert!(output.starts_with("HTTP/1.1 505 HTTP Version Not Supported\r\n"), "{output}");
}

fn client(size: usize) -> (DuplexStream, ClientConn<DuplexStream>) {
    let (far, near) = duplex(size);
    (far, ClientConn::new(near, Limits::default()))
}

#[tokio::test]
async fn a_client_uses_a_connection_again() {
    let (mut far, mut conn) = client(4096);
    for path in ["/1", "/2"] {
        conn.start(&RequestHead::new("GET", "h", path), BodyKind::None);
        conn.flush().await.unwrap();
        assert_eq!(available(&mut far).await, format!("GET {path} HTTP/1.1\r\nhost: h\r\n\r\n"));
        assert!(!conn.reusable());
        far.write_all(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            .await
            .unwrap();
        assert_eq!(conn.read_head().await.unwrap().status(), 103);
        assert_eq!(conn.read_head().await.unwrap().status(), 200);
        let mut body = conn.body();
        assert_eq!(body.kind(), BodyKind::Length(2));
        assert_eq!(collect(&mut body).await.unwrap().0, b"ok");
        assert!(conn.reusable());
    }
    let idle = tokio::time::timeout(Duration::from_millis(10), poll_fn(|cx| conn.poll_idle_end(cx))).await;
    assert!(idle.is_err() && conn.reusable());
    drop(far);
    poll_fn(|cx| conn.poll_idle_end(cx)).await;
    assert!(!conn.reusable());
}

#[tokio::test]
async fn a_client_knows_when_not_to() {
    for (response, body) in [
        ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", "ok"),
        ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok"),
        ("HTTP/1.1 200 OK\r\n\r\nok", "ok"),
        ("HTTP/1.1 204 No Content\r\n\r\nunexpected", ""),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok!", "ok"),
    ] {
        let (mut far, mut conn) = client(4096);
        conn.start(&RequestHead::new("GET", "h", "/"), BodyKind::None);
        conn.flush().await.unwrap();
        far.write_all(response.as_bytes()).await.unwrap();
        far.shutdown().await.unwrap();
        conn.read_head().await.unwrap();
        assert_eq!(collect(&mut conn.body()).await.unwrap().0, body.as_bytes(), "{response}");
        assert!(!conn.reusable(), "{response}");
    }
    let (mut far, mut conn) = client(4096);
    conn.start(&RequestHead::new("GET", "h", "/"), BodyKind::None);
    conn.flush().await.unwrap();
    far.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok").await.unwrap();
    drop(far);
    conn.read_head().await.unwrap();
    assert!(matches!(collect(&mut conn.body()).await, Err(BodyError::Incomplete)));
    assert!(!conn.reusable() && conn.received() > 0 && conn.sent() > 0);
}

/// A body of several pieces with trailers, that counts what was released.
struct Pieces(Vec<Frame>, usize);

impl Body for Pieces {
    fn poll_frame(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<Option<Frame>, BodyError>> {
        std::task::Poll::Ready(Ok((!self.0.is_empty()).then(|| self.0.remove(0))))
    }

    fn release(&mut self, bytes: usize) {
        self.1 += bytes;
    }

    fn kind(&self) -> BodyKind {
        BodyKind::Chunked
    }
}

#[tokio::test]
async fn large_pieces_and_trailers_pass_through_small_pipes() {
    for pipe in [64, 1000, 100_000] {
        let (far, near) = duplex(pipe);
        let mut conn = ClientConn::new(near, Limits::default());
        let mut server = ServerConn::new(far, Limits::default());
        let pieces = [1, 10_000, 5, 70_000, 4096, 4097];
        let total: usize = pieces.iter().sum();
        let mut trailers = Trailers::default();
        trailers.push("grpc-status", "0");
        trailers.push("content-length", "7");
        let mut frames: Vec<Frame> =
            pieces.iter().map(|len| Frame::Data(Bytes::from(vec![b'x'; *len]))).collect();
        frames.push(Frame::Trailers(trailers));
        let mut body = Pieces(frames, 0);
        let mut head = RequestHead::new("POST", "h", "/echo");
        head.set("te", "trailers");
        conn.start(&head, body.kind());
        let sending = poll_fn(|cx| conn.poll_write_body(&mut body, cx));
        let serving = async {
            server.read_head().await.unwrap().unwrap();
            collect(&mut server.body()).await.unwrap()
        };
        let (sent, (data, got)) = tokio::join!(sending, serving);
        sent.unwrap().unwrap();
        assert_eq!(data.len(), total);
        let got = got.unwrap();
        assert_eq!((got.len(), got.get("grpc-status")), (1, Some(&b"0"[..])));
        assert_eq!(body.1, total);
    }
}

#[tokio::test]
async fn echoes_while_it_reads() {
    // The response's body is the other half of the same connection.
    let (mut far, mut conn) = server(256);
    let echo = async {
        conn.read_head().await.unwrap().unwrap();
        let mut body = conn.body();
        conn.start(&ResponseHead::new(200), body.kind(), true);
        conn.write_body(&mut body).await.unwrap().unwrap();
        drop(body);
        drop(conn);
    };
    let client = async {
        far.write_all(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3000\r\n\r\n").await.unwrap();
        let (mut read, mut write) = tokio::io::split(far);
        let (written, output) = tokio::join!(write.write_all(&[b'x'; 3000]), async {
            let mut output = Vec::new();
            read.read_to_end(&mut output).await.unwrap();
            output
        });
        written.unwrap();
        output
    };
    let (output, ()) = tokio::join!(client, echo);
    assert!(output.ends_with(&[b'x'; 3000]));
}

#[tokio::test]
async fn upgrades_keep_what_was_read() {
    let (mut far, mut conn) = client(4096);
    let mut head = RequestHead::new("GET", "h", "/ws");
    head.set("connection", "upgrade");
    head.set("upgrade", "websocket");
    conn.start(&head, BodyKind::None);
    conn.flush().await.unwrap();
    far.write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\nhello").await.unwrap();
    assert_eq!(conn.read_head().await.unwrap().status(), 101);
    assert!(!conn.reusable());
    let (_, rest) = conn.into_upgraded().unwrap();
    assert_eq!(rest, "hello");

    let (mut far, mut conn) = server(4096);
    far.write_all(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nraw")
        .await
        .unwrap();
    assert_eq!(conn.read_head().await.unwrap().unwrap().upgrade(), Some(&b"x"[..]));
    let mut head = ResponseHead::new(101);
    head.set("upgrade", "x");
    conn.start(&head, BodyKind::None, false);
    conn.flush().await.unwrap();
    let (_near, rest) = conn.into_upgraded().unwrap();
    assert_eq!(rest, "raw");
    assert_eq!(available(&mut far).await, "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n");
}
