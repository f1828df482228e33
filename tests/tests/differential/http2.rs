//! HTTP/2: a client and a scripted upstream, and frames by hand for clients that no library would be.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::{Reason, RecvStream};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};

use crate::backend::local_address;
use crate::client::{PATIENCE, Reply, normal, plain};
use crate::tls::{self, Ask, Certificates};

/// A request in the order in which it is written.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    pub method: String,
    pub host: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub trailers: Vec<(String, String)>,
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(future)
}

fn map(headers: &[(String, String)]) -> HeaderMap {
    let pair = |(name, value): &(String, String)| {
        let name = HeaderName::try_from(name.to_ascii_lowercase()).expect("a name");
        (name, HeaderValue::try_from(value.as_str()).expect("a value"))
    };
    headers.iter().map(pair).collect()
}

fn lines(headers: &HeaderMap) -> Vec<String> {
    let line = |(name, value): (&HeaderName, &HeaderValue)| {
        normal(&format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
    };
    let mut all: Vec<String> = headers.iter().map(line).collect();
    all.sort();
    all
}

/// Sends one request on a connection of its own.
pub fn exchange(to: SocketAddr, by: Option<(&Ask, &Certificates)>, asked: &Asked) -> Reply {
    let mut reply = Reply::default();
    let outcome = block_on(async {
        match tokio::time::timeout(PATIENCE, ask(to, by, asked, &mut reply)).await {
            Ok(Ok(())) => "done".to_owned(),
            Ok(Err(why)) => why,
            Err(_) => "no answer".to_owned(),
        }
    });
    reply.end = outcome;
    reply
}

async fn ask(
    to: SocketAddr,
    by: Option<(&Ask, &Certificates)>,
    asked: &Asked,
    reply: &mut Reply,
) -> Result<(), String> {
    let stream = tokio::net::TcpStream::connect(to).await.map_err(|error| error.to_string())?;
    let Some((ask, certificates)) = by else { return over(stream, asked, reply).await };
    let connector = tokio_rustls::TlsConnector::from(Arc::new(tls::config(ask, certificates)));
    let stream = connector.connect(tls::name(ask), stream).await.map_err(|error| tls::reason(&error))?;
    reply.head.push(tls::spoken(stream.get_ref().1));
    over(stream, asked, reply).await
}

fn why(error: &h2::Error) -> String {
    let how = if error.is_go_away() { "GOAWAY" } else { "reset" };
    match error.reason() {
        Some(reason) => format!("{how} {reason:?}"),
        None => error.get_io().map_or_else(|| "closed early".to_owned(), tls::reason),
    }
}

async fn over<S>(stream: S, asked: &Asked, reply: &mut Reply) -> Result<(), String>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (client, connection) = h2::client::handshake(stream).await.map_err(|error| why(&error))?;
    tokio::spawn(connection);
    let mut client = client.ready().await.map_err(|error| why(&error))?;
    let connect = asked.method == "CONNECT";
    let uri = match connect {
        true => asked.host.clone(),
        false => format!("http://{}{}", asked.host, asked.path),
    };
    let mut request = Request::builder().method(asked.method.as_str()).uri(uri).body(()).expect("a request");
    *request.headers_mut() = map(&asked.headers);
    let ends = !connect && asked.body.is_empty() && asked.trailers.is_empty();
    let (response, mut send) = client.send_request(request, ends).map_err(|error| why(&error))?;
    if !asked.body.is_empty() && !connect {
        send.send_data(asked.body.clone().into(), asked.trailers.is_empty()).map_err(|error| why(&error))?;
    }
    if !asked.trailers.is_empty() {
        send.send_trailers(map(&asked.trailers)).map_err(|error| why(&error))?;
    }
    let (head, mut body) = response.await.map_err(|error| why(&error))?.into_parts();
    reply.head.push(format!("HTTP/2 {}", head.status.as_u16()));
    reply.head.extend(lines(&head.headers));
    if connect && head.status.is_success() {
        send.send_data(asked.body.clone().into(), true).map_err(|error| why(&error))?;
    }
    let read = whole(&mut body).await;
    let (content, trailers) = read.map_err(|error| why(&error))?;
    let coding = head.headers.get("content-encoding").and_then(|coding| coding.to_str().ok());
    let content = plain(coding.unwrap_or_default(), content);
    let text = String::from_utf8_lossy(&content);
    reply.body = text.lines().map(normal).chain(trailers).collect::<Vec<_>>().join("\n");
    Ok(())
}

async fn whole(body: &mut RecvStream) -> Result<(Vec<u8>, Vec<String>), h2::Error> {
    let mut content = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        let _ = body.flow_control().release_capacity(data.len());
        content.extend_from_slice(&data);
    }
    let trailers = body.trailers().await?;
    let trailers = trailers.iter().flat_map(lines).map(|line| format!("trailer {line}")).collect();
    Ok((content, trailers))
}

/// An upstream that speaks HTTP/2, and does what `x-do` says.
pub fn start(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    listener.set_nonblocking(true).expect("a socket");
    std::thread::spawn(move || {
        block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(name, stream));
            }
        });
    });
    address
}

async fn serve(name: &'static str, stream: tokio::net::TcpStream) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let steps = request.headers().get("x-do").and_then(|it| it.to_str().ok()).unwrap_or("").to_owned();
        if steps == "abrupt" {
            connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
            continue;
        }
        if steps.contains("goaway") {
            connection.graceful_shutdown();
        }
        tokio::spawn(async move {
            let _ = answer(name, request, &mut respond, &steps).await;
        });
    }
}

async fn answer(
    name: &str,
    request: Request<RecvStream>,
    respond: &mut h2::server::SendResponse<Bytes>,
    steps: &str,
) -> Result<(), h2::Error> {
    let (head, mut body) = request.into_parts();
    let (mut status, mut headers, mut trailers) = (200, Vec::new(), Vec::new());
    let (mut content, mut reset, mut late) = (None, None, None);
    for step in steps.split(' ').filter(|step| !step.is_empty()) {
        let (what, value) = step.split_once('=').unwrap_or((step, ""));
        let number = || value.parse::<u32>().unwrap_or(0);
        let pair = || {
            let (name, value) = value.split_once(':').expect("a header");
            (name.to_owned(), value.replace('+', " "))
        };
        match what {
            "status" => status = number() as u16,
            "set" => headers.push(pair()),
            "trailer" => trailers.push(pair()),
            "body" => content = Some(value.replace('+', " ").into_bytes()),
            "size" => content = Some(vec![b'x'; number() as usize]),
            "none" => content = Some(Vec::new()),
            "sleep" => tokio::time::sleep(Duration::from_millis(u64::from(number()))).await,
            // At once, or after the head and the body.
            "reset" => reset = Some(Reason::from(number())),
            "late" => late = Some(Reason::from(number())),
            "goaway" => {}
            other => panic!("x-do: {other}"),
        }
    }
    if let Some(reason) = reset {
        respond.send_reset(reason);
        return Ok(());
    }
    let connect = head.method == "CONNECT";
    if connect && status == 200 {
        return echo(name, &head, body, respond).await;
    }
    // Who has no tunnel does not end it.
    let (received, received_trailers) = if connect { Default::default() } else { whole(&mut body).await? };
    let content = content.unwrap_or_else(|| {
        let mut told = vec![format!("backend {name}"), format!("{} {}", head.method, head.uri)];
        told.extend(lines(&head.headers).into_iter().map(|line| line.replace(&local_address(), "127.0.0.1")));
        told.push(String::from_utf8_lossy(&received).into_owned());
        told.extend(received_trailers);
        told.join("\n").into_bytes()
    });
    let mut response = Response::builder().status(status).body(()).expect("a response");
    *response.headers_mut() = map(&headers);
    let empty = content.is_empty() && late.is_none();
    let mut send = respond.send_response(response, empty && trailers.is_empty())?;
    if !content.is_empty() {
        send.send_data(content.into(), late.is_none() && trailers.is_empty())?;
    }
    if let Some(reason) = late {
        tokio::time::sleep(Duration::from_millis(50)).await;
        send.send_reset(reason);
    } else if !trailers.is_empty() {
        send.send_trailers(map(&trailers))?;
    }
    Ok(())
}

/// The tunnel that a CONNECT has asked for: tells what was asked, and sends back what comes, to a full
/// stop.
async fn echo(
    name: &str,
    head: &http::request::Parts,
    mut body: RecvStream,
    respond: &mut h2::server::SendResponse<Bytes>,
) -> Result<(), h2::Error> {
    let mut send = respond.send_response(Response::new(()), false)?;
    let mut told = vec![format!("tunnel {name}"), format!("{} {}", head.method, head.uri)];
    told.extend(lines(&head.headers).into_iter().map(|line| line.replace(&local_address(), "127.0.0.1")));
    send.send_data(format!("{}\n", told.join("\n")).into(), false)?;
    while let Some(data) = body.data().await {
        let data = data?;
        let _ = body.flow_control().release_capacity(data.len());
        let over = data.ends_with(b".");
        send.send_data(data, false)?;
        if over {
            break;
        }
    }
    send.send_data(Bytes::new(), true)?;
    whole(&mut body).await.map(drop)
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Sends frames: `KIND FLAGS STREAM PAYLOAD` in hexadecimal digits, `get STREAM`, `post STREAM`,
/// `nopreface`, `raw DIGITS`; each ends with a semicolon. Tells how each stream and the connection end:
/// with which code, if any, the library decides, and so that is left out.
pub fn frames(to: SocketAddr, script: &str) -> String {
    let Ok(mut stream) = TcpStream::connect(to) else { return "no connection".into() };
    stream.set_read_timeout(Some(Duration::from_millis(20))).expect("a timeout");
    let steps: Vec<&str> = script.split(';').map(str::trim).filter(|step| !step.is_empty()).collect();
    let mut out = Vec::new();
    if !steps.contains(&"nopreface") {
        out.extend_from_slice(PREFACE);
        out.extend(frame(4, 0, 0, &[]));
    }
    steps.iter().for_each(|step| out.extend(bytes_of(step)));
    let _ = stream.write_all(&out);
    let mut told = Vec::new();
    let (mut unread, begin) = (Vec::new(), Instant::now());
    let mut last = Instant::now();
    loop {
        let mut room = [0; 65536];
        match stream.read(&mut room) {
            Ok(0) => break told.push(CLOSED.to_owned()),
            Ok(len) => {
                unread.extend_from_slice(&room[..len]);
                last = Instant::now();
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {
                break told.push(CLOSED.to_owned());
            }
            Err(_) if last.elapsed() > QUIET || begin.elapsed() > PATIENCE => break,
            Err(_) => {}
        }
        while let Some(told_of) = next(&mut unread) {
            told.extend(told_of);
        }
    }
    // A GOAWAY is the end, said politely.
    if told.iter().any(|line| line == GOAWAY) {
        told.retain(|line| line != GOAWAY && line != CLOSED);
        told.push(CLOSED.to_owned());
    }
    told.join("\n")
}

/// Longer than Envoy waits until it closes (`delayed_close_timeout`).
const QUIET: Duration = Duration::from_millis(1500);
const GOAWAY: &str = "GOAWAY";
const CLOSED: &str = "closed";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u32).to_be_bytes();
    [&len[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<char> = digits.chars().collect();
    let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).expect("digits");
    digits.chunks(2).map(byte).collect()
}

fn bytes_of(step: &str) -> Vec<u8> {
    let words: Vec<&str> = step.split(' ').collect();
    let number = |at: usize| u32::from_str_radix(words[at], 16).expect("digits");
    match words[0] {
        "nopreface" => Vec::new(),
        "raw" => hex(words[1]),
        // `:method`, `:scheme http`, `:path /`, `:authority h`, by HPACK's static table.
        "get" => frame(1, 5, number(1), &[0x82, 0x86, 0x84, 0x01, 1, b'h']),
        "post" => frame(1, 4, number(1), &[0x83, 0x86, 0x84, 0x01, 1, b'h']),
        "zeros" => frame(number(1) as u8, number(2) as u8, number(3), &vec![0; number(4) as usize]),
        _ => frame(number(0) as u8, number(1) as u8, number(2), &hex(words.get(3).unwrap_or(&""))),
    }
}

/// `None`: no whole frame is there; else what it says, if anybody cares.
fn next(unread: &mut Vec<u8>) -> Option<Option<String>> {
    let head: [u8; 9] = unread.get(..9)?.try_into().ok()?;
    let len = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
    let payload = unread.get(9..9 + len)?.to_vec();
    unread.drain(..9 + len);
    let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
    let ended = if head[4] & 1 == 1 { ", the end" } else { "" };
    Some(match head[3] {
        1 => Some(format!("head on {stream}{ended}")),
        3 => Some(format!("reset of {stream}")),
        6 if head[4] & 1 == 1 => Some(format!("pong {payload:?}")),
        7 => Some(GOAWAY.to_owned()),
        _ => None,
    })
}
