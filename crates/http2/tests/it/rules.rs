//! Peers that break the rules of RFC 9113, frame by frame.

use http2::Reason;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
/// `:method GET`, `:scheme http`, `:path /`, `:authority a`.
const GET: &[u8] = &[0x82, 0x86, 0x84, 0x41, 1, b'a'];
const POST: &[u8] = &[0x83, 0x86, 0x84, 0x41, 1, b'a'];

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = payload.len() as u32;
    [&len.to_be_bytes()[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn literal(name: &str, value: &str) -> Vec<u8> {
    [&[0, name.len() as u8], name.as_bytes(), &[value.len() as u8], value.as_bytes()].concat()
}

/// What a server says to these frames: the code of its GOAWAY (`Err`), or the resets of its streams and
/// the number of requests that it took.
fn told(frames: &[Vec<u8>]) -> Result<(Vec<(u32, Reason)>, usize), Reason> {
    told_by(Config { max_streams: 3, max_head: 1000, ..Config::default() }, frames)
}

/// A body is taken, unless the request has `x-hold`.
fn told_by(config: Config, frames: &[Vec<u8>]) -> Result<(Vec<(u32, Reason)>, usize), Reason> {
    let outcome = std::rc::Rc::new(std::cell::RefCell::new(Ok((Vec::new(), 0))));
    let (out, bytes) = (outcome.clone(), frames.concat());
    run(async move {
        let (mut near, far) = tokio::io::duplex(1 << 20);
        let taken = std::rc::Rc::new(std::cell::Cell::new(0));
        let counted = taken.clone();
        serve(far, config, move |incoming| {
            counted.set(counted.get() + 1);
            async move {
                let Incoming { head, mut receive, mut send, .. } = incoming;
                if head.contains("x-hold") {
                    poll_fn(|cx| send.poll_reset(cx)).await;
                }
                if read_all(&mut receive).await.is_ok() {
                    let _ = send.respond(&response(200, &[]), true);
                }
            }
        });
        near.write_all(
            &[PREFACE, &frame(SETTINGS, 0, 0, &[]), &bytes[..], &frame(PING, 0, 0, b"the end!")].concat(),
        )
        .await
        .unwrap();
        let mut resets = Vec::new();
        loop {
            let mut head = [0; 9];
            if near.read_exact(&mut head).await.is_err() {
                panic!("the connection ended without a word");
            }
            let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
            near.read_exact(&mut payload).await.unwrap();
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            let code = |at: usize| Reason(u32::from_be_bytes(payload[at..at + 4].try_into().unwrap()));
            match head[3] {
                RST_STREAM => resets.push((stream, code(0))),
                GOAWAY => {
                    *out.borrow_mut() = Err(code(4));
                    return;
                }
                PING if head[4] == 1 && payload == b"the end!" => break,
                _ => {}
            }
        }
        *out.borrow_mut() = Ok((resets, taken.get()));
    });
    std::rc::Rc::try_unwrap(outcome).unwrap().into_inner()
}

#[track_caller]
fn ends_connection(frames: &[Vec<u8>], reason: Reason) {
    assert_eq!(told(frames).unwrap_err(), reason);
}

#[track_caller]
fn resets(frames: &[Vec<u8>], expected: &[(u32, Reason)]) {
    assert_eq!(told(frames).unwrap().0, expected);
}

fn get(id: u32) -> Vec<u8> {
    frame(HEADERS, 5, id, GET)
}

fn post(id: u32, more: &[u8]) -> Vec<u8> {
    frame(HEADERS, 4, id, &[POST, more].concat())
}

#[test]
fn what_is_right_is_taken() {
    let padded = frame(HEADERS, 5 | 8, 1, &[&[2], GET, &[0, 0]].concat());
    let with_priority = frame(HEADERS, 5 | 0x20, 3, &[&[0, 0, 0, 1, 9], GET].concat());
    assert_eq!(told(&[padded, with_priority]).unwrap(), (vec![], 2));
    let pieces = [
        frame(HEADERS, 1, 1, &GET[..2]),
        frame(CONTINUATION, 0, 1, &GET[2..4]),
        frame(CONTINUATION, 4, 1, &GET[4..]),
    ];
    assert_eq!(told(&pieces).unwrap(), (vec![], 1));
    let body = [
        post(1, &literal("content-length", "3")),
        frame(DATA, 8, 1, &[1, b'a', b'b', 0]),
        frame(DATA, 1, 1, b"c"),
    ];
    assert_eq!(told(&body).unwrap(), (vec![], 1));
    let trailers = [post(1, &[]), frame(DATA, 0, 1, b"abc"), frame(HEADERS, 5, 1, &literal("x-t", "1"))];
    assert_eq!(told(&trailers).unwrap(), (vec![], 1));
    let unknown = [
        frame(0xfa, 0xff, 0, b"?"),
        frame(0xfa, 0, 7, b"?"),
        frame(SETTINGS, 0, 0, &[0xab, 0xcd, 0, 0, 0, 1]),
        get(1),
    ];
    assert_eq!(told(&unknown).unwrap(), (vec![], 1));
    assert_eq!(told(&[frame(PRIORITY, 0, 9, &[0, 0, 0, 1, 9]), get(1)]).unwrap(), (vec![], 1));
}

#[test]
fn frames_out_of_place_end_the_connection() {
    let cases: [(&[Vec<u8>], Reason); 23] = [
        (&[frame(DATA, 0, 1, b"a")], Reason::PROTOCOL_ERROR),
        (&[frame(DATA, 0, 0, b"a")], Reason::PROTOCOL_ERROR),
        (&[frame(HEADERS, 5, 0, GET)], Reason::PROTOCOL_ERROR),
        (&[get(2)], Reason::PROTOCOL_ERROR),
        (&[get(5), get(3)], Reason::STREAM_CLOSED),
        (&[frame(HEADERS, 1, 1, GET), frame(DATA, 0, 1, b"")], Reason::PROTOCOL_ERROR),
        (&[frame(HEADERS, 1, 1, GET), frame(CONTINUATION, 4, 3, &[])], Reason::PROTOCOL_ERROR),
        (&[frame(CONTINUATION, 4, 1, &[])], Reason::PROTOCOL_ERROR),
        (&[frame(RST_STREAM, 0, 1, &[0; 4])], Reason::PROTOCOL_ERROR),
        (&[get(1), frame(RST_STREAM, 0, 1, &[0; 3])], Reason::FRAME_SIZE_ERROR),
        (&[frame(SETTINGS, 0, 1, &[])], Reason::PROTOCOL_ERROR),
        (&[frame(SETTINGS, 1, 0, &[0; 6])], Reason::FRAME_SIZE_ERROR),
        (&[frame(SETTINGS, 0, 0, &[0, 4, 0x80, 0, 0, 0])], Reason::FLOW_CONTROL_ERROR),
        (&[frame(PUSH_PROMISE, 4, 1, &[0; 4])], Reason::PROTOCOL_ERROR),
        (&[frame(PING, 0, 1, &[0; 8])], Reason::PROTOCOL_ERROR),
        (&[frame(PING, 0, 0, &[0; 7])], Reason::FRAME_SIZE_ERROR),
        (&[frame(GOAWAY, 0, 1, &[0; 8])], Reason::PROTOCOL_ERROR),
        (&[frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])], Reason::PROTOCOL_ERROR),
        (&[frame(WINDOW_UPDATE, 0, 0, &[0; 4])], Reason::PROTOCOL_ERROR),
        (&[frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff])], Reason::FLOW_CONTROL_ERROR),
        (&[frame(DATA, 0, 1, &vec![0; 16_385])], Reason::FRAME_SIZE_ERROR),
        (&[post(1, &[]), frame(DATA, 8, 1, &[2, 0])], Reason::PROTOCOL_ERROR),
        (&[frame(HEADERS, 5, 1, &[0xff, 0xff, 0xff, 0xff, 0xff])], Reason::COMPRESSION_ERROR),
    ];
    for (at, (frames, reason)) in cases.into_iter().enumerate() {
        assert_eq!(told(frames).unwrap_err(), reason, "case {at}");
    }
}

#[test]
fn messages_that_are_malformed_end_their_stream() {
    let with = |fields: &[u8]| frame(HEADERS, 5, 1, &[GET, fields].concat());
    for (why, head) in [
        ("upper case", with(&literal("X-A", "1"))),
        ("a field of the connection", with(&literal("connection", "close"))),
        ("another TE", with(&literal("te", "gzip"))),
        ("an unknown pseudo-header", with(&literal(":x", "1"))),
        ("a pseudo-header behind fields", with(&[&literal("x", "1")[..], &[0x87]].concat())),
        ("a pseudo-header twice", with(&[0x82])),
        ("a response's pseudo-header", with(&[0x88])),
        ("extended CONNECT that is not allowed", with(&literal(":protocol", "x"))),
        ("a line break", with(&literal("x", "1\r\ny: 2"))),
        ("no name", with(&literal("", "1"))),
        ("a length without a body", with(&literal("content-length", "1"))),
        ("no number", with(&literal("content-length", "+0"))),
        ("no method", frame(HEADERS, 5, 1, &GET[1..])),
        ("no path", frame(HEADERS, 5, 1, &[0x82, 0x86, 0x41, 1, b'a'])),
        ("an empty path", frame(HEADERS, 5, 1, &[&[0x82, 0x86, 0x41, 1, b'a', 0x44], &[0][..]].concat())),
        ("no scheme", frame(HEADERS, 5, 1, &[0x82, 0x84, 0x41, 1, b'a'])),
        (
            "two hosts",
            frame(
                HEADERS,
                5,
                1,
                &[&[0x82, 0x86, 0x84][..], &literal("host", "a"), &literal("host", "b")].concat(),
            ),
        ),
        (
            "user information",
            frame(HEADERS, 5, 1, &[&[0x82, 0x86, 0x84][..], &literal(":authority", "a@b")].concat()),
        ),
        ("itself before it", frame(HEADERS, 5 | 0x20, 1, &[&[0, 0, 0, 1, 9], GET].concat())),
    ] {
        // A good one behind it is served.
        let (reset, taken) = told(&[head, get(3)]).unwrap();
        assert_eq!(reset, [(1, Reason::PROTOCOL_ERROR)], "{why}");
        assert!(taken <= 2 && (why == "itself before it" || taken == 1), "{why}");
    }
}

#[test]
fn streams_end_for_what_comes_on_them() {
    resets(&[get(1), frame(DATA, 0, 1, b"a")], &[(1, Reason::STREAM_CLOSED)]);
    resets(&[get(1), frame(HEADERS, 5, 1, GET)], &[(1, Reason::STREAM_CLOSED)]);
    resets(&[post(1, &[]), frame(WINDOW_UPDATE, 0, 1, &[0; 4])], &[(1, Reason::PROTOCOL_ERROR)]);
    resets(
        &[post(1, &[]), frame(WINDOW_UPDATE, 0, 1, &[0x7f, 0xff, 0xff, 0xff])],
        &[(1, Reason::FLOW_CONTROL_ERROR)],
    );
    resets(&[post(1, &[]), frame(PRIORITY, 0, 1, &[0; 4])], &[(1, Reason::FRAME_SIZE_ERROR)]);
    for (length, body) in [("5", "abc"), ("2", "abc")] {
        let frames = [post(1, &literal("content-length", length)), frame(DATA, 1, 1, body.as_bytes())];
        resets(&frames, &[(1, Reason::PROTOCOL_ERROR)]);
    }
    let trailers = |block: &[u8], flags| [post(1, &[]), frame(HEADERS, flags, 1, block)];
    resets(&trailers(&[0x82], 5), &[(1, Reason::PROTOCOL_ERROR)]);
    resets(&trailers(&literal("x", "1"), 4), &[(1, Reason::PROTOCOL_ERROR)]);
    let many: Vec<_> = (0..5).map(|n| post(2 * n + 1, &[])).collect();
    resets(&many, &[(7, Reason::REFUSED_STREAM), (9, Reason::REFUSED_STREAM)]);
}

#[test]
fn more_than_a_window_is_an_error() {
    let body = |id, times| vec![frame(DATA, 0, id, &[0; 16_384]); times];
    let hold = |id| vec![post(id, &literal("x-hold", "1"))];
    let config = Config { stream_window: 65_536, connection_window: 131_072, ..Config::default() };
    let told = |pieces: &[Vec<Vec<u8>>]| told_by(config, &pieces.concat());
    assert_eq!(told(&[hold(1), body(1, 4)]).unwrap().0, []);
    assert_eq!(told(&[hold(1), body(1, 5)]).unwrap().0, [(1, Reason::FLOW_CONTROL_ERROR)]);
    assert_eq!(told(&[hold(1), hold(3), body(1, 4), body(3, 4)]).unwrap().0, []);
    let too_much = [hold(1), hold(3), hold(5), body(1, 4), body(3, 4), body(5, 1)];
    assert_eq!(told(&too_much).unwrap_err(), Reason::FLOW_CONTROL_ERROR);
    // What is taken may come again.
    let taken = [vec![post(1, &[])], body(1, 1)];
    assert_eq!(told(&taken).unwrap().0, []);
}

#[test]
fn floods_and_heads_without_end_end_the_connection() {
    ends_connection(&vec![frame(PING, 0, 0, &[0; 8]); 3000], Reason::ENHANCE_YOUR_CALM);
    ends_connection(&vec![frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0]); 300], Reason::ENHANCE_YOUR_CALM);
    let opened_and_reset = |n: u32| [get(2 * n + 1), frame(RST_STREAM, 0, 2 * n + 1, &[0, 0, 0, 8])].concat();
    let resets_at_once: Vec<_> = (0..200).map(opened_and_reset).collect();
    ends_connection(&resets_at_once, Reason::ENHANCE_YOUR_CALM);
    let made_us_reset = |n: u32| [post(2 * n + 1, &[]), frame(WINDOW_UPDATE, 0, 2 * n + 1, &[0; 4])].concat();
    let made_at_once: Vec<_> = (0..200).map(made_us_reset).collect();
    ends_connection(&made_at_once, Reason::ENHANCE_YOUR_CALM);
    let endless = vec![frame(CONTINUATION, 0, 1, &literal("x", "1").repeat(400)); 20];
    ends_connection(&[&[frame(HEADERS, 0, 1, GET)], &endless[..]].concat(), Reason::ENHANCE_YOUR_CALM);
    // Too large, but it ends: the stream's own affair.
    let large = frame(HEADERS, 5, 1, &[GET, &literal("x", &"v".repeat(100)).repeat(20)].concat());
    resets(&[large], &[(1, Reason::NO_ERROR)]);
}

#[test]
fn another_protocol_is_told_so() {
    run(async {
        let (mut near, far) = tokio::io::duplex(4096);
        let ended = serve(far, Config::default(), |_| async {});
        near.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        assert!(matches!(ended.await.unwrap(), Some(Error::Violation(Reason::PROTOCOL_ERROR, _))));
    });
}
