//! Cases: what is asked, and what came of it as text.

use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::client::{self, Reply};
use crate::http2::{self, Asked};
use crate::tls::{Ask, Certificates};

/// `name | METHOD host /path | header: value | body=…`, or `name | raw | bytes`. `x3` before the method
/// sends the request three times, `body*9` has nine bytes, `chunked*9` nine chunks of 1000.
///
/// A cell before the request says how: `tls sni=… alpn=… cert=… version=…`, `h2` and `h2 tls …`; there
/// `trailer=name: value` is one of the request's. `name | frames | …` is HTTP/2 by hand
/// ([`http2::frames`]), `name | admin | POST /path` asks the admin page, `name | hold | 3` opens as many
/// connections, one after the other, and keeps them until `name | release`.
///
/// `name | tunnel HOST:PORT | header: value | bytes=…` is a CONNECT, `tunnel h2 HOST:PORT` one of HTTP/2:
/// after the answer the bytes are sent, and all that comes is read. `early=…` are bytes that do not wait
/// for the answer; with `half` this side ends then, which over HTTP/2 it always does.
pub struct Case {
    pub name: String,
    /// It goes to the listener's other address: its name begins with `also`.
    pub also: bool,
    pub act: Act,
}

/// What a case does.
pub enum Act {
    /// The methods of the requests, in order: the number of answers to wait for. In the bytes `@case@`
    /// stands for the case's own number.
    Http1 {
        tls: Option<Ask>,
        methods: Vec<String>,
        bytes: String,
    },
    Http2 {
        tls: Option<Ask>,
        asked: Asked,
    },
    Tunnel {
        http2: bool,
        asked: Asked,
        early: String,
        half: bool,
    },
    Frames(String),
    Admin {
        method: String,
        path: String,
    },
    Hold(usize),
    Release,
}

impl Act {
    /// Does it, and tells what came of it.
    pub fn run(
        &self,
        mark: &str,
        to: SocketAddr,
        admin: SocketAddr,
        certificates: &Certificates,
        held: &mut Vec<TcpStream>,
    ) -> String {
        match self {
            Act::Http1 { tls, methods, bytes } => {
                let bytes = bytes.replace("@case@", mark);
                let by = tls.as_ref().map(|ask| (ask, certificates));
                let replies = client::exchange(to, by, bytes.as_bytes(), methods);
                replies.iter().map(text).collect::<Vec<_>>().join("\n---\n")
            }
            Act::Http2 { tls, asked } => {
                let mut asked = asked.clone();
                asked.headers.push(("x-case".into(), mark.into()));
                text(&http2::exchange(to, tls.as_ref().map(|ask| (ask, certificates)), &asked))
            }
            Act::Tunnel { http2, asked, early, half } => {
                let mut asked = asked.clone();
                asked.headers.push(("x-case".into(), mark.into()));
                text(&match http2 {
                    true => http2::exchange(to, None, &asked),
                    false => client::tunnel(to, &asked, early, *half),
                })
            }
            // They have been sent already.
            Act::Frames(_) => String::new(),
            Act::Admin { method, path } => {
                let ask = format!("{method} {path} HTTP/1.1\r\nhost: admin\r\ncontent-length: 0\r\n\r\n");
                let replies = client::exchange(admin, None, ask.as_bytes(), std::slice::from_ref(method));
                let told = |reply: &Reply| format!("{:?}\n{}", reply.head.first(), reply.body);
                replies.iter().map(told).collect()
            }
            Act::Hold(count) => {
                // Until the proxy has heard that the last connection is over.
                std::thread::sleep(Duration::from_millis(100));
                (0..*count).map(|_| hold(to, held)).collect::<Vec<_>>().join("\n")
            }
            Act::Release => {
                held.clear();
                // Until the proxy has heard of it.
                std::thread::sleep(Duration::from_millis(100));
                String::new()
            }
        }
    }

    /// How many lines of the log are expected.
    pub fn logged(&self) -> usize {
        match self {
            Act::Http1 { methods, bytes, .. } if bytes.contains("@case@") => methods.len(),
            Act::Http2 { .. } | Act::Tunnel { .. } => 1,
            _ => 0,
        }
    }
}

/// One more connection, and whether the proxy leaves it open.
fn hold(to: SocketAddr, held: &mut Vec<TcpStream>) -> String {
    let Ok(mut stream) = TcpStream::connect(to) else { return "refused".into() };
    stream.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
    let open = matches!(stream.read(&mut [0]), Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
    held.push(stream);
    if open { "open".into() } else { "closed".into() }
}

impl Case {
    /// Reads a line.
    pub fn parse(topic: &str, line: &str) -> Case {
        let (name, act) = Self::read(topic, line);
        Case { also: name.starts_with("also "), name, act }
    }

    fn read(topic: &str, line: &str) -> (String, Act) {
        let mut cells = line.split(" | ").map(str::trim).peekable();
        let name = cells.next().expect("a name").to_owned();
        let mut what = cells.next().unwrap_or_else(|| panic!("{topic}/{name}: no request"));
        let mut rest = || cells.by_ref().collect::<Vec<_>>().join(" | ");
        match what.split(' ').next().unwrap_or_default() {
            "raw" => {
                let methods = what.split(' ').skip(1).map(str::to_owned).collect::<Vec<_>>();
                let methods = if methods.is_empty() { vec!["GET".to_owned()] } else { methods };
                let bytes = rest().replace("\\r", "\r").replace("\\n", "\n");
                return (name, Act::Http1 { tls: None, methods, bytes });
            }
            "tunnel" => return (name, tunnel(what, &cells.collect::<Vec<_>>())),
            "frames" => return (name, Act::Frames(rest())),
            "hold" => return (name, Act::Hold(rest().parse().expect("a number"))),
            "release" => return (name, Act::Release),
            "admin" => {
                let text = rest();
                let (method, path) = text.split_once(' ').expect("a method and a path");
                return (name, Act::Admin { method: method.into(), path: path.into() });
            }
            _ => {}
        }
        let (mut http2, mut tls) = (false, None);
        let mut words = what.split(' ').peekable();
        if words.next_if_eq(&"h2").is_some() {
            http2 = true;
        }
        if words.next_if_eq(&"tls").is_some() {
            tls = Some(Ask::parse(words));
        }
        if http2 || tls.is_some() {
            what = cells.next().unwrap_or_else(|| panic!("{topic}/{name}: no request"));
        }
        let cells: Vec<&str> = cells.collect();
        let act = match http2 {
            true => Act::Http2 { tls, asked: over_http2(what, &cells) },
            false => over_http1(tls, &format!("{topic}/{name}"), what, &cells),
        };
        (name, act)
    }
}

fn tunnel(what: &str, cells: &[&str]) -> Act {
    let host = what.split(' ').next_back().expect("a host").to_owned();
    let (http2, half) = (what.starts_with("tunnel h2 "), cells.contains(&"half"));
    let (mut asked, mut early) =
        (Asked { method: "CONNECT".into(), host, ..Asked::default() }, String::new());
    for cell in cells.iter().filter(|cell| **cell != "half") {
        let unescaped = |text: &str| text.replace("\\r", "\r").replace("\\n", "\n");
        if let Some(bytes) = cell.strip_prefix("bytes=") {
            asked.body = unescaped(bytes).into();
        } else if let Some(bytes) = cell.strip_prefix("early=") {
            early = unescaped(bytes);
        } else {
            let (name, value) = cell.split_once(':').unwrap_or_else(|| panic!("{what}: {cell}"));
            asked.headers.push((name.to_owned(), value.trim().to_owned()));
        }
    }
    Act::Tunnel { http2, asked, early, half }
}

fn over_http2(what: &str, cells: &[&str]) -> Asked {
    let [method, host, path] = what.split(' ').collect::<Vec<_>>()[..] else { panic!("{what}") };
    let mut asked = Asked { method: method.into(), host: host.into(), path: path.into(), ..Asked::default() };
    let pair = |text: &str| {
        let (name, value) = text.split_once(':').unwrap_or_else(|| panic!("{what}: {text}"));
        (name.to_owned(), value.trim().to_owned())
    };
    for cell in cells {
        if let Some(text) = cell.strip_prefix("body=") {
            asked.body = text.into();
        } else if let Some(size) = cell.strip_prefix("body*") {
            asked.body = vec![b'x'; size.parse().expect("a size")];
        } else if let Some(text) = cell.strip_prefix("trailer=") {
            asked.trailers.push(pair(text));
        } else {
            asked.headers.push(pair(cell));
        }
    }
    asked
}

fn over_http1(tls: Option<Ask>, case: &str, what: &str, cells: &[&str]) -> Act {
    let (times, what) = match what.split_once(' ') {
        Some((times, rest)) if times.starts_with('x') => {
            (times[1..].parse().unwrap_or_else(|_| panic!("{case}: {times}")), rest)
        }
        _ => (1, what),
    };
    let [method, host, path] = what.split(' ').collect::<Vec<_>>()[..] else { panic!("{case}: {what}") };
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nx-case: @case@\r\n");
    let mut body = String::new();
    for cell in cells {
        if let Some(text) = cell.strip_prefix("body=") {
            head.push_str(&format!("Content-Length: {}\r\n", text.len()));
            body = text.to_owned();
        } else if let Some(size) = cell.strip_prefix("body*") {
            body = "x".repeat(size.parse().expect("a size"));
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        } else if let Some(size) = cell.strip_prefix("chunked*") {
            let part = "x".repeat(1000);
            let parts = size.parse::<usize>().expect("a number of parts");
            head.push_str("Transfer-Encoding: chunked\r\n");
            body = format!("3e8\r\n{part}\r\n").repeat(parts) + "0\r\n\r\n";
        } else if let Some(text) = cell.strip_prefix("chunked=") {
            head.push_str("Transfer-Encoding: chunked\r\n");
            body = format!("{:x}\r\n{text}\r\n0\r\n\r\n", text.len());
        } else {
            head.push_str(&format!("{cell}\r\n"));
        }
    }
    let bytes = format!("{head}\r\n{body}").repeat(times);
    Act::Http1 { tls, methods: vec![method.to_owned(); times], bytes }
}

fn text(reply: &Reply) -> String {
    let Reply { head, body, end } = reply;
    format!("{}\n\n{body}\n[{end}]", head.join("\n"))
}
