//! The layout of frames (RFC 9113, sections 4 and 6).

use bytes::{BufMut, BytesMut};

use crate::error::{Fault, Reason, broken};

/// Length of a frame's head.
pub(crate) const HEAD: usize = 9;
/// Whole frames of these kinds, in bytes.
pub(crate) const WINDOW_UPDATE: u64 = (HEAD + 4) as u64;
pub(crate) const RST_STREAM: u64 = (HEAD + 4) as u64;
/// What we take: the protocol's least, which is the default.
pub(crate) const MAX_FRAME: usize = 16_384;
/// A client's first bytes (section 3.4).
pub(crate) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) mod kind {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const HEADERS: u8 = 1;
    pub(crate) const PRIORITY: u8 = 2;
    pub(crate) const RST_STREAM: u8 = 3;
    pub(crate) const SETTINGS: u8 = 4;
    pub(crate) const PUSH_PROMISE: u8 = 5;
    pub(crate) const PING: u8 = 6;
    pub(crate) const GOAWAY: u8 = 7;
    pub(crate) const WINDOW_UPDATE: u8 = 8;
    pub(crate) const CONTINUATION: u8 = 9;
}

pub(crate) mod flag {
    pub(crate) const ACK: u8 = 1;
    pub(crate) const END_STREAM: u8 = 1;
    pub(crate) const END_HEADERS: u8 = 4;
    pub(crate) const PADDED: u8 = 8;
    pub(crate) const PRIORITY: u8 = 0x20;
}

/// A frame's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) len: usize,
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
}

impl Head {
    pub(crate) fn read(bytes: &[u8; HEAD]) -> Self {
        let [a, b, c, kind, flags, s1, s2, s3, s4] = *bytes;
        Head {
            len: u32::from_be_bytes([0, a, b, c]) as usize,
            kind,
            flags,
            // The highest bit is reserved.
            stream: u32::from_be_bytes([s1, s2, s3, s4]) & 0x7fff_ffff,
        }
    }

    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    pub(crate) fn bytes(self) -> [u8; HEAD] {
        let [_, a, b, c] = (self.len as u32).to_be_bytes();
        let [s1, s2, s3, s4] = self.stream.to_be_bytes();
        [a, b, c, self.kind, self.flags, s1, s2, s3, s4]
    }

    /// Writes it behind what is there.
    pub(crate) fn write(self, out: &mut BytesMut) {
        out.extend_from_slice(&self.bytes());
    }
}

/// Without padding, of DATA and HEADERS.
pub(crate) fn unpadded<'a>(head: &Head, payload: &'a [u8]) -> Result<&'a [u8], Fault> {
    if !head.has(flag::PADDED) {
        return Ok(payload);
    }
    let Some((padding, rest)) = payload.split_first() else {
        return broken(Reason::FRAME_SIZE_ERROR, "no padding length");
    };
    match rest.len().checked_sub(usize::from(*padding)) {
        Some(len) => Ok(&rest[..len]),
        None => broken(Reason::PROTOCOL_ERROR, "more padding than there is room for"),
    }
}

pub(crate) fn u32_of(payload: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(*payload.first_chunk()?))
}

pub(crate) fn rst_stream(stream: u32, reason: Reason, out: &mut BytesMut) {
    Head { len: 4, kind: kind::RST_STREAM, flags: 0, stream }.write(out);
    out.put_u32(reason.0);
}

pub(crate) fn window_update(stream: u32, by: u32, out: &mut BytesMut) {
    Head { len: 4, kind: kind::WINDOW_UPDATE, flags: 0, stream }.write(out);
    out.put_u32(by);
}

pub(crate) fn ping(ack: bool, payload: [u8; 8], out: &mut BytesMut) {
    let flags = if ack { flag::ACK } else { 0 };
    Head { len: 8, kind: kind::PING, flags, stream: 0 }.write(out);
    out.extend_from_slice(&payload);
}

pub(crate) fn goaway(last: u32, reason: Reason, out: &mut BytesMut) {
    Head { len: 8, kind: kind::GOAWAY, flags: 0, stream: 0 }.write(out);
    out.put_u32(last);
    out.put_u32(reason.0);
}

pub(crate) fn settings(values: &[(u16, u32)], out: &mut BytesMut) {
    Head { len: values.len() * 6, kind: kind::SETTINGS, flags: 0, stream: 0 }.write(out);
    for (id, value) in values {
        out.put_u16(*id);
        out.put_u32(*value);
    }
}

pub(crate) fn settings_ack(out: &mut BytesMut) {
    Head { len: 0, kind: kind::SETTINGS, flags: flag::ACK, stream: 0 }.write(out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_read_as_written() {
        let head = Head { len: 0x012345, kind: 1, flags: 5, stream: 0x7fff_fffe };
        assert_eq!(Head::read(&head.bytes()), head);
        let mut reserved = head.bytes();
        reserved[5] |= 0x80;
        assert_eq!(Head::read(&reserved), head);
    }

    #[test]
    fn padding_is_taken_off() {
        let head = |flags| Head { len: 0, kind: kind::DATA, flags, stream: 1 };
        assert_eq!(unpadded(&head(0), b"\x01ab").unwrap(), b"\x01ab");
        assert_eq!(unpadded(&head(flag::PADDED), b"\x01ab").unwrap(), b"a");
        assert_eq!(unpadded(&head(flag::PADDED), b"\x02ab").unwrap(), b"");
        assert!(unpadded(&head(flag::PADDED), b"\x03ab").is_err());
        assert!(unpadded(&head(flag::PADDED), b"").is_err());
    }
}
