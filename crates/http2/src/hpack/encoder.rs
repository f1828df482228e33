//! Fields to header blocks.
//!
//! What repeats goes into the table and costs one byte from then on; what does not repeat is copied
//! as it is. So nothing is Huffman-coded: it would only make smaller what is rare or new each time.
//! For the same reason names are looked up in the static table only: one that is not there comes
//! either with values that repeat, or with values that are much longer than itself.

use bytes::BytesMut;

use super::table::Table;
use super::{OVERHEAD, integer, same, statics};

/// Of the dynamic table, whatever the peer allows: more of it is more memory for each connection.
const MAX_SIZE: usize = 4096;

/// How many pairs are remembered that were written once.
const SEEN: usize = 64;

/// The index of the dynamic table: sets of four slots.
const SETS: usize = 64;

/// Cookies shorter than this can be guessed byte by byte (section 7.1.3).
const SHORT_COOKIE: usize = 20;

/// First bits of the representations, section 6.
const INDEXED: u8 = 0x80;
const KEPT: u8 = 0x40;
const SIZE_UPDATE: u8 = 0x20;
const NEVER_INDEXED: u8 = 0x10;
const NOT_INDEXED: u8 = 0;

/// One direction of a connection.
#[derive(Debug)]
pub(crate) struct Encoder {
    table: Table,
    /// The smallest and the last size since the last block.
    due: Option<(usize, usize)>,
    /// Hashes of the last pairs that were written and not kept. Only what is here comes into the
    /// table, so that request ids and times never do.
    seen: [u32; SEEN],
    next_seen: usize,
    /// Where entries with some hash are: its upper half, and how many had been inserted before it.
    /// A slot may be out of date or another's: bytes are compared. At worst a pair is not found.
    index: [[u32; 4]; SETS],
    /// How many were inserted; wraps around.
    inserted: u16,
}

impl Encoder {
    pub(crate) fn new() -> Self {
        // Above zero by more than there can be entries: no slot is one yet.
        let inserted = 1 << 15;
        Encoder {
            table: Table::new(),
            due: None,
            seen: [0; SEEN],
            next_seen: 0,
            index: [[0; 4]; SETS],
            inserted,
        }
    }

    /// The peer's SETTINGS_HEADER_TABLE_SIZE. It holds from the next block on, which says so; if it
    /// went down and up again in between, both (section 4.2).
    pub(crate) fn set_max_size(&mut self, peer: usize) {
        let size = peer.min(MAX_SIZE);
        let least = self.due.map_or(self.table.max(), |(least, _)| least);
        self.due = Some((least.min(size), size));
    }

    /// Begins a block: with the size updates that are due.
    pub(crate) fn begin(&mut self, out: &mut BytesMut) {
        let Some((least, last)) = self.due.take() else { return };
        for size in [least, last] {
            if size != self.table.max() {
                self.table.resize(size);
                integer::put(out, SIZE_UPDATE, 5, size);
            }
        }
    }

    /// Adds a field, its name in lower case already.
    #[inline]
    pub(crate) fn field(&mut self, name: &[u8], value: &[u8], sensitive: bool, out: &mut BytesMut) {
        let known = statics::find(name);
        if sensitive || is_secret(known, value) {
            return literal(NEVER_INDEXED, 4, known, name, value, out);
        }
        let exact = statics::exact(known, value);
        if exact != 0 {
            return integer::put(out, INDEXED, 7, exact);
        }
        let hash = hash(known, name, value);
        if let Some(nth) = self.find(hash, known, name, value) {
            return integer::put(out, INDEXED, 7, statics::COUNT + 1 + nth);
        }
        // A large entry would push out many small ones.
        let fits = name.len() + value.len() + OVERHEAD <= self.table.max() / 4;
        if fits && self.has_been_seen(hash) {
            literal(KEPT, 6, known, name, value, out);
            self.insert(hash, known, name, value);
        } else {
            literal(NOT_INDEXED, 4, known, name, value, out);
        }
    }

    /// Whether a pair has been written lately; if not, it has been now.
    fn has_been_seen(&mut self, hash: u32) -> bool {
        // All of them, without an early end: that is a few vector instructions.
        let found = self.seen.iter().fold(false, |found, seen| found | (*seen == hash));
        if !found {
            self.seen[self.next_seen % SEEN] = hash;
            self.next_seen = (self.next_seen + 1) % SEEN;
        }
        found
    }

    /// Which of the last insertions it was, if it is there.
    #[inline]
    fn find(&self, hash: u32, known: usize, name: &[u8], value: &[u8]) -> Option<usize> {
        for slot in &self.index[hash as usize % SETS] {
            if (slot ^ hash) >> 16 == 0
                && let Some(stored) = self.table.get(self.nth(*slot))
                && same(stored.value, value)
                && usize::from(stored.mark) == known
                && (known != 0 || same(stored.name, name))
            {
                return Some(self.nth(*slot));
            }
        }
        None
    }

    fn insert(&mut self, hash: u32, known: usize, name: &[u8], value: &[u8]) {
        // The name's index in the static table, or 0, so that it is rarely compared itself.
        self.table.insert(name, value, known as u8);
        // In place of the oldest: it is the first one to be evicted, or is already.
        let mut oldest = 0;
        let set = hash as usize % SETS;
        for at in 1..4 {
            if self.nth(self.index[set][at]) > self.nth(self.index[set][oldest]) {
                oldest = at;
            }
        }
        self.index[set][oldest] = hash & 0xffff_0000 | u32::from(self.inserted);
        self.inserted = self.inserted.wrapping_add(1);
    }

    /// How many were inserted after a slot's.
    #[inline]
    fn nth(&self, slot: u32) -> usize {
        usize::from(self.inserted.wrapping_sub(slot as u16).wrapping_sub(1))
    }
}

/// What may never be in a table, for it could be guessed by the sizes of messages: credentials, and
/// cookies that are short enough for that (section 7.1.3).
#[inline]
fn is_secret(known: usize, value: &[u8]) -> bool {
    match known {
        statics::AUTHORIZATION | statics::PROXY_AUTHORIZATION => true,
        statics::COOKIE | statics::SET_COOKIE => value.len() < SHORT_COOKIE,
        _ => false,
    }
}

/// A literal, its name by the static table's index if that has it.
#[inline]
fn literal(first: u8, prefix: u32, known: usize, name: &[u8], value: &[u8], out: &mut BytesMut) {
    integer::put(out, first, prefix, known);
    if known == 0 {
        string(name, out);
    }
    string(value, out);
}

#[inline]
fn string(bytes: &[u8], out: &mut BytesMut) {
    integer::put(out, 0, 7, bytes.len());
    out.extend_from_slice(bytes);
}

/// Of a pair. A name that is in the static table is its index.
#[inline]
fn hash(known: usize, name: &[u8], value: &[u8]) -> u32 {
    let lengths = (name.len() as u64) << 32 ^ value.len() as u64;
    let name = if known == 0 { absorb(lengths, name) } else { mix(lengths, known as u64) };
    let hash = absorb(name, value);
    (hash >> 32) as u32
}

#[inline]
fn absorb(mut hash: u64, bytes: &[u8]) -> u64 {
    if let Some(last) = bytes.last_chunk::<8>() {
        let (pairs, rest) = bytes.as_chunks::<16>();
        for pair in pairs {
            let pair = u128::from_le_bytes(*pair);
            hash = multiply(hash ^ pair as u64, (pair >> 64) as u64 ^ FACTOR);
        }
        // The last words begin within the one before.
        if let Some(first) = rest.first_chunk::<8>() {
            hash = mix(hash, u64::from_le_bytes(*first));
        }
        return mix(hash, u64::from_le_bytes(*last));
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        let word = u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last));
        return mix(hash, word);
    }
    mix(hash, bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)))
}

#[inline]
fn mix(hash: u64, word: u64) -> u64 {
    multiply(hash ^ word, FACTOR)
}

/// Both halves of a product, so that all bits count in all.
#[inline]
fn multiply(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    product as u64 ^ (product >> 64) as u64
}

/// Odd, and with about as many ones as zeros.
const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;

#[cfg(test)]
mod tests;
