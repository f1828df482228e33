//! `Expect: 100-continue` and interim responses.

use http1::{Body, BodyKind, Empty, Full, ResponseHead};
use tokio::io::AsyncWriteExt;

use crate::{available, collect, server};

const WAITING: &str = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";

#[tokio::test]
async fn sends_100_continue_only_when_the_body_is_asked_for() {
    let (mut far, mut conn) = server(4096);
    far.write_all(WAITING.as_bytes()).await.unwrap();
    assert!(conn.read_head().await.unwrap().unwrap().expects_continue());
    assert_eq!(available(&mut far).await, "");
    let mut body = conn.body();
    let (collected, _) = tokio::join!(collect(&mut body), async {
        assert_eq!(available(&mut far).await, "HTTP/1.1 100 Continue\r\n\r\n");
        far.write_all(b"ok").await.unwrap();
    });
    assert_eq!(collected.unwrap().0, b"ok");

    let (mut far, mut conn) = server(4096);
    far.write_all(WAITING.as_bytes()).await.unwrap();
    conn.read_head().await.unwrap().unwrap();
    conn.start(&ResponseHead::new(403), BodyKind::None, false);
    conn.write_body(&mut Empty).await.unwrap().unwrap();
    assert!(!conn.finish().await.unwrap());
    let expected = "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    assert_eq!(available(&mut far).await, expected);
}

#[tokio::test]
async fn a_client_whose_body_is_there_is_not_told_to_go_on() {
    let (mut far, mut conn) = server(4096);
    far.write_all(format!("{WAITING}ok").as_bytes()).await.unwrap();
    conn.read_head().await.unwrap().unwrap();
    assert_eq!(collect(&mut conn.body()).await.unwrap().0, b"ok");
    assert_eq!(available(&mut far).await, "");
    conn.start(&ResponseHead::new(204), BodyKind::None, false);
    assert!(conn.finish().await.unwrap(), "where the body ends is known");
}

#[tokio::test]
async fn somebody_elses_100_is_passed_on_once() {
    let (mut far, mut conn) = server(4096);
    far.write_all(WAITING.as_bytes()).await.unwrap();
    conn.read_head().await.unwrap().unwrap();
    let mut body = conn.body();
    body.forward_expectation();
    let interim = async {
        assert_eq!(available(&mut far).await, "", "not ours to send");
        conn.queue_interim(&ResponseHead::new(100));
        conn.queue_interim(&ResponseHead::new(100));
        conn.queue_interim(&ResponseHead::new(101));
        let mut hints = ResponseHead::new(103);
        hints.set("link", "</a>");
        conn.queue_interim(&hints);
        conn.flush().await.unwrap();
        let expected = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
        assert_eq!(available(&mut far).await, expected);
        far.write_all(b"ok").await.unwrap();
    };
    let (collected, ()) = tokio::join!(collect(&mut body), interim);
    assert_eq!(collected.unwrap().0, b"ok");
    conn.start(&ResponseHead::new(204), BodyKind::None, false);
    assert!(conn.finish().await.unwrap());
}

#[tokio::test]
async fn a_final_answer_instead_of_the_100_ends_the_connection() {
    let (mut far, mut conn) = server(4096);
    far.write_all(WAITING.as_bytes()).await.unwrap();
    conn.read_head().await.unwrap().unwrap();
    conn.body().forward_expectation();
    let mut body = Full::new("no");
    conn.start(&ResponseHead::new(403), body.kind(), false);
    conn.write_body(&mut body).await.unwrap().unwrap();
    assert!(!conn.finish().await.unwrap());
}

#[tokio::test]
async fn interim_responses_are_not_for_old_clients() {
    let (mut far, mut conn) = server(4096);
    far.write_all(b"POST / HTTP/1.0\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n").await.unwrap();
    assert!(!conn.read_head().await.unwrap().unwrap().expects_continue());
    conn.queue_interim(&ResponseHead::new(103));
    conn.flush().await.unwrap();
    assert_eq!(available(&mut far).await, "");
}
