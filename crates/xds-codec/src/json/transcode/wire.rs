//! Protobuf's wire format, written.

use prost::encoding::{WireType, encode_key, encode_varint};

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
        encode_key(field, WireType::Varint, &mut self.0);
        encode_varint(value, &mut self.0);
    }

    pub fn text(&mut self, field: u32, text: &str) {
        encode_key(field, WireType::LengthDelimited, &mut self.0);
        encode_varint(text.len() as u64, &mut self.0);
        self.0.extend_from_slice(text.as_bytes());
    }

    /// Fields that somebody else encoded.
    pub fn raw(&mut self, fields: &[u8]) {
        self.0.extend_from_slice(fields);
    }

    /// Begins a nested message.
    pub fn open(&mut self, field: u32) -> Mark {
        encode_key(field, WireType::LengthDelimited, &mut self.0);
        Mark(self.0.len())
    }

    /// Ends it. Its length goes before it, which is known only now and takes one to five bytes: a
    /// move of a few KiB in memory is cheaper than to write everything twice.
    pub fn close(&mut self, mark: Mark) {
        let mut length = [0; 10];
        let mut rest = &mut length[..];
        encode_varint((self.0.len() - mark.0) as u64, &mut rest);
        let written = 10 - rest.len();
        self.0.splice(mark.0..mark.0, length[..written].iter().copied());
    }
}
