//! An endpoint that closes connections at any time: what is safe to send again is sent again, once,
//! and nothing else is (RFC 9110, section 9.2.2).

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use engine::Dice;
use engine::dice::{SplitMix, below};
use ir::HttpProtocol;

use crate::support::Setup;
use crate::support::backend;
use crate::support::client::Client;

/// How often each request has arrived, by its path.
type Seen = Arc<Mutex<HashMap<String, usize>>>;

/// Answers some requests of a connection, and then closes it: idle after a while, or when the next
/// request has come.
fn adversary() -> (SocketAddr, Seen) {
    let seen = Seen::default();
    let (into, dice) = (seen.clone(), Mutex::new(SplitMix(11)));
    let address = backend::tcp(move |stream| {
        let (answers, how, wait) = {
            let dice: &mut dyn Dice = &mut *dice.lock().unwrap();
            (1 + below(dice, 3), below(dice, 2), below(dice, 4))
        };
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        for _ in 0..answers {
            if !serve(&mut reader, &stream, &into) {
                return;
            }
        }
        match how {
            0 => std::thread::sleep(Duration::from_millis(wait)),
            // Mid-request: the head has come, and nobody answers.
            _ => count(read_request(&mut reader), &into),
        }
    });
    (address, seen)
}

fn serve(reader: &mut BufReader<TcpStream>, mut stream: &TcpStream, seen: &Seen) -> bool {
    let Some(path) = read_request(reader) else { return false };
    count(Some(path), seen);
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").is_ok()
}

fn count(path: Option<String>, seen: &Seen) {
    if let Some(path) = path {
        *seen.lock().unwrap().entry(path).or_default() += 1;
    }
}

/// The path of a request, read with its body.
fn read_request(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok()?;
        }
    }
    reader.read_exact(&mut vec![0; length]).ok()?;
    Some(path)
}

const REQUESTS: usize = 300;

#[test]
fn what_is_safe_to_repeat_never_fails() {
    let (address, _) = adversary();
    let mut setup = Setup::new().cluster("b", &[address]).route("/", "b");
    setup.concurrency = 1;
    let proxy = setup.start();
    let mut client = Client::connect(proxy.address);
    let mut dice = SplitMix(1);
    for n in 0..REQUESTS {
        assert_eq!(client.get(&format!("/{n}")).status, 200, "GET {n}");
        std::thread::sleep(Duration::from_millis(below(&mut dice, 3)));
    }
    for n in 0..REQUESTS {
        client.send(format!("PUT /{n} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"));
        assert_eq!(client.read().unwrap().status, 200, "PUT {n}");
        std::thread::sleep(Duration::from_millis(below(&mut dice, 3)));
    }
}

#[test]
fn what_is_not_safe_arrives_once_at_most() {
    let (address, seen) = adversary();
    let mut setup = Setup::new().cluster("b", &[address]).route("/", "b");
    setup.concurrency = 1;
    let proxy = setup.start();
    let mut failed = 0;
    let mut client = Client::connect(proxy.address);
    for n in 0..REQUESTS {
        let status = client.post(&format!("/{n}"), b"body").status;
        assert!(matches!(status, 200 | 503), "{status}");
        failed += usize::from(status == 503);
    }
    let seen = seen.lock().unwrap();
    assert!(seen.values().all(|times| *times == 1), "{seen:?}");
    assert!(failed > 0, "the endpoint was no adversary");
}

/// Every second connection, the first one to begin with, is closed when the head of a request has come; the others
/// lead to `backend`.
fn every_second_dies(backend: SocketAddr) -> SocketAddr {
    let connections = AtomicUsize::new(0);
    backend::tcp(move |client| {
        if connections.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
            return read_a_head(&client);
        }
        let server = TcpStream::connect(backend).unwrap();
        let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(std::net::Shutdown::Write);
        });
        let _ = std::io::copy(&mut &server, &mut &client);
        let _ = client.shutdown(std::net::Shutdown::Both);
    })
}

/// Of either protocol.
fn read_a_head(client: &TcpStream) {
    let mut reader = BufReader::new(client.try_clone().unwrap());
    if !reader.fill_buf().is_ok_and(|bytes| bytes.starts_with(b"PRI")) {
        read_request(&mut reader);
        return;
    }
    let (mut preface, mut head) = ([0; 24], [0; 9]);
    reader.read_exact(&mut preface).unwrap();
    while reader.read_exact(&mut head).is_ok() {
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        if reader.read_exact(&mut vec![0; length]).is_err() || head[3] == 1 {
            return;
        }
    }
}

#[test]
fn a_new_connection_may_die_once() {
    for protocol in [HttpProtocol::Http1, HttpProtocol::Http2] {
        let backend = backend::Backend::start("b");
        let mut setup = Setup::new().cluster("b", &[every_second_dies(backend.address)]).route("/", "b");
        setup.clusters[0].protocol = protocol;
        setup.clusters[0].max_requests_per_connection = Some(1);
        setup.concurrency = 1;
        let proxy = setup.start();
        let mut client = Client::connect(proxy.address);
        for n in 0..20 {
            let text = match n % 2 {
                0 => format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n"),
                _ => format!("PUT /{n} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"),
            };
            client.send(text);
            assert_eq!(client.read().unwrap().status, 200, "{n} {protocol:?}");
        }
        assert_eq!(client.post("/post", b"body").status, 503, "it may have had an effect");
        assert_eq!(client.post("/post", b"body").status, 200);
        assert_eq!(backend.seen(), 21);
        assert_eq!(proxy.stat("cluster.b.upstream_rq_total"), 42);
        assert_eq!(proxy.stat("cluster.b.upstream_rq_retry"), 0);
    }
}

#[test]
fn who_always_closes_is_asked_twice() {
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = seen.clone();
    let address = backend::tcp(move |client| {
        read_a_head(&client);
        counted.fetch_add(1, Ordering::SeqCst);
    });
    let mut setup = Setup::new().cluster("b", &[address]).route("/", "b");
    setup.concurrency = 1;
    let proxy = setup.start();
    let mut client = Client::connect(proxy.address);
    assert_eq!(client.get("/").status, 503);
    assert_eq!(seen.load(Ordering::SeqCst), 2);
    assert_eq!(client.post("/", b"body").status, 503);
    assert_eq!(seen.load(Ordering::SeqCst), 3);
}
