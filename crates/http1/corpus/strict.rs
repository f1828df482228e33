//! A second reader of requests, as strict as can be and written without a look at the engine: what
//! a proxy forwards must be readable in one way only.

use super::{Message, message};

/// What stands at the beginning of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    /// A request and its length.
    Whole(Message, usize),
    /// The beginning of one.
    Part,
    /// Something that could be read in another way.
    Ambiguous(String),
}

/// All requests in the bytes; the error is what is wrong with what comes after them. A part of a
/// request at the end is left out.
pub fn all(mut bytes: &[u8]) -> (Vec<Message>, Result<(), String>) {
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        match read(bytes) {
            Read::Whole(message, len) => {
                messages.push(message);
                bytes = &bytes[len..];
            }
            Read::Part => break,
            Read::Ambiguous(why) => return (messages, Err(why)),
        }
    }
    (messages, Ok(()))
}

/// The first request in the bytes.
pub fn read(bytes: &[u8]) -> Read {
    let Some(end) = find(bytes, b"\r\n\r\n") else { return Read::Part };
    let Ok(head) = std::str::from_utf8(&bytes[..end]) else {
        // Text beyond ASCII may stand in values, where it means the same to all.
        let ascii: Vec<u8> = bytes[..end].iter().map(|b| if b.is_ascii() { *b } else { b'?' }).collect();
        return with_head(&String::from_utf8_lossy(&ascii), &bytes[end + 4..], end + 4);
    };
    with_head(head, &bytes[end + 4..], end + 4)
}

fn with_head(head: &str, rest: &[u8], head_len: usize) -> Read {
    let mut lines = head.split("\r\n");
    let line = lines.next().unwrap_or_default();
    let fields: Result<Vec<(String, &str)>, String> = lines.map(field).collect();
    let read = fields.and_then(|fields| Ok((start(line)?, framing(&fields)?, host(&fields)?)));
    let ((method, path), framing, host) = match read {
        Ok(read) => read,
        Err(why) => return Read::Ambiguous(why),
    };
    let body = match framing {
        Framing::Length(length) => match rest.get(..length) {
            Some(body) => (body.to_vec(), length),
            None => return Read::Part,
        },
        Framing::Chunked => match chunks(rest) {
            Ok(Some(read)) => read,
            Ok(None) => return Read::Part,
            Err(why) => return Read::Ambiguous(why),
        },
    };
    Read::Whole(message(&method, &path, &host, &body.0), head_len + body.1)
}

fn start(line: &str) -> Result<(String, String), String> {
    let parts: Vec<&str> = line.split(' ').collect();
    let [method, target, "HTTP/1.1"] = parts[..] else { return Err(format!("request line {line:?}")) };
    let plain = |c: char| c.is_ascii_graphic() && c != '#';
    let fine = !method.is_empty()
        && method.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        && (target.starts_with('/') || (target == "*" && method == "OPTIONS"))
        && target.chars().all(plain);
    if fine { Ok((method.into(), target.into())) } else { Err(format!("request line {line:?}")) }
}

/// Name in small letters, value without blanks around it.
fn field(line: &str) -> Result<(String, &str), String> {
    let bad = || format!("field line {line:?}");
    let (name, value) = line.split_once(':').ok_or_else(bad)?;
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let text = |c: char| c == '\t' || !c.is_control();
    if name.is_empty() || !name.chars().all(token) || !value.chars().all(text) {
        return Err(bad());
    }
    Ok((name.to_ascii_lowercase(), value.trim_matches([' ', '\t'])))
}

fn values<'a>(fields: &[(String, &'a str)], name: &str) -> Vec<&'a str> {
    fields.iter().filter(|(n, _)| n == name).map(|(_, value)| *value).collect()
}

enum Framing {
    Length(usize),
    Chunked,
}

fn framing(fields: &[(String, &str)]) -> Result<Framing, String> {
    match (&values(fields, "content-length")[..], &values(fields, "transfer-encoding")[..]) {
        ([], []) => Ok(Framing::Length(0)),
        ([], ["chunked"]) => Ok(Framing::Chunked),
        ([length], []) if length.chars().all(|c| c.is_ascii_digit()) => {
            // More than what is ever sent here is a part of it.
            Ok(Framing::Length(length.parse().map_err(|_| format!("length {length:?}"))?))
        }
        other => Err(format!("framing {other:?}")),
    }
}

fn host(fields: &[(String, &str)]) -> Result<String, String> {
    match &values(fields, "host")[..] {
        [host]
            if !host.is_empty() && host.chars().all(|c| c.is_ascii_graphic() && !"/?#@\\,".contains(c)) =>
        {
            Ok((*host).to_owned())
        }
        other => Err(format!("host {other:?}")),
    }
}

/// The data of chunks without extensions, and how long they are.
fn chunks(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, String> {
    let (mut data, mut at) = (Vec::new(), 0);
    loop {
        let Some(end) = find(&bytes[at..], b"\r\n") else { return Ok(None) };
        let line = String::from_utf8_lossy(&bytes[at..at + end]).into_owned();
        let digits = !line.is_empty() && line.len() <= 15 && line.chars().all(|c| c.is_ascii_hexdigit());
        let size = usize::from_str_radix(&line, 16).ok().filter(|_| digits);
        let size = size.ok_or_else(|| format!("chunk size {line:?}"))?;
        at += end + 2;
        if size == 0 {
            break;
        }
        let Some(chunk) = bytes.get(at..at.saturating_add(size + 2)) else { return Ok(None) };
        let (chunk, end) = chunk.split_at(size);
        if end != b"\r\n" {
            return Err(format!("chunk ends in {end:?}"));
        }
        data.extend_from_slice(chunk);
        at += size + 2;
    }
    loop {
        let Some(end) = find(&bytes[at..], b"\r\n") else { return Ok(None) };
        let line = String::from_utf8_lossy(&bytes[at..at + end]).into_owned();
        at += end + 2;
        if line.is_empty() {
            return Ok(Some((data, at)));
        }
        field(&line)?;
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
