//! Netlink messages and attributes, as bytes. Lengths are filled in when a message or a nest
//! ends, so nobody counts by hand.

/// Grows a sequence of netlink messages in one buffer.
#[derive(Debug, Default)]
pub struct Encoder {
    bytes: Vec<u8>,
    /// Where the last message begins.
    last: usize,
    /// Sequence number of the last message begun.
    pub sequence: u32,
}

const ALIGN: usize = 4;
/// `struct nlmsghdr`: length, type, flags, sequence, port.
const HEADER: usize = 16;
const NLA_F_NESTED: u16 = 1 << 15;

impl Encoder {
    /// Appends one message with the payload that `body` writes.
    pub fn message(&mut self, kind: u16, flags: u16, body: impl FnOnce(&mut Encoder)) {
        let start = self.bytes.len();
        self.last = start;
        self.sequence += 1;
        self.bytes.extend([0; 4]);
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(flags.to_ne_bytes());
        self.bytes.extend(self.sequence.to_ne_bytes());
        self.bytes.extend([0; 4]);
        debug_assert_eq!(self.bytes.len() - start, HEADER);
        body(self);
        let length = (self.bytes.len() - start) as u32;
        self.bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
    }

    /// Adds flags to the last message, if there is one.
    pub fn flag_last(&mut self, flags: u16) {
        if let Some([low, high]) = self.bytes.get_mut(self.last + 6..self.last + 8) {
            [*low, *high] = (u16::from_ne_bytes([*low, *high]) | flags).to_ne_bytes();
        }
    }

    /// `struct nfgenmsg`: family, version 0, resource id in network order.
    pub fn nfgen(&mut self, family: u8, resource: u16) {
        self.bytes.extend([family, 0]);
        self.bytes.extend(resource.to_be_bytes());
    }

    /// An attribute with these bytes, padded.
    pub fn attribute(&mut self, kind: u16, value: &[u8]) {
        let length = (4 + value.len()) as u16;
        self.bytes.extend(length.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(value);
        self.pad();
    }

    /// A number in network order, as nf_tables wants its own.
    pub fn be32(&mut self, kind: u16, value: u32) {
        self.attribute(kind, &value.to_be_bytes());
    }

    /// Text with its closing NUL.
    pub fn text(&mut self, kind: u16, value: &str) {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.attribute(kind, &bytes);
    }

    /// An attribute that holds attributes.
    pub fn nest(&mut self, kind: u16, body: impl FnOnce(&mut Encoder)) {
        let start = self.bytes.len();
        self.bytes.extend([0; 2]);
        self.bytes.extend((kind | NLA_F_NESTED).to_ne_bytes());
        body(self);
        let length = (self.bytes.len() - start) as u16;
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    }

    /// What was written.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn pad(&mut self) {
        while !self.bytes.len().is_multiple_of(ALIGN) {
            self.bytes.push(0);
        }
    }
}

/// One answer of the kernel: the sequence it answers, and an `errno` (0 is success).
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub sequence: u32,
    pub errno: i32,
}

/// Reads the `NLMSG_ERROR` messages (acknowledgements are errors of value 0) of one datagram.
pub fn answers(datagram: &[u8]) -> Vec<Answer> {
    const NLMSG_ERROR: u16 = 2;
    let answer = |(sequence, payload): (u32, &[u8])| {
        let code = payload.first_chunk::<4>()?;
        Some(Answer { sequence, errno: i32::from_ne_bytes(*code).saturating_neg() })
    };
    let errors = split(datagram).into_iter().filter(|message| message.kind == NLMSG_ERROR);
    errors.filter_map(|message| answer((message.sequence, message.payload))).collect()
}

/// Kind and payload of each message of a datagram.
pub fn messages(datagram: &[u8]) -> Vec<(u16, &[u8])> {
    split(datagram).into_iter().map(|message| (message.kind, message.payload)).collect()
}

/// The value of the first attribute of this kind.
pub fn attribute_of(mut attributes: &[u8], kind: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16::from_ne_bytes(*attributes.first_chunk()?));
        let found = u16::from_ne_bytes(*attributes.get(2..)?.first_chunk()?);
        let value = attributes.get(4..length)?;
        if found & !NLA_F_NESTED == kind {
            return Some(value);
        }
        attributes = attributes.get(length.next_multiple_of(ALIGN)..)?;
    }
}

struct Message<'a> {
    kind: u16,
    sequence: u32,
    payload: &'a [u8],
}

/// The whole messages of a datagram; a cut one ends it.
fn split(mut bytes: &[u8]) -> Vec<Message<'_>> {
    let mut messages = Vec::new();
    while let Some((length, kind, sequence)) = header(bytes) {
        let Some(payload) = bytes.get(HEADER..length) else { break };
        messages.push(Message { kind, sequence, payload });
        bytes = bytes.get(length.next_multiple_of(ALIGN)..).unwrap_or_default();
    }
    messages
}

fn header(bytes: &[u8]) -> Option<(usize, u16, u32)> {
    let word = |at: usize| bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes);
    let kind = bytes.get(4..6)?.try_into().ok().map(u16::from_ne_bytes)?;
    let length = word(0)? as usize;
    (length >= HEADER).then_some((length, kind, word(8)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_padding() {
        let mut encoder = Encoder::default();
        encoder.message(7, 1, |m| {
            m.nfgen(1, 0);
            m.nest(4, |m| m.text(1, "ab"));
        });
        let bytes = encoder.bytes();
        assert_eq!(bytes.len(), 16 + 4 + 4 + 8);
        assert_eq!(bytes[..4], 32u32.to_ne_bytes());
        assert_eq!(bytes[20..24], [[12, 0], (4u16 | NLA_F_NESTED).to_ne_bytes()].concat());
        assert_eq!(bytes[24..], [7, 0, 1, 0, b'a', b'b', 0, 0]);
    }

    #[test]
    fn answers_are_read_and_cut_ones_are_no_panic() {
        let mut datagram = Encoder::default();
        datagram.message(2, 0, |m| m.attribute_raw(&(-17i32).to_ne_bytes()));
        datagram.message(2, 0, |m| m.attribute_raw(&0i32.to_ne_bytes()));
        let expected = [Answer { sequence: 1, errno: 17 }, Answer { sequence: 2, errno: 0 }];
        assert_eq!(answers(datagram.bytes()), expected);
        for cut in 0..datagram.bytes().len() {
            assert!(answers(&datagram.bytes()[..cut]).len() < 2);
        }
        assert!(answers(&[0; 64]).is_empty());
    }

    #[test]
    fn attributes_are_found_and_cut_ones_are_no_panic() {
        let mut encoder = Encoder::default();
        encoder.attribute(3, b"abc");
        encoder.nest(1, |e| e.text(9, "x"));
        let bytes = encoder.bytes();
        assert_eq!(attribute_of(bytes, 3), Some(&b"abc"[..]));
        assert_eq!(attribute_of(bytes, 1).map(<[u8]>::len), Some(8));
        assert_eq!(attribute_of(bytes, 2), None);
        assert_eq!(attribute_of(&[0; 8], 2), None, "a length of 0 is no endless loop");
        for cut in 0..bytes.len() {
            attribute_of(&bytes[..cut], 1);
        }
    }

    impl Encoder {
        fn attribute_raw(&mut self, bytes: &[u8]) {
            self.bytes.extend(bytes);
        }
    }
}
