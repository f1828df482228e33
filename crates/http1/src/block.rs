//! Sixteen bytes at a time: which of them are of some kind.

/// How many bytes a block has.
pub(crate) const LEN: usize = 16;

/// Some bytes of a block: a bit for each, the first one's lowest.
#[derive(Clone, Copy)]
pub(crate) struct Found(u32);

impl Found {
    /// Those from the `n`th on.
    #[inline]
    pub(crate) fn from(self, n: usize) -> Self {
        Found(self.0 >> n << n)
    }

    /// Where the first one is.
    #[inline]
    pub(crate) fn first(self) -> Option<usize> {
        (self.0 != 0).then(|| self.0.trailing_zeros() as usize)
    }

    #[inline]
    pub(crate) fn any(self) -> bool {
        self.0 != 0
    }
}

/// Whether any of these bytes is what `look` finds.
#[inline(always)]
pub(crate) fn any(bytes: &[u8], look: impl Fn(&[u8; LEN]) -> Found) -> bool {
    match bytes.last_chunk() {
        // The last block begins within the one before.
        Some(last) => bytes.as_chunks().0.iter().any(|block| look(block).any()) || look(last).any(),
        None => look(&repeated(bytes)).any(),
    }
}

/// Whether two names are the same, whatever their case.
#[inline]
pub fn same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let (Some(last), Some(others_last)) = (one.last_chunk(), other.last_chunk()) else {
        return !unlike(&repeated(one), &repeated(other)).any();
    };
    let mut blocks = one.as_chunks().0.iter().zip(other.as_chunks().0);
    blocks.all(|(one, other)| !unlike(one, other).any()) && !unlike(last, others_last).any()
}

/// A block of fewer bytes than it takes, some of them more than once: in pieces that overlap. Without any
/// it is letters.
#[inline(always)]
fn repeated(bytes: &[u8]) -> [u8; LEN] {
    fn ends<const N: usize>(bytes: &[u8]) -> Option<([u8; N], [u8; N])> {
        Some((*bytes.first_chunk()?, *bytes.last_chunk()?))
    }
    if let Some((first, last)) = ends(bytes) {
        return both(u64::from_le_bytes(first), u64::from_le_bytes(last));
    }
    if let Some((first, last)) = ends(bytes) {
        let word = u64::from(u32::from_le_bytes(first)) | u64::from(u32::from_le_bytes(last)) << 32;
        return both(word, word);
    }
    let byte = |at: usize| u64::from(bytes.get(at.min(bytes.len().wrapping_sub(1))).copied().unwrap_or(b'x'));
    let word = (byte(0) | byte(1) << 8 | byte(2) << 16 | byte(2) << 24) * 0x1_0000_0001;
    both(word, word)
}

#[inline(always)]
fn both(first: u64, last: u64) -> [u8; LEN] {
    (u128::from(first) | u128::from(last) << 64).to_le_bytes()
}

#[cfg(target_arch = "x86_64")]
pub(crate) use sse2::{controls, ends_target, not_plain, unlike};

/// With what every x86-64 has.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod sse2 {
    use std::arch::x86_64::{
        __m128i, _mm_and_si128, _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128,
        _mm_set_epi64x, _mm_set1_epi8, _mm_sub_epi8,
    };

    use super::{Found, LEN};

    /// What is no letter, digit or hyphen, as nearly all bytes of names are.
    #[inline]
    pub(crate) fn not_plain(bytes: &[u8; LEN]) -> Found {
        // SAFETY: SSE2 is part of x86-64.
        unsafe { inner::not_plain(bytes) }
    }

    /// Control characters, tabs too.
    #[inline]
    pub(crate) fn controls(bytes: &[u8; LEN]) -> Found {
        // SAFETY: SSE2 is part of x86-64.
        unsafe { inner::controls(bytes) }
    }

    /// What no target has: controls, spaces, `#`, and bytes beyond ASCII.
    #[inline]
    pub(crate) fn ends_target(bytes: &[u8; LEN]) -> Found {
        // SAFETY: SSE2 is part of x86-64.
        unsafe { inner::ends_target(bytes) }
    }

    /// Where they differ in more than their case.
    #[inline]
    pub(crate) fn unlike(one: &[u8; LEN], other: &[u8; LEN]) -> Found {
        // SAFETY: SSE2 is part of x86-64.
        unsafe { inner::unlike(one, other) }
    }

    /// What may be called where the compiler knows that there is SSE2.
    mod inner {
        use super::*;

        #[inline]
        #[target_feature(enable = "sse2")]
        fn load(bytes: &[u8; LEN]) -> __m128i {
            let (words, _) = bytes.as_chunks();
            _mm_set_epi64x(i64::from_le_bytes(words[1]), i64::from_le_bytes(words[0]))
        }

        #[inline]
        #[target_feature(enable = "sse2")]
        fn all(byte: u8) -> __m128i {
            _mm_set1_epi8(byte.cast_signed())
        }

        #[inline]
        #[target_feature(enable = "sse2")]
        fn between(block: __m128i, first: u8, last: u8) -> __m128i {
            let above = _mm_sub_epi8(block, all(first));
            _mm_cmpeq_epi8(_mm_min_epu8(above, all(last - first)), above)
        }

        #[inline]
        #[target_feature(enable = "sse2")]
        fn either(one: __m128i, other: __m128i) -> Found {
            Found(_mm_movemask_epi8(_mm_or_si128(one, other)).cast_unsigned())
        }

        #[inline]
        #[target_feature(enable = "sse2")]
        pub(super) fn not_plain(bytes: &[u8; LEN]) -> Found {
            let block = load(bytes);
            let letters = between(_mm_or_si128(block, all(0x20)), b'a', b'z');
            let others = _mm_or_si128(between(block, b'0', b'9'), _mm_cmpeq_epi8(block, all(b'-')));
            Found(!either(letters, others).0 & 0xffff)
        }

        #[inline]
        #[target_feature(enable = "sse2")]
        pub(super) fn controls(bytes: &[u8; LEN]) -> Found {
            let block = load(bytes);
            either(between(block, 0, 0x1f), _mm_cmpeq_epi8(block, all(0x7f)))
        }

        #[inline]
        #[target_feature(enable = "sse2")]
        pub(super) fn ends_target(bytes: &[u8; LEN]) -> Found {
            let block = load(bytes);
            let outside = _mm_or_si128(between(block, 0, b' '), between(block, 0x7f, 0xff));
            either(outside, _mm_cmpeq_epi8(block, all(b'#')))
        }

        #[inline]
        #[target_feature(enable = "sse2")]
        pub(super) fn unlike(one: &[u8; LEN], other: &[u8; LEN]) -> Found {
            let (one, other) = (load(one), load(other));
            let (lower, others_lower) = (_mm_or_si128(one, all(0x20)), _mm_or_si128(other, all(0x20)));
            let letters = _mm_and_si128(_mm_cmpeq_epi8(lower, others_lower), between(lower, b'a', b'z'));
            Found(!either(letters, _mm_cmpeq_epi8(one, other)).0 & 0xffff)
        }
    }
}

/// For all other machines.
#[cfg(any(test, not(target_arch = "x86_64")))]
mod bytewise {
    use super::{Found, LEN};

    fn those(bytes: &[u8; LEN], are: impl Fn(u8) -> bool) -> Found {
        Found(bytes.iter().rev().fold(0, |found, byte| found << 1 | u32::from(are(*byte))))
    }

    pub(crate) fn not_plain(bytes: &[u8; LEN]) -> Found {
        those(bytes, |byte| !(byte.is_ascii_alphanumeric() || byte == b'-'))
    }

    pub(crate) fn controls(bytes: &[u8; LEN]) -> Found {
        those(bytes, |byte| byte.is_ascii_control())
    }

    pub(crate) fn ends_target(bytes: &[u8; LEN]) -> Found {
        those(bytes, |byte| !byte.is_ascii_graphic() || byte == b'#')
    }

    pub(crate) fn unlike(one: &[u8; LEN], other: &[u8; LEN]) -> Found {
        let unlike = std::array::from_fn(|at| u8::from(!one[at].eq_ignore_ascii_case(&other[at])));
        those(&unlike, |unlike| unlike != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_each_byte_wherever_it_is() {
        for (byte, at) in (0..=255).flat_map(|byte| (0..LEN).map(move |at| (byte, at))) {
            let mut bytes = *b"an-ordinary-name";
            bytes[at] = byte;
            assert_eq!(not_plain(&bytes).0, bytewise::not_plain(&bytes).0, "{byte} {at}");
            assert_eq!(controls(&bytes).0, bytewise::controls(&bytes).0, "{byte} {at}");
            assert_eq!(ends_target(&bytes).0, bytewise::ends_target(&bytes).0, "{byte} {at}");
            let expected = byte.is_ascii_control().then_some(at);
            assert_eq!((controls(&bytes).first(), controls(&bytes).any()), (expected, expected.is_some()));
            assert_eq!(controls(&bytes).from(at).first(), expected);
            assert_eq!(controls(&bytes).from(at + 1).first(), None);
            for other in 0..=255 {
                let mut others = *b"An-ORDINARY-name";
                others[at] = other;
                assert_eq!(unlike(&bytes, &others).0, bytewise::unlike(&bytes, &others).0, "{byte} {other}");
            }
        }
    }

    #[test]
    fn looks_at_every_byte_whatever_the_length() {
        for len in 0..40 {
            let plain = vec![b'a'; len];
            assert!(!any(&plain, controls) && !any(&plain, not_plain) && same(&plain, &vec![b'A'; len]));
            assert!(!same(&plain, &vec![b'a'; len + 1]));
            for at in 0..len {
                for byte in [b'\r', b'b', 0xff, b'!', 0x01] {
                    let mut bytes = plain.clone();
                    bytes[at] = byte;
                    assert_eq!(any(&bytes, controls), byte.is_ascii_control(), "{len} {at} {byte}");
                    assert!(!same(&bytes, &plain) && !same(&plain, &bytes), "{len} {at} {byte}");
                }
            }
        }
    }
}
