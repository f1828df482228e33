//! A client that shows everything it got.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::http2::Asked;
use crate::tls::{self, Ask, Certificates};

/// Longer than any case takes.
pub const PATIENCE: Duration = Duration::from_secs(4);

/// What came back for one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// Status line and headers, these in a fixed order and without what differs from run to run.
    pub head: Vec<String>,
    pub body: String,
    /// `kept`, `closed` or why there is no whole answer.
    pub end: String,
}

impl Reply {
    fn failed(end: &str) -> Self {
        Reply { end: end.into(), ..Reply::default() }
    }
}

/// Sends `bytes` and reads as many final answers as there are methods, on one connection.
pub fn exchange(
    to: SocketAddr,
    by: Option<(&Ask, &Certificates)>,
    bytes: &[u8],
    methods: &[String],
) -> Vec<Reply> {
    let mut stream = match TcpStream::connect(to) {
        Ok(stream) => stream,
        Err(error) => return vec![Reply::failed(&error.to_string())],
    };
    stream.set_read_timeout(Some(Duration::from_millis(20))).expect("a timeout");
    stream.set_nodelay(true).expect("no delay");
    let Some((ask, certificates)) = by else {
        let replies = converse(&mut stream, bytes, methods);
        let _ = stream.shutdown(Shutdown::Both);
        return replies;
    };
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut client = tls::client(ask, certificates);
    while client.is_handshaking() {
        if let Err(error) = client.complete_io(&mut stream) {
            return vec![Reply::failed(&tls::reason(&error))];
        }
    }
    let how = tls::spoken(&client);
    stream.set_read_timeout(Some(Duration::from_millis(20))).expect("a timeout");
    let mut over = rustls::StreamOwned::new(client, stream);
    let mut replies = converse(&mut over, bytes, methods);
    let _ = over.sock.shutdown(Shutdown::Both);
    if let Some(first) = replies.first_mut() {
        first.head.insert(0, how);
    }
    replies
}

/// CONNECT over HTTP/1: asks, sends the bytes behind a success, and reads to the end. `half`: it ends its
/// own side first.
pub fn tunnel(to: SocketAddr, asked: &Asked, early: &str, half: bool) -> Reply {
    let Ok(mut stream) = TcpStream::connect(to) else { return Reply::failed("no connection") };
    stream.set_read_timeout(Some(Duration::from_millis(20))).expect("a timeout");
    stream.set_nodelay(true).expect("no delay");
    let mut head = format!("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n", asked.host);
    asked.headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
    let _ = stream.write_all(format!("{head}\r\n{early}").as_bytes());
    let mut unread = Vec::new();
    let mut reply = read(&mut stream, &mut unread, "CONNECT");
    let granted = reply.head.first().is_some_and(|line| line.starts_with("HTTP/1.1 2"));
    if !granted {
        if reply.end == "kept" && (announced(&reply) || closes(&mut stream)) {
            reply.end = "closed".into();
        }
        return reply;
    }
    let _ = stream.write_all(&asked.body);
    if half {
        let _ = stream.shutdown(Shutdown::Write);
    }
    let begin = Instant::now();
    reply.end = loop {
        if let Some(why) = more(&mut stream, &mut unread, begin) {
            break why;
        }
    };
    reply.body = String::from_utf8_lossy(&unread).lines().map(normal).collect::<Vec<_>>().join("\n");
    reply
}

fn converse(stream: &mut (impl Read + Write), bytes: &[u8], methods: &[String]) -> Vec<Reply> {
    let _ = stream.write_all(bytes);
    let _ = stream.flush();
    let mut unread = Vec::new();
    let mut replies = Vec::new();
    for method in methods {
        let reply = read(stream, &mut unread, method);
        let over = reply.end != "kept";
        replies.push(reply);
        if over {
            return replies;
        }
    }
    if let Some(last) = replies.last_mut()
        && (announced(last) || closes(stream))
    {
        last.end = "closed".into();
    }
    replies
}

/// Whether the other side has said that it ends the connection.
fn announced(reply: &Reply) -> bool {
    reply.head.iter().any(|line| line == "connection: close")
}

/// Whether the other side ends the connection by itself, soon.
fn closes(stream: &mut impl Read) -> bool {
    let mut room = [0; 1];
    matches!(stream.read(&mut room), Ok(0))
        || matches!(stream.read(&mut room), Err(error) if error.kind() == ErrorKind::ConnectionReset)
}

fn read(stream: &mut impl Read, unread: &mut Vec<u8>, method: &str) -> Reply {
    let begin = Instant::now();
    // Interim answers are shown, too.
    let mut interim = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = unread.windows(4).position(|w| w == b"\r\n\r\n") {
                break end;
            }
            if let Some(why) = more(stream, unread, begin) {
                let rest = String::from_utf8_lossy(unread).into_owned();
                return Reply { body: rest, head: interim, ..Reply::failed(&why) };
            }
        };
        let text = String::from_utf8_lossy(&unread[..end]).into_owned();
        unread.drain(..end + 4);
        let status = text.get(9..12).unwrap_or_default().to_owned();
        if status.starts_with('1') && status != "101" {
            interim.extend(head(&text));
            continue;
        }
        let mut reply = Reply { head: interim, end: "kept".into(), ..Reply::default() };
        reply.head.extend(head(&text));
        let tunnel = method == "CONNECT" && status.starts_with('2');
        let bodiless = tunnel || method == "HEAD" || ["204", "304", "101"].contains(&status.as_str());
        if !bodiless {
            body(stream, unread, &text, &mut reply, begin);
        }
        return reply;
    }
}

/// `None`: there is more; else why there is not.
fn more(stream: &mut impl Read, unread: &mut Vec<u8>, begin: Instant) -> Option<String> {
    let mut room = [0; 65536];
    loop {
        match stream.read(&mut room) {
            Ok(0) => return Some("closed early".into()),
            Ok(len) => {
                unread.extend_from_slice(&room[..len]);
                return None;
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if begin.elapsed() > PATIENCE {
                    return Some("no answer".into());
                }
            }
            Err(error) => return Some(tls::reason(&error)),
        }
    }
}

fn body(stream: &mut impl Read, unread: &mut Vec<u8>, head: &str, reply: &mut Reply, begin: Instant) {
    let header = |name: &str| {
        let lower = head.to_ascii_lowercase();
        lower.split("\r\n").find_map(|line| line.strip_prefix(name)?.strip_prefix(": ").map(str::to_owned))
    };
    let mut content = Vec::new();
    if header("transfer-encoding").is_some() {
        loop {
            let Some(end) = unread.windows(2).position(|w| w == b"\r\n") else {
                if let Some(why) = more(stream, unread, begin) {
                    reply.end = why;
                    break;
                }
                continue;
            };
            let size =
                std::str::from_utf8(&unread[..end]).ok().and_then(|it| usize::from_str_radix(it, 16).ok());
            let Some(size) = size else {
                // A trailer.
                content.extend_from_slice(&unread[..end]);
                unread.drain(..end + 2);
                if end == 0 {
                    break;
                }
                continue;
            };
            if size == 0 {
                unread.drain(..end + 2);
                continue;
            }
            if unread.len() < end + size + 4 {
                if let Some(why) = more(stream, unread, begin) {
                    reply.end = why;
                    break;
                }
                continue;
            }
            content.extend_from_slice(&unread[end + 2..end + 2 + size]);
            unread.drain(..end + size + 4);
        }
    } else if let Some(length) = header("content-length").and_then(|it| it.parse::<usize>().ok()) {
        while unread.len() < length {
            if let Some(why) = more(stream, unread, begin) {
                reply.end = why;
                break;
            }
        }
        content = unread.drain(..length.min(unread.len())).collect();
    } else {
        while more(stream, unread, begin).is_none() {}
        content = std::mem::take(unread);
        reply.end = "closed".into();
    }
    if let Some(coding) = header("content-encoding") {
        content = plain(&coding, content);
    }
    reply.body = String::from_utf8_lossy(&content).lines().map(normal).collect::<Vec<_>>().join("\n");
}

/// A body without its coding, behind the coding's name: two libraries make different bytes of a text.
pub fn plain(coding: &str, content: Vec<u8>) -> Vec<u8> {
    let mut plain = format!("{coding}: ").into_bytes();
    let read = match coding {
        "gzip" => flate2::read::GzDecoder::new(content.as_slice()).read_to_end(&mut plain),
        "br" => brotli::Decompressor::new(content.as_slice(), 4096).read_to_end(&mut plain),
        _ => return content,
    };
    if let Err(error) = read {
        plain.extend_from_slice(error.to_string().as_bytes());
    }
    plain
}

fn head(text: &str) -> Vec<String> {
    let mut lines = text.split("\r\n").map(normal);
    // Phrases have no meaning (RFC 9112, section 4).
    let mut all: Vec<String> = lines.next().map(|line| line.chars().take(12).collect()).into_iter().collect();
    let mut headers: Vec<String> = lines.collect();
    headers.sort();
    all.extend(headers);
    all
}

/// Without what differs from run to run.
pub fn normal(line: &str) -> String {
    let Some((name, _)) = line.split_once(": ") else { return line.to_owned() };
    let name = name.to_ascii_lowercase();
    match name.as_str() {
        // What is left of a time, give or take what the machine was busy with.
        "x-envoy-expected-rq-timeout-ms" => {
            let millis: u64 = line[name.len() + 2..].parse().unwrap_or(0);
            format!("{name}: {}", millis.div_ceil(500) * 500)
        }
        "x-ratelimit-reset" => {
            let seconds: u64 = line[name.len() + 2..].parse().unwrap_or(0);
            format!("{name}: {}", seconds.div_ceil(60) * 60)
        }
        "date" | "x-request-id" | "x-case" | "x-envoy-upstream-service-time" => format!("{name}: *"),
        _ => format!("{name}{}", &line[name.len()..]),
    }
}

/// All that comes until the end.
pub fn rest(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all);
    String::from_utf8_lossy(&all).into_owned()
}
