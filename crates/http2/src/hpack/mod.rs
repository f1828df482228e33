//! HPACK, RFC 7541: the fields of HTTP/2's header blocks.
//!
//! A block that cannot be decoded ends its connection (RFC 9113, section 4.3), because after it both
//! sides' tables differ. So everything here is either right or a [`DecodeError`]: nothing is skipped.

mod decoder;
mod encoder;
mod huffman;
mod integer;
mod statics;
mod table;

pub(crate) use decoder::Decoder;
pub(crate) use encoder::Encoder;

/// A field as it was decoded; lives until the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Field<'a> {
    pub name: &'a [u8],
    pub value: &'a [u8],
    /// A literal that is never indexed (section 6.2.3): whoever passes it on has to say so, too.
    pub sensitive: bool,
    /// The name is known to be one that HTTP/2 may have (a lower-case token): from the static table,
    /// or checked when it entered the dynamic table. Pseudo-headers of the static table count.
    pub checked: bool,
}

/// Why a block cannot be decoded. All of them are COMPRESSION_ERROR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DecodeError {
    /// The block ends within an integer or a string.
    Truncated,
    /// An integer above [`integer::MAX`], or with more bytes than any below it needs.
    IntegerOverflow,
    /// Index 0, or one that neither table has.
    BadIndex,
    /// EOS within a string, a code that is cut off, padding of more than 7 bits or not of ones.
    BadHuffman,
    /// A dynamic table above what our SETTINGS allow.
    SizeUpdateTooLarge,
    /// A size update behind a field (section 4.2).
    SizeUpdateMisplaced,
}

/// What an entry costs beyond its bytes (section 4.1).
const OVERHEAD: usize = 32;

/// The dynamic table's size before anything is agreed on (RFC 9113, section 6.5.2).
const INITIAL_SIZE: usize = 4096;

/// `==` for short strings, a word at a time: calling `memcmp` takes longer than that.
#[inline]
fn same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    // The last word begins within the one before.
    if let (Some(end), Some(other_end)) = (one.last_chunk::<8>(), other.last_chunk::<8>()) {
        let mut words = one.as_chunks::<8>().0.iter().zip(other.as_chunks::<8>().0);
        return end == other_end && words.all(|(a, b)| a == b);
    }
    if let (Some(end), Some(other_end)) = (one.last_chunk::<4>(), other.last_chunk::<4>()) {
        return end == other_end && one.first_chunk::<4>() == other.first_chunk::<4>();
    }
    one.iter().zip(other).all(|(a, b)| a == b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_every_byte() {
        for len in 0..40 {
            let one = vec![b'x'; len];
            assert!(same(&one, &one.clone()) && !same(&one, &vec![b'x'; len + 1]));
            for at in 0..len {
                let mut other = one.clone();
                other[at] = b'y';
                assert!(!same(&one, &other), "{len} {at}");
            }
        }
    }
}
