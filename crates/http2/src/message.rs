//! Heads and trailers out of header blocks, and into them (RFC 9113, section 8).

use bytes::{BufMut, BytesMut};
use http1::{Assembly, BodyKind, RequestHead, ResponseHead, Span, Trailers};

use crate::hpack::{DecodeError, Decoder, Encoder, Field};

/// Besides its name and value a field counts so much (section 6.5.2).
const FIELD: usize = 32;

/// What a block was.
#[derive(Debug)]
pub(crate) enum Message<T> {
    Whole(T),
    /// No message that HTTP/2 allows (section 8.1.1).
    Malformed,
    /// More than we take.
    TooLarge,
}

/// A request as it came.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) head: RequestHead,
    pub(crate) https: bool,
    /// The body's, which it has to keep to.
    pub(crate) length: Option<u64>,
    /// CONNECT, extended or not: what follows is no body.
    pub(crate) upgrade: bool,
}

/// A response as it came.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) head: ResponseHead,
    pub(crate) length: Option<u64>,
}

/// The fields of a head while it is read.
struct Reading {
    assembly: Assembly,
    size: usize,
    max_size: usize,
    /// A field that is no pseudo-header was there.
    fields: bool,
    cookies: usize,
    bad: bool,
}

impl Reading {
    fn new(max_size: usize) -> Self {
        Reading { assembly: Assembly::new(), size: 0, max_size, fields: false, cookies: 0, bad: false }
    }

    /// Counts it. `false`: there is no point in keeping it.
    fn count(&mut self, field: &Field<'_>) -> bool {
        self.size = self.size.saturating_add(field.name.len() + field.value.len() + FIELD);
        self.size <= self.max_size && !self.bad
    }

    fn field(&mut self, field: &Field<'_>) {
        self.fields = true;
        self.cookies += usize::from(field.name == b"cookie");
        let Field { name, value, checked, sensitive } = *field;
        self.bad |= self.assembly.field(name, value, checked, sensitive).is_err();
    }

    /// Content-Length, which may be there more than once only if it is the same.
    fn length(&mut self) -> Option<u64> {
        let headers = self.assembly.headers();
        let mut values = headers.get_all("content-length");
        let length = http1::content_length(values.next()?).ok();
        self.bad |= length.is_none() || values.any(|value| http1::content_length(value).ok() != length);
        length
    }

    /// Pieces of a cookie become one again (section 8.2.3), as Envoy makes it: servers that are not used
    /// to pieces see the first one.
    fn join_cookies(&mut self) {
        if self.cookies > 1 {
            let headers = self.assembly.headers();
            let all = headers.get_all("cookie").collect::<Vec<_>>().join(&b"; "[..]);
            headers.set("cookie", all);
        }
    }

    fn outcome<T>(&self) -> Option<Message<T>> {
        if self.size > self.max_size {
            return Some(Message::TooLarge);
        }
        self.bad.then_some(Message::Malformed)
    }
}

/// Reads a request. `extended`: extended CONNECT is allowed.
pub(crate) fn request(
    decoder: &mut Decoder,
    block: &[u8],
    (max_size, extended): (usize, bool),
    ends: bool,
) -> Result<Message<Request>, DecodeError> {
    let mut reading = Reading::new(max_size);
    let (mut method, mut path): (Option<Span>, Option<Span>) = (None, None);
    let (mut scheme, mut authority, mut protocol) = (None, false, None);
    let mut connect = false;
    decoder.decode(block, |field| {
        if !reading.count(&field) {
            return;
        }
        let value = field.value;
        match field.name {
            [b':', ..] if reading.fields => reading.bad = true,
            b":method" if method.is_none() => {
                connect = value == b"CONNECT";
                method = Some(reading.assembly.store(value));
            }
            b":path" if path.is_none() => path = Some(reading.assembly.store(value)),
            b":scheme" if scheme.is_none() => scheme = Some(value.eq_ignore_ascii_case(b"https")),
            // Section 8.3.1: it wins, and Host stands in for it.
            b":authority" if !authority => {
                authority = true;
                reading.bad |= reading.assembly.field(b"host", value, true, false).is_err();
            }
            b":protocol" if protocol.is_none() && extended => protocol = Some(value.to_vec()),
            [b':', ..] => reading.bad = true,
            b"host" if authority => reading.fields = true,
            _ => reading.field(&field),
        }
    })?;
    let length = reading.length();
    if let Some(message) = reading.outcome() {
        return Ok(message);
    }
    reading.join_cookies();
    let Some(mut method) = method else { return Ok(Message::Malformed) };
    match (connect, &protocol) {
        // RFC 8441, section 4: it is judged by the same rules as an upgrade of HTTP/1.
        (true, Some(protocol)) if scheme.is_some() && path.is_some() && authority => {
            method = reading.assembly.store(b"GET");
            reading.assembly.headers().append("connection", "upgrade");
            reading.assembly.headers().append("upgrade", protocol);
        }
        (true, None) if scheme.is_none() && path.is_none() && authority => {}
        (false, None) if scheme.is_some() && path.is_some() => {}
        _ => return Ok(Message::Malformed),
    }
    let body = kind(ends, length);
    Ok(match reading.assembly.request(method, path, body) {
        Ok(head) => Message::Whole(Request { head, https: scheme == Some(true), length, upgrade: connect }),
        Err(_) => Message::Malformed,
    })
}

/// Reads a response.
pub(crate) fn response(
    decoder: &mut Decoder,
    block: &[u8],
    max_size: usize,
    ends: bool,
) -> Result<Message<Response>, DecodeError> {
    let mut reading = Reading::new(max_size);
    let mut status = None;
    decoder.decode(block, |field| {
        if !reading.count(&field) {
            return;
        }
        match field.name {
            [b':', ..] if reading.fields => reading.bad = true,
            b":status" if status.is_none() => status = Some(code(field.value)),
            [b':', ..] => reading.bad = true,
            _ => reading.field(&field),
        }
    })?;
    let length = reading.length();
    if let Some(message) = reading.outcome() {
        return Ok(message);
    }
    Ok(match status.flatten() {
        // Section 8.6: HTTP/2 has no 101.
        None | Some(101) => Message::Malformed,
        Some(status) => {
            let head = reading.assembly.response(status, kind(ends, length));
            Message::Whole(Response { head, length })
        }
    })
}

/// Reads trailers.
pub(crate) fn trailers(
    decoder: &mut Decoder,
    block: &[u8],
    max_size: usize,
) -> Result<Message<Trailers>, DecodeError> {
    let mut reading = Reading::new(max_size);
    decoder.decode(block, |field| {
        if reading.count(&field) {
            match field.name {
                [b':', ..] => reading.bad = true,
                _ => reading.field(&field),
            }
        }
    })?;
    if let Some(message) = reading.outcome() {
        return Ok(message);
    }
    let headers = reading.assembly.headers();
    let mut bytes = BytesMut::with_capacity(reading.size);
    let mut trailers = Trailers::default();
    for (name, value) in headers.iter() {
        bytes.extend_from_slice(name);
        let name = bytes.split().freeze();
        bytes.extend_from_slice(value);
        trailers.push(name, bytes.split().freeze());
    }
    Ok(Message::Whole(trailers))
}

fn kind(ends: bool, length: Option<u64>) -> BodyKind {
    match length {
        _ if ends => BodyKind::None,
        Some(length) => BodyKind::Length(length),
        None => BodyKind::Chunked,
    }
}

fn code(value: &[u8]) -> Option<u16> {
    let [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9'] = value else { return None };
    let digit = |digit: &u8| u16::from(digit - b'0');
    Some(digit(a) * 100 + digit(b) * 10 + digit(c))
}

/// Writes a request's block. An upgrade becomes extended CONNECT (RFC 8441, section 4).
pub(crate) fn write_request(encoder: &mut Encoder, head: &RequestHead, https: bool, out: &mut BytesMut) {
    encoder.begin(out);
    let upgrade = head.upgrade();
    let method = if upgrade.is_some() { b"CONNECT" } else { head.method() };
    encoder.field(b":method", method, false, out);
    if let Some(protocol) = upgrade {
        encoder.field(b":protocol", protocol, false, out);
    }
    // CONNECT has neither scheme nor path, unless it is the extended one.
    if upgrade.is_some() || !head.is_connect() {
        encoder.field(b":scheme", if https { b"https" } else { b"http" }, false, out);
        encoder.field(b":path", head.path(), false, out);
    }
    if !head.authority().is_empty() {
        encoder.field(b":authority", head.authority(), false, out);
    }
    head.for_http2(|name, value, sensitive| {
        // HTTP/2 has no use for the handshake by key: `:protocol` says it (RFC 8441, section 5).
        if upgrade.is_none() || name != b"sec-websocket-key" {
            encoder.field(name, value, sensitive, out);
        }
    });
}

/// Writes a response's block.
pub(crate) fn write_response(encoder: &mut Encoder, head: &ResponseHead, out: &mut BytesMut) {
    encoder.begin(out);
    let status = head.status();
    let digit = |number: u16| b'0' + (number % 10) as u8;
    encoder.field(b":status", &[digit(status / 100), digit(status / 10), digit(status)], false, out);
    head.for_http2(|name, value, sensitive| encoder.field(name, value, sensitive, out));
}

/// Writes a block of trailers; what may not be among them is left out.
pub(crate) fn write_trailers(encoder: &mut Encoder, trailers: &Trailers, out: &mut BytesMut) {
    encoder.begin(out);
    for (name, value) in trailers.iter() {
        if !http1::is_hop_by_hop(name) && name.first() != Some(&b':') {
            encoder.field(&name.to_ascii_lowercase(), value, false, out);
        }
    }
}

/// The shortest answer there is: a status.
pub(crate) fn write_status(encoder: &mut Encoder, status: &[u8; 3], out: &mut BytesMut) {
    encoder.begin(out);
    encoder.field(b":status", status, false, out);
}

/// A block's bytes behind the place for a frame's head become frames; `at` is that place.
pub(crate) fn frame_block(out: &mut BytesMut, at: usize, stream: u32, ends: bool, max_frame: usize) {
    use crate::frame::{HEAD, Head, flag, kind};
    let len = out.len() - at - HEAD;
    let end_stream = if ends { flag::END_STREAM } else { 0 };
    let first = len.min(max_frame);
    let end_headers = |last: bool| if last { flag::END_HEADERS } else { 0 };
    let flags = end_stream | end_headers(first == len);
    let head = Head { len: first, kind: kind::HEADERS, flags, stream };
    out[at..at + HEAD].copy_from_slice(&head.bytes());
    if first == len {
        return;
    }
    // Rare: what does not fit goes into CONTINUATIONs.
    let rest = out.split_off(at + HEAD + first);
    let mut pieces = rest.chunks(max_frame).peekable();
    while let Some(piece) = pieces.next() {
        let flags = end_headers(pieces.peek().is_none());
        Head { len: piece.len(), kind: kind::CONTINUATION, flags, stream }.write(out);
        out.put_slice(piece);
    }
}
