//! Interim responses, and who says 100.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;

use crate::support::backend;
use crate::support::client::Client;
use crate::support::{Running, Setup};

/// An upstream that reads one request head and then does as it is told; the heads that it read.
fn upstream(then: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> (SocketAddr, mpsc::Receiver<String>) {
    let (sender, receiver) = mpsc::channel();
    let address = backend::tcp(move |mut stream| {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) > 0 {
            head.push(byte[0]);
        }
        let _ = sender.send(String::from_utf8(head).unwrap().to_ascii_lowercase());
        then(&mut stream);
    });
    (address, receiver)
}

fn proxy(to: SocketAddr, proxy_100_continue: bool) -> Running {
    let mut setup = Setup::new().cluster("b", &[to]).route("/", "b");
    setup.hcm.proxy_100_continue = proxy_100_continue;
    setup.start()
}

fn write(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).unwrap();
}

const WAITING: &str = "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
const DONE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn early_hints_come_through_over_http2() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let (to, _) = upstream(move |stream| {
        write(stream, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n");
        wait.lock().unwrap().recv().unwrap();
        write(stream, "HTTP/1.1 103 Early Hints\r\nLink: </b>\r\n\r\n");
        write(stream, DONE);
    });
    let second = proxy(to, false);
    let mut setup = Setup::new().cluster("b", &[second.address]).route("/", "b");
    setup.clusters[0].protocol = ir::HttpProtocol::Http2;
    let first = setup.start();
    let mut client = Client::connect(first.address);
    client.send("GET /h HTTP/1.1\r\nHost: a\r\n\r\n");
    let hints = client.read_head().unwrap();
    assert_eq!((hints.status, hints.header("link")), (103, Some("</a>")));
    go.send(()).unwrap();
    // Nobody waits for the 100.
    let hints = client.read_head().unwrap();
    assert_eq!((hints.status, hints.header("link")), (103, Some("</b>")));
    assert_eq!(client.read().unwrap().text(), "ok");
}

#[test]
fn early_hints_come_through_before_the_response() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let (to, _) = upstream(move |stream| {
        write(stream, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: x\r\nX: y\r\n\r\n");
        wait.lock().unwrap().recv().unwrap();
        write(stream, "HTTP/1.1 102 Processing\r\n\r\n");
        write(stream, DONE);
    });
    let proxy = proxy(to, false);
    let mut client = Client::connect(proxy.address);
    client.send("GET /h HTTP/1.1\r\nHost: a\r\n\r\n");
    let hints = client.read_head().unwrap();
    assert_eq!((hints.status, hints.headers.len(), hints.header("link")), (103, 1, Some("</a>")));
    go.send(()).unwrap();
    assert_eq!(client.read_head().unwrap().status, 102);
    assert_eq!(client.read().unwrap().text(), "ok");
    proxy.logged("GET /h HTTP/1.1 200 - via_upstream");
}

#[test]
fn the_upstream_says_100_if_it_may() {
    let (to, heads) = upstream(|stream| {
        write(stream, "HTTP/1.1 100 Continue\r\n\r\n");
        let mut body = [0; 5];
        stream.read_exact(&mut body).unwrap();
        assert_eq!(&body, b"hello");
        write(stream, DONE);
    });
    let proxy = proxy(to, true);
    let mut client = Client::connect(proxy.address);
    client.send(WAITING);
    assert_eq!(client.read_head().unwrap().status, 100);
    assert!(heads.recv().unwrap().contains("\r\nexpect: 100-continue\r\n"));
    client.send("hello");
    let reply = client.read().unwrap();
    assert_eq!((reply.status, reply.header("connection")), (200, None));
}

#[test]
fn an_upstream_that_does_not_want_the_body_is_heard() {
    let (to, _) =
        upstream(|stream| write(stream, "HTTP/1.1 413 Payload Too Large\r\nContent-Length: 0\r\n\r\n"));
    let proxy = proxy(to, true);
    let mut client = Client::connect(proxy.address);
    client.send(WAITING);
    let reply = client.read().unwrap();
    assert_eq!((reply.status, reply.header("connection")), (413, Some("close")));
    assert!(client.is_closed());
}

#[test]
fn otherwise_we_say_100() {
    let (to, heads) = upstream(|stream| {
        stream.read_exact(&mut [0; 5]).unwrap();
        write(stream, "HTTP/1.1 100 Continue\r\n\r\n");
        write(stream, DONE);
    });
    let proxy = proxy(to, false);
    let mut client = Client::connect(proxy.address);
    client.send(WAITING);
    assert_eq!(client.read_head().unwrap().status, 100);
    assert!(!heads.recv().unwrap().contains("\r\nexpect:"));
    client.send("hello");
    assert_eq!(client.read().unwrap().status, 200, "the upstream's 100 was for nobody");
}

#[test]
fn an_upstream_cannot_switch_by_itself_or_go_on_for_ever() {
    for answer in
        ["HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", &"HTTP/1.1 102 P\r\n\r\n".repeat(20)]
    {
        let text = answer.to_owned();
        let (to, _) = upstream(move |stream| write(stream, &text));
        let proxy = proxy(to, false);
        let mut client = Client::connect(proxy.address);
        client.send("GET /s HTTP/1.1\r\nHost: a\r\n\r\n");
        let reply = std::iter::from_fn(|| client.read_head().ok()).find(|reply| reply.status >= 200);
        assert_eq!(reply.map(|reply| reply.status), Some(502), "{answer}");
        proxy.logged("GET /s HTTP/1.1 502 UPE");
    }
}
