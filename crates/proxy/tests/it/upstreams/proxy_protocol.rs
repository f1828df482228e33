//! The PROXY protocol, towards upstreams and from clients.

use ir::cluster::ProxyProtocol;
use ir::listener::ListenerFilter;
use ir::*;

use crate::support::Setup;
use crate::support::backend::{self, Backend};
use crate::support::client::Client;

/// A proxy for TCP whose upstream repeats what it hears.
fn echo(version: ProxyProtocol) -> Setup {
    let mut setup = Setup::new().cluster("b", &[backend::tcp_echo()]);
    setup.clusters[0].proxy_protocol = Some(version);
    setup.terminal = Some(Terminal::Tcp(TcpProxy::to("test", "b")));
    setup
}

#[test]
fn an_upstream_is_told_who_the_client_is() {
    let proxy = echo(ProxyProtocol::V1).start();
    let mut client = Client::connect(proxy.address);
    client.send("hi");
    let port = client.stream().local_addr().unwrap().port();
    let expected = format!("PROXY TCP4 127.0.0.1 127.0.0.1 {port} {}\r\nhi", proxy.address.port());
    assert_eq!(client.read_exact(expected.len()), expected.as_bytes());
    let proxy = echo(ProxyProtocol::V2).start();
    let mut client = Client::connect(proxy.address);
    let seen = client.read_exact(28);
    assert_eq!(&seen[..16], b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c");
    assert_eq!(&seen[24..26], &client.stream().local_addr().unwrap().port().to_be_bytes());
}

#[test]
fn connections_with_a_header_are_not_shared_by_clients() {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let into = seen.clone();
    let upstream = backend::tcp(move |mut stream| {
        use std::io::{BufRead, BufReader, Write};
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
        into.lock().unwrap().push(lines.next().unwrap_or_default());
        while lines.by_ref().any(|line| line.is_empty()) {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        }
    });
    let mut setup = Setup::new().cluster("b", &[upstream]).route("/", "b");
    setup.clusters[0].proxy_protocol = Some(ProxyProtocol::V1);
    setup.concurrency = 1;
    let proxy = setup.start();
    let (mut one, mut two) = (Client::connect(proxy.address), Client::connect(proxy.address));
    assert_eq!([one.get("/").status, two.get("/").status, one.get("/").status], [200; 3]);
    let seen = seen.lock().unwrap();
    let ports = [&mut one, &mut two].map(|client| client.stream().local_addr().unwrap().port());
    assert_eq!(seen.len(), 2, "{seen:?}");
    for (line, port) in seen.iter().zip(ports) {
        assert!(line.starts_with("PROXY TCP4 127.0.0.1 ") && line.contains(&port.to_string()), "{line}");
    }
}

/// Whether and how a client that says this first is answered.
fn ask(filter: ListenerFilter, first: &[u8]) -> Option<String> {
    let backend = Backend::start("a");
    let mut setup = Setup::new().cluster("b", &[backend.address]).route("/", "b");
    setup.listener_filters = vec![filter];
    setup.hcm.use_remote_address = true;
    let proxy = setup.start();
    let mut client = Client::connect(proxy.address);
    client.send(first);
    client.send("GET /headers HTTP/1.1\r\nHost: a\r\n\r\n");
    client.read().ok().map(|reply| reply.text())
}

#[test]
fn a_client_says_who_it_is() {
    let needed = || ListenerFilter::ProxyProtocol { optional: false, disallowed: Vec::new() };
    let v1 = b"PROXY TCP4 203.0.113.7 203.0.113.1 1234 80\r\n";
    let told = ask(needed(), v1).unwrap();
    assert!(told.contains("x-forwarded-for: 203.0.113.7"), "{told}");
    let v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\x08\xcb\0\x71\x01\x04\xd2\0\x50";
    let told = ask(needed(), v2).unwrap();
    assert!(told.contains("x-forwarded-for: 203.0.113.8"), "{told}");
    let told = ask(needed(), b"PROXY UNKNOWN\r\n").unwrap();
    assert!(told.contains("x-forwarded-for: 127.0.0.1"), "{told}");
    assert_eq!(ask(needed(), b""), None, "the header is needed");
    assert_eq!(ask(needed(), b"PROXY nonsense\r\n"), None);
}

#[test]
fn a_header_may_be_left_out_where_that_is_allowed() {
    let optional = |disallowed| ListenerFilter::ProxyProtocol { optional: true, disallowed };
    let told = ask(optional(Vec::new()), b"").unwrap();
    assert!(told.contains("x-forwarded-for: 127.0.0.1"), "{told}");
    let v1 = b"PROXY TCP4 203.0.113.7 203.0.113.1 1234 80\r\n";
    assert!(ask(optional(Vec::new()), v1).unwrap().contains("203.0.113.7"));
    let only_v2 = ListenerFilter::ProxyProtocol { optional: false, disallowed: vec![ProxyProtocol::V1] };
    assert_eq!(ask(only_v2, v1), None);
}
