//! A scripted upstream: tells what it received, and does what the request's `x-do` asks for.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::{client, tls};

/// Starts one; it says `name` in its answers.
pub fn start(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let attempts: Attempts = Arc::default();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let attempts = attempts.clone();
            std::thread::spawn(move || {
                let _ = stream.set_nodelay(true);
                serve(name, stream, "", &attempts);
            });
        }
    });
    address
}

/// Starts one that speaks TLS, and says what was asked of it: the server's name, and by whom.
pub fn start_tls(name: &'static str, config: Arc<rustls::ServerConfig>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let attempts: Attempts = Arc::default();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (attempts, config) = (attempts.clone(), config.clone());
            std::thread::spawn(move || {
                let _ = stream.set_nodelay(true);
                let mut server = rustls::ServerConnection::new(config).expect("a server");
                while server.is_handshaking() {
                    if server.complete_io(&mut stream).is_err() {
                        return;
                    }
                }
                let via = tls::asked(&server);
                serve(name, rustls::StreamOwned::new(server, stream), &via, &attempts);
            });
        }
    });
    address
}

/// How often a case was seen.
type Attempts = Arc<Mutex<HashMap<String, u32>>>;

/// A request as it came.
pub struct Request {
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    fn get(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(n, _)| n == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    /// What it said, with headers in a fixed order.
    fn told(&self, backend: &str, via: &str) -> String {
        // A client of the same machine: Envoy writes the machine's address, we the client's.
        let own = |name: &str, value: &str| match name {
            "x-forwarded-for" => value.replace(&local_address(), "127.0.0.1"),
            _ => value.to_owned(),
        };
        let mut lines: Vec<String> =
            self.headers.iter().map(|(n, v)| format!("{n}: {}", own(n, v))).collect();
        lines.sort();
        let body = client::plain(self.get("content-encoding"), self.body.clone());
        let body = String::from_utf8_lossy(&body);
        format!("backend {backend}{via}\n{}\n{}\n\n{body}", self.line, lines.join("\n"))
    }
}

/// The address that this machine has towards others. Nothing is sent.
pub fn local_address() -> String {
    let found = std::net::UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        socket.connect("192.0.2.1:9")?;
        socket.local_addr()
    });
    found.map_or_else(|_| "127.0.0.1".to_owned(), |address| address.ip().to_string())
}

fn serve(name: &str, mut stream: impl Read + Write, via: &str, attempts: &Attempts) {
    let mut unread = Vec::new();
    while let Some(request) = read(&mut stream, &mut unread) {
        let seen = {
            let mut attempts = attempts.lock().expect("no panic");
            let count = attempts.entry(request.get("x-case").to_owned()).or_default();
            *count += 1;
            *count
        };
        if !answer(name, via, &mut stream, &request, seen) {
            return;
        }
    }
}

/// Whether the connection goes on.
fn answer(name: &str, via: &str, stream: &mut (impl Read + Write), request: &Request, seen: u32) -> bool {
    let mut status = "200".to_owned();
    let mut headers = Vec::new();
    let mut body = request.told(name, via).into_bytes();
    let (mut chunked, mut close, mut half, mut trailer) = (false, false, false, None);
    for step in request.get("x-do").split(' ').filter(|step| !step.is_empty()) {
        let (what, value) = step.split_once('=').unwrap_or((step, ""));
        let millis = || Duration::from_millis(value.parse().unwrap_or(0));
        match what {
            "status" => status = value.to_owned(),
            // `fail=2:503`: the first two attempts.
            "fail" => {
                let (times, code) = value.split_once(':').unwrap_or((value, "503"));
                if seen <= times.parse().unwrap_or(0) {
                    if code == "reset" {
                        return false;
                    }
                    status = code.to_owned();
                }
            }
            "set" => headers.push(value.replacen(':', ": ", 1).replace('+', " ")),
            "body" => body = value.replace('+', " ").into_bytes(),
            "size" => body = vec![b'x'; value.parse().unwrap_or(0)],
            "sleep" => std::thread::sleep(millis()),
            "chunked" => chunked = true,
            "trailer" => (chunked, trailer) = (true, Some(value.replacen(':', ": ", 1))),
            "close" => close = true,
            "half" => half = true,
            "reset" => return false,
            "garbage" => {
                let _ = stream.write_all(b"this is no http at all\r\n\r\n");
                return false;
            }
            "interim" => drop(stream.write_all(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n")),
            "raw" => {
                let raw = value.replace("\\r", "\r").replace("\\n", "\n").replace('+', " ");
                let _ = stream.write_all(raw.as_bytes());
                return false;
            }
            other => panic!("x-do: {other}"),
        }
    }
    if request.line.starts_with("CONNECT ") && status == "200" {
        return echo(stream, &headers, &body);
    }
    let mut head = format!("HTTP/1.1 {status} X\r\n");
    headers.iter().for_each(|header| head.push_str(&format!("{header}\r\n")));
    let bodiless = request.line.starts_with("HEAD ") || ["204", "304"].contains(&status.as_str());
    if close {
        head.push_str("connection: close\r\n");
    }
    let mut out;
    if chunked && !bodiless {
        out = format!("{head}transfer-encoding: chunked\r\n\r\n").into_bytes();
        for part in body.chunks(1000) {
            out.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
            out.extend_from_slice(part);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"0\r\n");
        if let Some(trailer) = trailer {
            out.extend_from_slice(format!("{trailer}\r\n").as_bytes());
        }
        out.extend_from_slice(b"\r\n");
    } else {
        if status != "204" {
            head.push_str(&format!("content-length: {}\r\n", body.len() + if half { 10 } else { 0 }));
        }
        out = format!("{head}\r\n").into_bytes();
        if !bodiless {
            out.extend_from_slice(&body);
        }
    }
    stream.write_all(&out).is_ok() && stream.flush().is_ok() && !close && !half
}

/// The tunnel that a CONNECT has asked for: tells what was asked, and sends back what comes, to a full
/// stop.
fn echo(stream: &mut (impl Read + Write), headers: &[String], told: &[u8]) -> bool {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let _ = stream.write_all(format!("HTTP/1.1 200 X\r\n{headers}\r\n").as_bytes());
    let _ = stream.write_all(told);
    let mut room = [0; 16384];
    while let Some(len) = stream.read(&mut room).ok().filter(|len| *len > 0) {
        let _ = stream.write_all(&room[..len]);
        if room[..len].ends_with(b".") {
            break;
        }
    }
    false
}

/// The next request; `None`: there is none, or it is no HTTP.
fn read(stream: &mut (impl Read + Write), unread: &mut Vec<u8>) -> Option<Request> {
    let mut room = [0; 16384];
    let end = loop {
        if let Some(end) = unread.windows(4).position(|w| w == b"\r\n\r\n") {
            break end;
        }
        let len = stream.read(&mut room).ok().filter(|len| *len > 0)?;
        unread.extend_from_slice(&room[..len]);
    };
    let text = String::from_utf8_lossy(&unread[..end]).into_owned();
    unread.drain(..end + 4);
    let mut lines = text.split("\r\n");
    let line = lines.next()?.to_owned();
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    let headers: Vec<(String, String)> = lines.filter_map(header).collect();
    let mut request = Request { line, headers, body: Vec::new() };
    if request.get("expect") == "100-continue" {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
    }
    let mut more = |unread: &mut Vec<u8>| {
        let len = stream.read(&mut room).ok().filter(|len| *len > 0)?;
        unread.extend_from_slice(&room[..len]);
        Some(())
    };
    if request.get("transfer-encoding") == "chunked" {
        loop {
            let end = loop {
                if let Some(end) = unread.windows(2).position(|w| w == b"\r\n") {
                    break end;
                }
                more(unread)?;
            };
            let size = usize::from_str_radix(std::str::from_utf8(&unread[..end]).ok()?, 16).ok()?;
            while unread.len() < end + size + 4 {
                more(unread)?;
            }
            request.body.extend_from_slice(&unread[end + 2..end + 2 + size]);
            unread.drain(..end + size + 4);
            if size == 0 {
                return Some(request);
            }
        }
    }
    let length: usize = request.get("content-length").parse().unwrap_or(0);
    while unread.len() < length {
        more(unread)?;
    }
    request.body = unread.drain(..length).collect();
    Some(request)
}
