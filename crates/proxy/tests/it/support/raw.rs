//! HTTP/2 frames by hand (RFC 9113), for clients that no library would be.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;

pub const PROTOCOL_ERROR: u32 = 1;
pub const REFUSED_STREAM: u32 = 7;
pub const CANCEL: u32 = 8;
pub const ENHANCE_YOUR_CALM: u32 = 11;

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    /// The error code of RST_STREAM or GOAWAY.
    pub fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }

    /// The status that the head of a response begins with, as HPACK's static table has it or a plain
    /// literal says it (RFC 7541, appendix A and section 6.2), and 0 for any other.
    pub fn status(&self) -> u16 {
        match self.payload[..] {
            [0x88, ..] => 200,
            [0x8d, ..] => 404,
            // Its name is the table's, and the value has three bytes.
            [0x08 | 0x48, 3, a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', ..] => {
                [a, b, c].iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0'))
            }
            _ => 0,
        }
    }
}

pub struct Raw {
    pub stream: TcpStream,
}

impl Raw {
    /// Sends preface and SETTINGS.
    pub fn connect(to: SocketAddr, settings: &[(u16, u32)]) -> Raw {
        let stream = TcpStream::connect(to).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut raw = Raw { stream };
        raw.send(&[PREFACE, &settings_frame(settings)].concat());
        raw
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).unwrap();
    }

    /// Fails when the proxy has had enough.
    pub fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// `None`: the connection is over, or nothing comes.
    pub fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).ok()?;
        let len = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let stream = u32::from_be_bytes(head[5..9].try_into().unwrap()) & 0x7fff_ffff;
        let mut payload = vec![0; len];
        self.stream.read_exact(&mut payload).ok()?;
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    /// The next frame of a kind, whatever comes before it.
    #[track_caller]
    pub fn until(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.next().unwrap_or_else(|| panic!("no frame of kind {kind}"));
            if frame.kind == kind {
                return frame;
            }
            assert_ne!(frame.kind, GOAWAY, "{frame:?}");
        }
    }
}

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&len[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

pub fn settings_frame(settings: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> = settings
        .iter()
        .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
        .collect();
    frame(SETTINGS, 0, 0, &payload)
}

pub fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &code.to_be_bytes())
}

/// A header that nobody is to remember.
pub fn literal(name: &str, value: &str) -> Vec<u8> {
    let mut out = vec![0];
    for text in [name, value] {
        out.extend(integer(text.len(), 7));
        out.extend(text.as_bytes());
    }
    out
}

/// RFC 7541, section 5.1, with nothing else in the first byte.
pub fn integer(value: usize, bits: u8) -> Vec<u8> {
    let most = (1usize << bits) - 1;
    if value < most {
        return vec![value as u8];
    }
    let (mut out, mut rest) = (vec![most as u8], value - most);
    while rest >= 128 {
        out.push((rest % 128 + 128) as u8);
        rest /= 128;
    }
    out.push(rest as u8);
    out
}

/// GET or POST of a path, as a header block.
pub fn block(post: bool, path: &str) -> Vec<u8> {
    let method = if post { 0x83 } else { 0x82 };
    let text = |index: u8, text: &str| [&[index][..], &integer(text.len(), 7), text.as_bytes()].concat();
    [&[method, 0x86][..], &text(4, path), &text(1, "a.example")].concat()
}

pub fn get(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(false, path))
}

pub fn post(stream: u32, path: &str, more: &[u8]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &[&block(true, path), more].concat())
}
