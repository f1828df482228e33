//! The server's end.

use std::future::poll_fn;
use std::time::Duration;

use http1::{Body, BodyKind, Empty, Full, ReadError, Refusal, ResponseHead};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{collect, server};

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
            let (meter, mut before) = (conn.meter(), 0);
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
                // Of each its own bytes, however they came.
                let behind = ["POST /b", "GET /c"].iter().find_map(|next| {
                    let at = input.find(next)?;
                    (at > before).then_some(at)
                });
                let after = behind.unwrap_or(input.len());
                let head = input[before..].find("\r\n\r\n").unwrap() + 4;
                let wire = meter.wire();
                assert_eq!((wire.received, wire.received_heads), ((after - before) as u64, head as u64));
                assert_eq!(wire.sent - wire.sent_heads, 2);
                before = after;
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
        conn.close(Duration::from_secs(1))
    );
    assert!(output.starts_with("HTTP/1.1 505 HTTP Version Not Supported\r\n"), "{output}");
}

#[tokio::test]
async fn who_does_not_close_is_not_waited_for() {
    for linger in [Duration::ZERO, Duration::from_millis(20)] {
        let (_far, conn) = server(4096);
        let begin = std::time::Instant::now();
        conn.close(linger).await;
        assert!((linger..Duration::from_millis(900)).contains(&begin.elapsed()), "{linger:?}");
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
