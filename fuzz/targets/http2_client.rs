//! An HTTP/2 client that is sent any frames: no panic, and no head that HTTP/1 could not write.

#![no_main]

mod wire;

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use http1::{BodyKind, Frame, Limits, RequestHead, ResponseHead};
use http2::Config;
use libfuzzer_sys::fuzz_target;

const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

fuzz_target!(|bytes: &[u8]| {
    let Some((mode, bytes)) = bytes.split_first() else { return };
    let start = if mode & 1 == 0 { SETTINGS } else { &[] };
    let wire = wire::Wire::new([start, bytes].concat(), usize::from(mode >> 4) * 67);
    let config =
        Config { stream_window: 20_000, connection_window: 100_000, max_head: 2000, ..Config::default() };
    let (client, connection) = http2::client(wire, config);
    let mut connection = pin!(connection);
    let mut cx = Context::from_waker(Waker::noop());
    let mut streams: Vec<_> = [("GET", true), ("HEAD", true), ("POST", false)]
        .into_iter()
        .filter_map(|(method, ends)| client.send(&RequestHead::new(method, "a", "/"), false, ends).ok())
        .collect();
    for _ in 0..200 {
        let over = connection.as_mut().poll(&mut cx).is_ready();
        streams.retain_mut(|(receive, send)| {
            let _ = send.poll_data(&mut Bytes::from_static(b"body"), false, &mut cx);
            if let Poll::Ready(Ok(head)) = receive.poll_head(&mut cx) {
                check(&head);
            }
            match receive.poll_frame(&mut cx) {
                Poll::Ready(Ok(Some(Frame::Data(bytes)))) => receive.release(bytes.len()),
                Poll::Ready(Ok(None) | Err(_)) => return false,
                _ => {}
            }
            true
        });
        if over || streams.is_empty() {
            return;
        }
    }
});

/// What is written of it is one head.
fn check(head: &ResponseHead) {
    let mut out = BytesMut::new();
    head.write(BodyKind::None, &mut out);
    let limits = Limits { max_headers_kb: 64, max_headers_count: 10_000 };
    // A HEAD's answer may have any lengths.
    if head.get("content-length").is_none() {
        let (read, len) = ResponseHead::parse(&out, b"GET", &limits).expect("a head").expect("a whole one");
        assert_eq!((read.status(), read.len(), len), (head.status(), head.len(), out.len()));
    }
}
