//! What is composed in one turn is written at its end, by one task for all connections.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use http1::{BodyKind, Empty, Full, RequestHead, ResponseHead};
use tokio::io::AsyncWriteExt as _;
use tokio::task::{LocalSet, spawn_local, yield_now};

use super::*;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// Runs a test beside the task that writes.
async fn in_bursts(test: impl Future<Output = ()>) {
    let writing = async {
        let writer = spawn_local(http1::write_bursts());
        yield_now().await;
        test.await;
        writer.abort();
    };
    LocalSet::new().run_until(writing).await;
}

async fn respond(conn: &mut ServerConn<DuplexStream>, text: String) {
    conn.read_head().await.unwrap().unwrap();
    let mut body = Full::new(text);
    conn.start(&ResponseHead::new(200), body.kind(), false);
    conn.write_body(&mut body).await.unwrap().unwrap();
    assert!(conn.is_settled() && conn.finish().await.unwrap());
}

#[tokio::test]
async fn responses_leave_together_at_the_end_of_the_turn() {
    in_bursts(async {
        let mut conns = [server(4096), server(4096)];
        for (far, conn) in &mut conns {
            far.write_all(REQUEST).await.unwrap();
            respond(conn, "x".repeat(100)).await;
        }
        let mut byte = [0];
        for (far, _) in &mut conns {
            let read = pin!(far.read(&mut byte)).poll(&mut Context::from_waker(Waker::noop()));
            assert!(matches!(read, Poll::Pending), "nothing was written yet");
        }
        yield_now().await;
        for (far, conn) in &mut conns {
            assert!(conn.is_flushed());
            assert!(available(far).await.ends_with("xxx"));
        }
    })
    .await;
}

#[tokio::test]
async fn the_owner_writes_what_the_socket_did_not_take() {
    in_bursts(async {
        let (mut far, mut conn) = server(64);
        far.write_all(REQUEST).await.unwrap();
        respond(&mut conn, "y".repeat(500)).await;
        let reading = async {
            let response = available(&mut far).await;
            assert!(response.starts_with("HTTP/1.1 200") && response.ends_with(&"y".repeat(500)));
            far.write_all(REQUEST).await.unwrap();
        };
        let (readable, ()) = tokio::join!(conn.readable(), reading);
        assert!(readable.unwrap() && conn.is_flushed());
    })
    .await;
}

#[tokio::test]
async fn a_request_that_does_not_fit_reaches_its_server() {
    in_bursts(async {
        let (mut far, mut conn) = client(64);
        let mut head = RequestHead::new("GET", "a.example", "/");
        head.append("x-long", "z".repeat(300));
        conn.start(&head, BodyKind::None);
        poll_fn(|cx| conn.poll_write_body(&mut Empty, cx)).await.unwrap().unwrap();
        let (flushed, request) = tokio::join!(poll_fn(|cx| conn.poll_flushed(cx)), available(&mut far));
        flushed.unwrap();
        assert!(request.starts_with("GET / HTTP/1.1") && request.contains("zzz\r\n"));
    })
    .await;
}

#[tokio::test]
async fn without_that_task_each_connection_writes_for_itself() {
    in_bursts(async {}).await;
    let (mut far, mut conn) = server(4096);
    far.write_all(REQUEST).await.unwrap();
    respond(&mut conn, "now".to_owned()).await;
    assert!(conn.is_flushed() && available(&mut far).await.ends_with("now"));
}
