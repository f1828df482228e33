//! Clients that want to cost more than they pay. Each has its connection ended or held, with the
//! code that RFC 9113 has for it, and others notice nothing.

use std::time::{Duration, Instant};

use ir::http::Http2Options;
use ir::{HttpConnectionManager, HttpProtocol};

use crate::support::backend::Backend;
use crate::support::client::Client;
use crate::support::raw::*;
use crate::support::{Running, Setup};

/// One worker, so that others would notice.
fn proxy(backend: &Backend, edit: impl FnOnce(&mut HttpConnectionManager)) -> Running {
    let mut setup = Setup::new().cluster("b", &[backend.address]).route("/", "b");
    setup.clusters[0].protocol = HttpProtocol::Http2;
    setup.concurrency = 1;
    edit(&mut setup.hcm);
    setup.start()
}

/// Sends `attack` over and over beside another client, until the connection is told to be calm.
#[track_caller]
fn flood(proxy: &Running, raw: &mut Raw, attack: impl Fn(u32) -> Vec<u8>) {
    let mut other = Client::connect(proxy.address);
    for round in 0..400 {
        let batch: Vec<u8> = (0..50).flat_map(|n| attack(round * 50 + n)).collect();
        if raw.try_send(&batch).is_err() {
            break;
        }
        if round % 10 == 0 {
            let begin = Instant::now();
            assert_eq!(other.get("/").status, 200);
            assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
        }
    }
    assert_eq!(told(raw), ENHANCE_YOUR_CALM);
    assert_eq!(other.get("/").status, 200);
}

/// The code of the GOAWAY, after which nothing comes.
#[track_caller]
fn told(raw: &mut Raw) -> u32 {
    let mut code = None;
    while let Some(frame) = raw.next() {
        if frame.kind == GOAWAY {
            code = Some(frame.code());
        }
    }
    code.expect("a GOAWAY")
}

#[test]
fn a_flood_of_resets_ends() {
    let backend = Backend::start("b");
    let proxy = proxy(&backend, |_| {});
    let mut raw = Raw::connect(proxy.address, &[]);
    flood(&proxy, &mut raw, |n| [get(2 * n + 1, "/sleep/5000"), reset(2 * n + 1, CANCEL)].concat());
    assert!(backend.seen() < 600, "{}", backend.seen());
}

/// Slow enough for each request to be looked at before it is reset.
#[test]
fn a_slow_flood_of_resets_ends_too() {
    let backend = Backend::start("b");
    let proxy = proxy(&backend, |_| {});
    let mut raw = Raw::connect(proxy.address, &[]);
    for round in 0..14 {
        let streams = (0..20).map(|n| 2 * (round * 20 + n) + 1);
        let open: Vec<u8> = streams.clone().flat_map(|id| get(id, "/sleep/5000")).collect();
        let close: Vec<u8> = streams.flat_map(|id| reset(id, CANCEL)).collect();
        if raw.try_send(&open).is_err() {
            break;
        }
        // Not longer: the last ones are not looked at any more.
        let end = Instant::now() + Duration::from_millis(400);
        while backend.seen() < (round as usize + 1) * 20 && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(1));
        }
        if raw.try_send(&close).is_err() {
            break;
        }
    }
    assert_eq!(told(&mut raw), ENHANCE_YOUR_CALM);
    proxy.expect_stat("http.test.downstream_rq_too_many_premature_resets", 1);
    assert!(backend.seen() <= 300, "{}", backend.seen());
}

#[test]
fn a_head_in_endless_pieces_ends() {
    let backend = Backend::start("b");
    let proxy = proxy(&backend, |_| {});
    let mut raw = Raw::connect(proxy.address, &[]);
    raw.send(&frame(HEADERS, END_STREAM, 1, &block(false, "/")));
    flood(&proxy, &mut raw, |_| frame(CONTINUATION, 0, 1, &literal("x-a", "1")));
    assert_eq!(backend.seen() as u64, proxy.stat("http.test.downstream_rq_total"), "it was no request");
}

#[test]
fn frames_that_cost_nothing_end() {
    let backend = Backend::start("b");
    let proxy = proxy(&backend, |_| {});
    let settings = settings_frame(&[(4, 70_000)]);
    let mut raw = Raw::connect(proxy.address, &[]);
    flood(&proxy, &mut raw, |_| settings.clone());
    let mut raw = Raw::connect(proxy.address, &[]);
    flood(&proxy, &mut raw, |_| frame(PING, 0, 0, &[0; 8]));
    let mut raw = Raw::connect(proxy.address, &[]);
    raw.send(&post(1, "/echo", &[]));
    flood(&proxy, &mut raw, |_| frame(DATA, 0, 1, &[]));
    let mut raw = Raw::connect(proxy.address, &[]);
    flood(&proxy, &mut raw, |_| frame(WINDOW_UPDATE, 0, 0, &1u32.to_be_bytes()));
}

#[test]
fn a_client_that_opens_no_window_is_left() {
    let backend = Backend::start("b");
    let proxy = proxy(&backend, |hcm| hcm.stream_idle_timeout = Some(Duration::from_millis(300)));
    let mut raw = Raw::connect(proxy.address, &[(4, 0)]);
    raw.send(&get(1, "/big/3000000"));
    assert_eq!(raw.until(HEADERS).status(), 200);
    let end = raw.until(RST_STREAM);
    assert_eq!((end.stream, end.code()), (1, CANCEL));
    let line = proxy.logged("GET /big/3000000");
    assert!(line.contains(" 200 SI stream_idle_timeout "), "{line}");
    assert!(sent(&line) <= 512 * 1024, "{line}");
    // The connection goes on.
    raw.send(&get(3, "/status/404"));
    assert_eq!(raw.until(HEADERS).status(), 404);
}

/// `tx=` of a line of the log: what was taken from the upstream.
fn sent(line: &str) -> u64 {
    let (_, rest) = line.split_once("tx=").unwrap();
    rest.split(' ').next().unwrap().parse().unwrap()
}

/// Windows as wide as can be, and a socket that nobody reads.
#[test]
fn what_a_client_does_not_read_is_not_kept() {
    let backend = Backend::start("b");
    let proxy = proxy(&backend, |_| {});
    let mut raw = Raw::connect(proxy.address, &[(4, 0x7fff_ffff)]);
    raw.send(&frame(WINDOW_UPDATE, 0, 0, &0x7fff_0000u32.to_be_bytes()));
    for n in 0..64 {
        raw.send(&get(2 * n + 1, "/big/2000000"));
    }
    std::thread::sleep(Duration::from_millis(600));
    drop(raw);
    let end = Instant::now() + Duration::from_secs(5);
    let lines = loop {
        let text = proxy.log_text();
        let lines: Vec<_> = text.lines().filter(|line| line.starts_with("GET /big/")).map(sent).collect();
        if lines.len() == 64 {
            break lines;
        }
        assert!(Instant::now() < end, "{} of 64 lines", lines.len());
        std::thread::sleep(Duration::from_millis(20));
    };
    // The socket's buffers of both ends, and what is ours.
    assert!(lines.iter().sum::<u64>() < 24_000_000, "{lines:?}");
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let backend = Backend::start("b");
    let proxy = proxy(&backend, |_| {});
    let mut raw = Raw::connect(proxy.address, &[]);
    let large = [block(false, "/"), literal("x-large", &"a".repeat(70_000))].concat();
    let mut pieces = large.chunks(16_384).peekable();
    raw.send(&frame(HEADERS, END_STREAM, 1, pieces.next().unwrap()));
    while let Some(piece) = pieces.next() {
        let last = if pieces.peek().is_none() { END_HEADERS } else { 0 };
        raw.send(&frame(CONTINUATION, last, 1, piece));
    }
    let answer = raw.until(HEADERS);
    assert_eq!((answer.stream, answer.status()), (1, 431), "{answer:?}");
    raw.send(&get(3, "/"));
    assert_eq!(raw.until(HEADERS).status(), 200);
    let mut raw = Raw::connect(proxy.address, &[]);
    let many: Vec<u8> = (0..200).flat_map(|n| literal(&format!("x-{n}"), "1")).collect();
    raw.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &[block(false, "/"), many].concat()));
    assert_eq!(raw.until(HEADERS).status(), 431);
    assert_eq!(backend.seen(), 1);
}

/// A header of 4 KB, remembered once and then named by one byte each.
#[test]
fn a_small_head_that_unpacks_to_a_large_one_is_refused() {
    let backend = Backend::start("b");
    let proxy = proxy(&backend, |_| {});
    let mut raw = Raw::connect(proxy.address, &[]);
    let value = "a".repeat(3_900);
    let remembered = [&[0x40, 1, b'x'][..], &integer(value.len(), 7), value.as_bytes()].concat();
    let bomb = [block(false, "/"), remembered, vec![0xbe; 12_000]].concat();
    let mut other = Client::connect(proxy.address);
    raw.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &bomb));
    match raw
        .next()
        .into_iter()
        .chain(std::iter::from_fn(|| raw.next()))
        .find(|f| [HEADERS, GOAWAY].contains(&f.kind))
    {
        Some(frame) if frame.kind == GOAWAY => assert_eq!(frame.code(), ENHANCE_YOUR_CALM),
        Some(frame) => assert_eq!(frame.status(), 431),
        None => panic!("an answer"),
    }
    assert_eq!((other.get("/").status, backend.seen()), (200, 1));
}

#[test]
fn streams_beyond_the_limit_are_refused() {
    let backend = Backend::start("b");
    let proxy = proxy(&backend, |hcm| {
        hcm.http2 = Http2Options { max_concurrent_streams: Some(2), ..Http2Options::default() };
    });
    let mut raw = Raw::connect(proxy.address, &[]);
    let open: Vec<u8> = [1, 3, 5].into_iter().flat_map(|id| get(id, "/sleep/300")).collect();
    raw.send(&open);
    let refused = raw.until(RST_STREAM);
    assert_eq!((refused.stream, refused.code()), (5, REFUSED_STREAM));
    assert_eq!((raw.until(HEADERS).status(), raw.until(HEADERS).status()), (200, 200));
    assert_eq!(backend.seen(), 2);
}

#[test]
fn a_body_of_another_length_than_announced_is_an_error() {
    let backend = Backend::start("b");
    let proxy = proxy(&backend, |_| {});
    let mut raw = Raw::connect(proxy.address, &[]);
    for (id, body) in [(1, "abc"), (3, "abcdefg")] {
        raw.send(&post(id, "/echo", &literal("content-length", "5")));
        raw.send(&frame(DATA, END_STREAM, id, body.as_bytes()));
        let end = raw.until(RST_STREAM);
        assert_eq!((end.stream, end.code()), (id, PROTOCOL_ERROR), "{body}");
    }
    raw.send(&get(5, "/"));
    assert_eq!(raw.until(HEADERS).status(), 200);
}
