//! The client's end, and both ends together.

use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use http1::{
    Body, BodyError, BodyKind, ClientConn, Frame, Limits, RequestHead, ResponseHead, ServerConn, Trailers,
};
use tokio::io::{AsyncWriteExt, duplex};

use crate::{available, client, collect, server};

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
