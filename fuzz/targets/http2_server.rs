//! An HTTP/2 server that is sent any frames: no panic, and what it composes for them stays bounded.

#![no_main]

mod wire;

use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http1::{Frame, ResponseHead, Trailers};
use http2::{Config, Incoming, Server};
use libfuzzer_sys::fuzz_target;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

fuzz_target!(|bytes: &[u8]| {
    let Some((mode, bytes)) = bytes.split_first() else { return };
    // Most inputs begin as a client does.
    let start: &[&[u8]] = if mode & 1 == 0 { &[PREFACE, SETTINGS] } else { &[] };
    let wire = wire::Wire::new([&start.concat()[..], bytes].concat(), usize::from(mode >> 4) * 7);
    let config = Config {
        stream_window: 20_000,
        connection_window: 100_000,
        max_streams: 5,
        max_head: 2000,
        table_size: (mode & 4 != 0).then_some(64),
        extended_connect: mode & 2 != 0,
        ..Config::default()
    };
    let mut server = Server::new(wire, config);
    let mut cx = Context::from_waker(Waker::noop());
    let mut held: Vec<Incoming> = Vec::new();
    for round in 0..10_000 {
        if held.len() > 3 {
            // Dropped before its end.
            held.remove(round % 3);
        }
        held.retain_mut(|incoming| !is_served(incoming, mode & 8 != 0, &mut cx));
        match server.poll_accept(&mut cx) {
            Poll::Ready(Some(Ok(incoming))) => held.push(incoming),
            Poll::Ready(_) => return,
            Poll::Pending => {}
        }
    }
    panic!("the input has an end");
});

/// Takes what there is of a request, and answers it.
fn is_served(incoming: &mut Incoming, early: bool, cx: &mut Context<'_>) -> bool {
    for name in incoming.head.iter().map(|(name, _)| name) {
        assert!(!name.is_empty() && !name.iter().any(u8::is_ascii_uppercase));
    }
    let over = loop {
        match incoming.receive.poll_frame(cx) {
            Poll::Ready(Ok(Some(Frame::Data(bytes)))) => incoming.receive.release(bytes.len()),
            Poll::Ready(Ok(Some(Frame::Trailers(_)))) => {}
            Poll::Ready(Ok(None)) => break true,
            Poll::Ready(Err(_)) => return true,
            Poll::Pending => break early,
        }
    };
    if over && incoming.send.respond(&ResponseHead::new(200), false).is_ok() {
        let mut body = Bytes::from_static(&[b'x'; 100]);
        let _ = incoming.send.poll_data(&mut body, false, cx);
        let mut trailers = Trailers::default();
        trailers.push("x-a", "1");
        let _ = incoming.send.trailers(&trailers);
    }
    over
}
