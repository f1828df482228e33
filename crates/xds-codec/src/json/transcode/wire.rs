//! Protobuf's wire format, written.

use prost::encoding::{WireType, encode_varint, encoded_len_varint};

/// Bytes of a message, growing.
#[derive(Default)]
pub(super) struct Wire(Vec<u8>);

/// Where a nested message began.
pub(super) struct Mark(usize);

impl Wire {
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn since(&self, start: usize) -> &[u8] {
        &self.0[start.min(self.0.len())..]
    }

    pub fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }

    pub fn number(&mut self, field: u32, value: u64) {
        self.key(field, WireType::Varint);
        self.varint(value);
    }

    pub fn text(&mut self, field: u32, text: &str) {
        self.key(field, WireType::LengthDelimited);
        self.varint(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    /// Fields that somebody else encoded.
    pub fn raw(&mut self, fields: &[u8]) {
        self.0.extend_from_slice(fields);
    }

    /// Begins a nested message. Its length goes before it and takes one byte, most times.
    pub fn open(&mut self, field: u32) -> Mark {
        self.key(field, WireType::LengthDelimited);
        self.0.push(0);
        Mark(self.0.len())
    }

    /// Ends it. Its length is known only now. Where that takes more than one byte, to move the message
    /// is cheaper than to write everything twice.
    pub fn close(&mut self, mark: Mark) {
        let length = self.0.len() - mark.0;
        let more = encoded_len_varint(length as u64) - 1;
        if more > 0 {
            self.0.resize(self.0.len() + more, 0);
            self.0.copy_within(mark.0..mark.0 + length, mark.0 + more);
        }
        encode_varint(length as u64, &mut &mut self.0[mark.0 - 1..mark.0 + more]);
    }

    fn key(&mut self, field: u32, ty: WireType) {
        self.varint(u64::from(field) << 3 | ty as u64);
    }

    fn varint(&mut self, value: u64) {
        match u8::try_from(value) {
            Ok(byte) if byte < 0x80 => self.0.push(byte),
            _ => encode_varint(value, &mut self.0),
        }
    }
}
