//! Header blocks to fields.

use std::cell::Cell;

use super::table::Table;
use super::{DecodeError, Field, INITIAL_SIZE, huffman, integer, statics};

/// Room for decoded strings that is kept between blocks.
const SPARE: usize = 16 * 1024;

thread_local! {
    /// For decoded strings, of all connections: one that idles has none. Its length only grows, so that it is
    /// not zeroed for each.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// One direction of a connection.
#[derive(Debug)]
pub(crate) struct Decoder {
    table: Table,
    /// What the peer's size updates may not go beyond.
    max_size: usize,
}

impl Decoder {
    /// `max_size`: our SETTINGS_HEADER_TABLE_SIZE. Less than 4096 counts as 4096: the peer may use
    /// that much until it has read our SETTINGS, and has to say so when it uses less.
    pub(crate) fn new(max_size: usize) -> Self {
        let max_size = max_size.clamp(INITIAL_SIZE, integer::MAX);
        Decoder { table: Table::new(), max_size }
    }

    /// Decodes one whole header block (already joined from CONTINUATIONs) and calls `field` for each
    /// field in order. The state stays in step with the peer whatever `field` does with them; after
    /// an error it is not, and the connection has to end.
    ///
    /// A byte can become a field of the table's size, so it is for `field` to count them.
    pub(crate) fn decode(&mut self, block: &[u8], field: impl FnMut(Field<'_>)) -> Result<(), DecodeError> {
        let mut scratch = SCRATCH.take();
        let result = self.decode_with(&mut scratch, block, field);
        if scratch.capacity() <= SPARE {
            SCRATCH.set(scratch);
        }
        result
    }

    #[inline]
    fn decode_with(
        &mut self,
        scratch: &mut Vec<u8>,
        block: &[u8],
        mut field: impl FnMut(Field<'_>),
    ) -> Result<(), DecodeError> {
        let (mut input, mut has_fields) = (block, false);
        while let Some(first) = input.first().copied() {
            if first & 0xe0 == 0x20 {
                if has_fields {
                    return Err(DecodeError::SizeUpdateMisplaced);
                }
                self.update_size(integer::take(&mut input, 5)?)?;
                continue;
            }
            has_fields = true;
            if first & 0x80 != 0 {
                let index = integer::take(&mut input, 7)?;
                field(indexed(&self.table, index)?);
            } else {
                self.literal(first, &mut input, scratch, &mut field)?;
            }
        }
        Ok(())
    }

    fn update_size(&mut self, size: usize) -> Result<(), DecodeError> {
        if size > self.max_size {
            return Err(DecodeError::SizeUpdateTooLarge);
        }
        self.table.resize(size);
        Ok(())
    }

    /// A literal of any of the three kinds, section 6.2.
    #[inline]
    fn literal(
        &mut self,
        first: u8,
        input: &mut &[u8],
        scratch: &mut Vec<u8>,
        field: &mut impl FnMut(Field<'_>),
    ) -> Result<(), DecodeError> {
        let (is_kept, sensitive) = (first & 0x40 != 0, first & 0xf0 == 0x10);
        let index = integer::take(input, if is_kept { 6 } else { 4 })?;
        let raw_name = if index == 0 { Some(Raw::take(input)?) } else { None };
        let raw_value = Raw::take(input)?;

        let name_room = raw_name.as_ref().map_or(0, Raw::room);
        let room = name_room + raw_value.room();
        if scratch.len() < room {
            scratch.resize(room, 0);
        }
        let (for_name, for_value) = scratch.split_at_mut(name_room);
        let value = raw_value.text(for_value)?;
        if let Some(raw) = raw_name {
            let name = raw.text(for_name)?;
            // Once for all the times that the table gives it out.
            let checked = is_kept && http1::is_lower_token(name);
            field(Field { name, value, sensitive, checked });
            if is_kept {
                self.table.insert(name, value, u8::from(checked));
            }
        } else {
            let Field { name, checked, .. } = indexed(&self.table, index)?;
            field(Field { name, value, sensitive, checked });
            if is_kept {
                match index.checked_sub(statics::COUNT + 1) {
                    Some(nth) => self.table.insert_named_as(nth, value),
                    None => self.table.insert(statics::get(index).map_or(b"", |(name, _)| name), value, 1),
                }
            }
        }
        Ok(())
    }
}

/// The field of an index, of either table (section 2.3.3).
#[inline]
fn indexed(table: &Table, index: usize) -> Result<Field<'_>, DecodeError> {
    if let Some((name, value)) = statics::get(index) {
        return Ok(Field { name, value, sensitive: false, checked: true });
    }
    // 0 is in neither.
    let nth = index.checked_sub(statics::COUNT + 1).ok_or(DecodeError::BadIndex)?;
    let stored = table.get(nth).ok_or(DecodeError::BadIndex)?;
    Ok(Field { name: stored.name, value: stored.value, sensitive: false, checked: stored.mark != 0 })
}

/// A string as it is in the block, section 5.2.
#[derive(Clone, Copy)]
struct Raw<'b> {
    bytes: &'b [u8],
    is_huffman: bool,
}

impl<'b> Raw<'b> {
    #[inline]
    fn take(input: &mut &'b [u8]) -> Result<Self, DecodeError> {
        let is_huffman = input.first().is_some_and(|first| first & 0x80 != 0);
        let len = integer::take(input, 7)?;
        let (bytes, rest) = input.split_at_checked(len).ok_or(DecodeError::Truncated)?;
        *input = rest;
        Ok(Raw { bytes, is_huffman })
    }

    /// How many bytes of scratch it takes. The block bounds them, not a length that it claims.
    #[inline]
    fn room(&self) -> usize {
        if self.is_huffman { huffman::room(self.bytes.len()) } else { 0 }
    }

    #[inline]
    fn text<'s>(self, scratch: &'s mut [u8]) -> Result<&'s [u8], DecodeError>
    where
        'b: 's,
    {
        if !self.is_huffman {
            return Ok(self.bytes);
        }
        let len = huffman::decode(self.bytes, scratch).ok_or(DecodeError::BadHuffman)?;
        scratch.get(..len).ok_or(DecodeError::BadHuffman)
    }
}

#[cfg(test)]
pub(crate) mod tests;
