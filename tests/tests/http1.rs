//! The corpus of HTTP/1.1 read by a real Envoy: the same verdict as ours, or a reason.

#[path = "../../crates/http1/corpus/mod.rs"]
mod corpus;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use corpus::differences::{self, LAXER_THAN_ENVOY, STRICTER_THAN_ENVOY};
use corpus::{Case, End, Message, strict};
use serde_json::json;

/// A process that ends with the test.
struct Envoy(Child);

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One listener, one route for everything, one upstream.
fn start(binary: &Path, folder: &Path, to: SocketAddr) -> (Envoy, SocketAddr) {
    let address =
        TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let socket = |address: SocketAddr| json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}});
    let route = json!({"match": {"safe_regex": {"regex": ".*"}}, "route": {"cluster": "c"}});
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "h",
        "codec_type": "HTTP1",
        "delayed_close_timeout": "0.02s",
        "route_config": {"virtual_hosts": [{"name": "v", "domains": ["*"], "routes": [route]}]},
        "http_filters": [{
            "name": "router",
            "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
        }],
    });
    let endpoint = json!({"endpoint": {"address": socket(to)}});
    let bootstrap = json!({"static_resources": {
        "listeners": [{
            "name": "l",
            "address": socket(address),
            "filter_chains": [{"filters": [{"name": "hcm", "typed_config": manager}]}],
        }],
        "clusters": [{
            "name": "c",
            "type": "STATIC",
            "load_assignment": {"cluster_name": "c", "endpoints": [{"lb_endpoints": [endpoint]}]},
        }],
    }});
    let path = folder.join("envoy.json");
    std::fs::write(&path, bootstrap.to_string()).expect("writing a bootstrap");
    let child = Command::new(binary)
        .args(["--use-dynamic-base-id", "--concurrency", "1", "-l", "critical", "-c"])
        .arg(&path)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("starting Envoy");
    let envoy = Envoy(child);
    testkit::eventually("Envoy listens", Duration::from_secs(20), || {
        TcpStream::connect(address).map(drop).map_err(|error| error.to_string())
    });
    (envoy, address)
}

type Seen = Arc<Mutex<Vec<Result<Message, String>>>>;

/// An upstream that answers whole requests, read strictly, and notes them.
fn recorder() -> (SocketAddr, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let (address, seen) = (listener.local_addr().expect("an address"), Seen::default());
    let notes = seen.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let notes = notes.clone();
            std::thread::spawn(move || record(stream, &notes));
        }
    });
    (address, seen)
}

fn record(mut stream: TcpStream, notes: &Seen) {
    let (mut unread, mut room) = (Vec::new(), [0; 4096]);
    while let Ok(len @ 1..) = stream.read(&mut room) {
        unread.extend_from_slice(&room[..len]);
        loop {
            match strict::read(&unread) {
                strict::Read::Part => break,
                strict::Read::Whole(message, len) => {
                    notes.lock().expect("no panic").push(Ok(message));
                    unread.drain(..len);
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
                }
                strict::Read::Ambiguous(why) => {
                    notes.lock().expect("no panic").push(Err(why));
                    let _ = stream
                        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                    return;
                }
            }
        }
    }
}

/// Statuses of the answers to a case.
fn answers(to: SocketAddr, case: &Case) -> Vec<String> {
    let expected = case.messages.len() + usize::from(matches!(case.end, End::Refused(_)));
    let mut stream = TcpStream::connect(to).expect("Envoy accepts");
    stream.set_read_timeout(Some(Duration::from_millis(20))).expect("a timeout");
    let _ = stream.write_all(&case.bytes);
    let (mut read, mut room, begin, mut shut) = (Vec::new(), [0; 4096], Instant::now(), false);
    loop {
        let late = begin.elapsed() > Duration::from_millis(1500);
        if !shut && (statuses(&read).len() >= expected || late) {
            shut = stream.shutdown(Shutdown::Write).is_ok();
        }
        match stream.read(&mut room) {
            Ok(0) => break,
            Ok(len) => read.extend_from_slice(&room[..len]),
            Err(error)
                if error.kind() == std::io::ErrorKind::WouldBlock
                    && begin.elapsed() < Duration::from_secs(4) => {}
            Err(_) => break,
        }
    }
    statuses(&read)
}

/// Of final answers. The bodies are too short to have a status line in them.
fn statuses(read: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(read);
    let statuses = text.split("HTTP/1.1 ").skip(1).map(|rest| rest.chars().take(3).collect());
    statuses.filter(|status: &String| !status.starts_with('1')).collect()
}

/// Not laxer than both: what we accept and Envoy does not, hyper accepts (`http1`'s own tests).
#[test]
fn envoy_agrees_or_there_is_a_reason() {
    let Some(binary) = testkit::envoy("http1::envoy_agrees_or_there_is_a_reason") else { return };
    for table in [STRICTER_THAN_ENVOY, LAXER_THAN_ENVOY] {
        assert_eq!(differences::strangers(table), [""; 0]);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (upstream, seen) = recorder();
    let (_envoy, address) = start(&binary, folder.path(), upstream);
    let mut wrong = Vec::new();
    for case in corpus::requests() {
        let told = answers(address, &case);
        let forwarded = std::mem::take(&mut *seen.lock().expect("no panic"));
        let refused = told.iter().any(|status| status != "200") || told.len() < forwarded.len();
        let ours: Vec<Result<Message, String>> = case.messages.iter().cloned().map(Ok).collect();
        let same = forwarded == ours && refused == matches!(case.end, End::Refused(_));
        let stricter = differences::names(STRICTER_THAN_ENVOY, &case.name);
        let laxer = differences::names(LAXER_THAN_ENVOY, &case.name);
        let fine = match case.end {
            _ if same => !stricter && !laxer,
            End::Refused(_) => stricter && !laxer,
            End::Clean => laxer && !stricter && refused,
            End::Incomplete => false,
        };
        if !fine {
            let end = case.end;
            wrong.push(format!("{}: here {end:?} after {ours:?}, there {told:?} {forwarded:?}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
