//! Integers with a prefix, section 5.1.

use bytes::BytesMut;

use super::DecodeError;

/// No length, index or table size of ours comes near; above it may be an attempt at overflow.
pub(crate) const MAX: usize = 1 << 24;

/// Takes an integer whose first byte has `prefix` bits of it (1 to 8) off the input's beginning.
#[inline]
pub(crate) fn take(input: &mut &[u8], prefix: u32) -> Result<usize, DecodeError> {
    let (first, rest) = input.split_first().ok_or(DecodeError::Truncated)?;
    *input = rest;
    let most = (1 << prefix) - 1;
    let value = usize::from(*first) & most;
    if value < most { Ok(value) } else { take_rest(input, most) }
}

fn take_rest(input: &mut &[u8], most: usize) -> Result<usize, DecodeError> {
    let mut value = most;
    // Four bytes have 28 bits. Encoders may add zeros (section 5.1), but none has a reason for more.
    for shift in [0, 7, 14, 21] {
        let (byte, rest) = input.split_first().ok_or(DecodeError::Truncated)?;
        *input = rest;
        value += usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return if value <= MAX { Ok(value) } else { Err(DecodeError::IntegerOverflow) };
        }
    }
    Err(DecodeError::IntegerOverflow)
}

/// Appends an integer behind the bits that `first` has above the prefix.
#[inline]
pub(crate) fn put(out: &mut BytesMut, first: u8, prefix: u32, value: usize) {
    let most = (1 << prefix) - 1;
    if value < most {
        // Fits into the prefix.
        out.extend_from_slice(&[first | value as u8]);
    } else {
        put_rest(out, first | most as u8, value - most);
    }
}

fn put_rest(out: &mut BytesMut, first: u8, mut rest: usize) {
    out.extend_from_slice(&[first]);
    while rest >= 0x80 {
        out.extend_from_slice(&[rest as u8 | 0x80]);
        rest >>= 7;
    }
    out.extend_from_slice(&[rest as u8]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appendix_c_1() {
        for (value, prefix, bytes) in
            [(10, 5, &[0x0a][..]), (1337, 5, &[0x1f, 0x9a, 0x0a]), (42, 8, &[0x2a]), (31, 5, &[0x1f, 0])]
        {
            let mut out = BytesMut::new();
            put(&mut out, 0, prefix, value);
            assert_eq!(out, bytes);
            assert_eq!(take(&mut &out[..], prefix), Ok(value));
        }
    }

    #[test]
    fn every_prefix_there_and_back() {
        for prefix in 1..=8 {
            for value in (0..1000).chain([16_383, 16_384, MAX - 1, MAX]) {
                let mut out = BytesMut::new();
                put(&mut out, 0, prefix, value);
                let len = out.len();
                out.extend_from_slice(b"x");
                let mut input = &out[..];
                assert_eq!(take(&mut input, prefix), Ok(value));
                assert_eq!(input, b"x");
                for cut in 0..len {
                    assert_eq!(take(&mut &out[..cut], prefix), Err(DecodeError::Truncated));
                }
            }
        }
    }

    #[test]
    fn refuses_what_is_too_large_or_too_long() {
        let mut out = BytesMut::new();
        put(&mut out, 0, 5, MAX + 1);
        assert_eq!(take(&mut &out[..], 5), Err(DecodeError::IntegerOverflow));
        let mut out = BytesMut::new();
        put(&mut out, 0, 5, usize::MAX);
        assert_eq!(take(&mut &out[..], 5), Err(DecodeError::IntegerOverflow));
        // Zeros, but no end of them.
        assert_eq!(take(&mut &[0x1f, 0x80, 0x80, 0x80, 0x80, 0][..], 5), Err(DecodeError::IntegerOverflow));
        assert_eq!(take(&mut &[0x1f, 0x80, 0x80, 0x00][..], 5), Ok(31));
    }
}
