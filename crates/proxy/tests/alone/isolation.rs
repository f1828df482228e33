//! Clients that stall, servers that never answer and floods of streams: what they cost the others.
//!
//! One worker serves everybody. Quiet windows and disturbed ones take turns, and the medians of their
//! 99th percentiles are compared, so that a busy machine slows both.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ir::HttpProtocol;

use crate::alone;
use crate::support::backend::{self, Backend};
use crate::support::client::Client;
use crate::support::raw::{self, Raw};
use crate::support::{Running, Setup};

const CLIENTS: usize = 4;
const WINDOW: Duration = Duration::from_millis(250);
/// Whatever the machine does, this is no load.
const STARVED: Duration = Duration::from_secs(1);
/// Until buffers on the way are full.
const SETTLE: Duration = Duration::from_millis(250);
/// Quiet ones, and as many disturbed ones.
const WINDOWS: usize = 3;
/// Below this nobody notices, in a build without optimization: who starves waits for seconds.
const FLOOR: Duration = Duration::from_millis(30);

/// Runs `disturb` in threads of its own in every other window, and holds the others to what they
/// had without.
fn undisturbed(to: SocketAddr, request: &'static str, disturb: impl Fn(&Flag) + Send + Sync + 'static) {
    let on = Flag::default();
    let ended = Flag::default();
    let disturber = {
        let (on, ended) = (on.clone(), ended.clone());
        std::thread::spawn(move || {
            while !ended.is_set() {
                match on.is_set() {
                    true => disturb(&on),
                    false => std::thread::sleep(Duration::from_millis(2)),
                }
            }
        })
    };
    measure(to, request, WINDOW / 2);
    let (mut quiet, mut disturbed) = (Vec::new(), Vec::new());
    for _ in 0..WINDOWS {
        quiet.push(p99(measure(to, request, WINDOW)));
        on.set(true);
        // Until it is in the way; to get there is work like any other.
        while !on.is_ready() {
            std::thread::sleep(Duration::from_millis(2));
        }
        std::thread::sleep(SETTLE);
        disturbed.push(p99(measure(to, request, WINDOW)));
        on.set(false);
        std::thread::sleep(Duration::from_millis(50));
    }
    ended.set(true);
    disturber.join().unwrap();
    let (quiet, disturbed) = (median(quiet), median(disturbed));
    println!("p99 {quiet:?} alone, {disturbed:?} beside the disturber");
    assert!(quiet < STARVED, "p99 {quiet:?} without the disturber: something of it has stayed");
    assert!(disturbed <= (quiet * 2).max(FLOOR), "p99 {disturbed:?}, and {quiet:?} without the disturber");
}

#[derive(Clone, Default)]
struct Flag(Arc<AtomicBool>, Arc<AtomicBool>);

impl Flag {
    fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    fn set(&self, to: bool) {
        self.1.store(false, Ordering::SeqCst);
        self.0.store(to, Ordering::SeqCst);
    }

    /// What disturbs is under way.
    fn ready(&self) {
        self.1.store(true, Ordering::SeqCst);
    }

    fn is_ready(&self) -> bool {
        self.1.load(Ordering::SeqCst)
    }

    /// Disturbs until it is not wanted any more.
    fn stay(&self) {
        self.ready();
        while self.is_set() {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// What requests of a steady load took.
fn measure(to: SocketAddr, request: &'static str, window: Duration) -> Vec<Duration> {
    let clients: Vec<JoinHandle<Vec<Duration>>> = (0..CLIENTS)
        .map(|_| {
            std::thread::spawn(move || {
                let (end, mut took) = (Instant::now() + window, Vec::new());
                let mut client = Client::connect(to);
                client.stream().set_read_timeout(Some(Duration::from_secs(2))).unwrap();
                while Instant::now() < end {
                    let begin = Instant::now();
                    client.send(request);
                    match client.read() {
                        Ok(reply) => assert_eq!(reply.status, 200),
                        // Starved: as long as it was waited for.
                        Err(_) => client = Client::connect(to),
                    }
                    took.push(begin.elapsed());
                    std::thread::sleep(Duration::from_millis(2));
                }
                took
            })
        })
        .collect();
    clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
}

fn p99(mut all: Vec<Duration>) -> Duration {
    all.sort();
    all[(all.len() * 99 / 100).min(all.len() - 1)]
}

fn median(mut all: Vec<Duration>) -> Duration {
    all.sort();
    all[all.len() / 2]
}

/// One worker before a server that is spoken to by this protocol.
fn proxy(protocol: HttpProtocol, to: SocketAddr) -> Running {
    let mut setup = Setup::new().cluster("b", &[to]).route("/", "b");
    setup.clusters[0].protocol = protocol;
    setup.concurrency = 1;
    setup.start()
}

/// A connection whose peer may send next to nothing ahead.
fn narrow(to: SocketAddr) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect(to).await.unwrap().into_std().unwrap()
    });
    stream.set_nonblocking(false).unwrap();
    stream
}

const GET: &str = "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n";
/// With a body both ways, which needs windows.
const POST: &str = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789";

#[test]
fn readers_of_one_byte_a_second() {
    let _alone = alone();
    for protocol in [HttpProtocol::Http1, HttpProtocol::Http2] {
        let backend = Backend::start("b");
        let proxy = proxy(protocol, backend.address);
        let to = proxy.address;
        undisturbed(to, POST, move |on| {
            let mut slow: Vec<TcpStream> = (0..8).map(|_| narrow(to)).collect();
            for stream in &mut slow {
                stream.write_all(b"GET /big/8000000 HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
                stream.read_exact(&mut [0]).unwrap();
            }
            on.stay();
        });
    }
}

#[test]
fn a_server_that_never_answers() {
    let _alone = alone();
    for protocol in [HttpProtocol::Http1, HttpProtocol::Http2] {
        let backend = Backend::start("b");
        let proxy = proxy(protocol, backend.address);
        let to = proxy.address;
        undisturbed(to, GET, move |on| {
            let mut waiting: Vec<Client> = (0..64).map(|_| Client::connect(to)).collect();
            for client in &mut waiting {
                client.send("GET /sleep/60000 HTTP/1.1\r\nHost: a\r\n\r\n");
            }
            on.stay();
        });
    }
}

/// Two sidecars with HTTP/2 between them. A server behind them does not read what it is sent.
#[test]
fn a_server_that_does_not_read() {
    let _alone = alone();
    let stuck = backend::tcp(|stream| {
        std::thread::sleep(Duration::from_secs(30));
        drop(stream);
    });
    let backend = Backend::start("b");
    let mut setup = Setup::new().cluster("stuck", &[stuck]).cluster("b", &[backend.address]);
    setup = setup.route("/stuck", "stuck").route("/", "b");
    setup.concurrency = 1;
    let inbound = setup.start();
    let outbound = proxy(HttpProtocol::Http2, inbound.address);
    let to = outbound.address;
    undisturbed(to, POST, move |on| {
        let uploads: Vec<_> = (0..8)
            .map(|_| {
                std::thread::spawn(move || {
                    let mut stream = TcpStream::connect(to).unwrap();
                    stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
                    let head = "POST /stuck HTTP/1.1\r\nHost: a\r\nContent-Length: 80000000\r\n\r\n";
                    stream.write_all(head.as_bytes()).unwrap();
                    let _ = stream.write_all(&vec![b'x'; 16_000_000]);
                    stream
                })
            })
            .collect();
        let uploads: Vec<TcpStream> = uploads.into_iter().map(|upload| upload.join().unwrap()).collect();
        on.stay();
        drop(uploads);
    });
}

#[test]
fn a_flood_of_streams() {
    let _alone = alone();
    let backend = Backend::start("b");
    let proxy = proxy(HttpProtocol::Http2, backend.address);
    let to = proxy.address;
    undisturbed(to, GET, move |on| {
        let mut client = Raw::connect(to, &[]);
        // As many as a connection may have, and they stay.
        for id in 0..1000 {
            client.send(&raw::get(id * 2 + 1, "/sleep/60000"));
        }
        on.stay();
    });
}

#[test]
fn a_flood_of_resets() {
    let _alone = alone();
    let backend = Backend::start("b");
    let proxy = proxy(HttpProtocol::Http2, backend.address);
    let to = proxy.address;
    let floods = Arc::new(AtomicUsize::new(0));
    let count = floods.clone();
    undisturbed(to, GET, move |on| {
        // The connection ends, and the next one begins.
        on.ready();
        while on.is_set() {
            let mut client = Raw::connect(to, &[]);
            count.fetch_add(1, Ordering::SeqCst);
            for id in 0..2000 {
                let both = [raw::get(id * 2 + 1, "/sleep/60000"), raw::reset(id * 2 + 1, raw::CANCEL)];
                if client.try_send(&both.concat()).is_err() || !on.is_set() {
                    break;
                }
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let floods = floods.load(Ordering::SeqCst);
    let ended = proxy.stat("http.test.downstream_cx_protocol_error");
    assert!(floods >= WINDOWS && ended >= WINDOWS as u64 - 1, "{floods} floods, {ended} were ended");
}
