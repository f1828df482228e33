//! Bytes of a stream that came and were not taken.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Pieces from this size on stay where they were read. Smaller ones are copied together, so that a
/// peer which sends byte by byte does not have us keep a buffer for each.
pub(crate) const LARGE: usize = 4096;

/// Without memory while it is empty.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    large: VecDeque<Bytes>,
    /// Behind them.
    small: BytesMut,
}

impl Inbox {
    pub(crate) fn is_empty(&self) -> bool {
        self.small.is_empty() && self.large.is_empty()
    }

    pub(crate) fn copy(&mut self, bytes: &[u8]) {
        self.small.extend_from_slice(bytes);
    }

    pub(crate) fn push(&mut self, bytes: Bytes) {
        if !self.small.is_empty() {
            self.large.push_back(std::mem::take(&mut self.small).freeze());
        }
        self.large.push_back(bytes);
    }

    /// The oldest piece.
    pub(crate) fn pop(&mut self) -> Option<Bytes> {
        match self.large.pop_front() {
            Some(bytes) => Some(bytes),
            None if self.small.is_empty() => None,
            None => Some(std::mem::take(&mut self.small).freeze()),
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Inbox::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_in_order() {
        let mut inbox = Inbox::default();
        assert!(inbox.is_empty() && inbox.pop().is_none());
        inbox.copy(b"a");
        inbox.copy(b"b");
        inbox.push(Bytes::from_static(b"LARGE"));
        inbox.copy(b"c");
        let all: Vec<_> = std::iter::from_fn(|| inbox.pop()).collect();
        assert_eq!(all, ["ab", "LARGE", "c"]);
        assert!(inbox.is_empty());
    }
}
