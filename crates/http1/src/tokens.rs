//! Lists of tokens, as in Connection, and the fields that concern one connection only.

use crate::Headers;

/// Whether a comma-separated list has this token, whatever its case.
pub fn has_token(list: &[u8], token: &str) -> bool {
    elements(list).any(|element| element.eq_ignore_ascii_case(token.as_bytes()))
}

/// The elements of a comma-separated list, without white space around them and without empty ones.
pub(crate) fn elements(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|b| *b == b',').map(trim).filter(|element| !element.is_empty())
}

/// Without spaces and tabs at both ends.
pub(crate) fn trim(bytes: &[u8]) -> &[u8] {
    let blank = |b: &u8| matches!(b, b' ' | b'\t');
    let start = bytes.iter().position(|b| !blank(b)).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(|b| !blank(b)).map_or(start, |last| last + 1);
    &bytes[start..end]
}

/// A one in each byte of a word, and each byte's highest bit.
pub(crate) const ONES: u64 = u64::MAX / 255;
pub(crate) const HIGH: u64 = ONES * 0x80;

/// `tchar` of RFC 9110, section 5.6.2.
#[inline]
pub(crate) fn is_tchar(byte: u8) -> bool {
    const TCHAR: [bool; 256] = alphanumeric_and(b"!#$%&'*+-.^_`|~");
    TCHAR[usize::from(byte)]
}

/// One `tchar` or more.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    let all = |bytes: &[u8]| bytes.iter().all(|b| is_tchar(*b));
    let word = |word: &[u8; 8]| not_plain(u64::from_ne_bytes(*word)) == 0 || all(word);
    match bytes.last_chunk::<8>() {
        // The last word begins within the one before.
        Some(last) => bytes.as_chunks::<8>().0.iter().all(word) && word(last),
        None => !bytes.is_empty() && all(bytes),
    }
}

/// `tchar` without upper case: a name as HTTP/2 has it (RFC 9113, section 8.2.1).
pub fn is_lower_token(name: &[u8]) -> bool {
    is_token(name) && !name.iter().any(u8::is_ascii_uppercase)
}

/// The highest bit of each byte that is no letter, digit or hyphen, as nearly all bytes of names are; of all
/// bytes, if one is beyond ASCII. All eight at once: of bytes below 0x80 none carries into the next one here.
#[inline]
pub(crate) fn not_plain(word: u64) -> u64 {
    // Upper case becomes lower case, and what is below `@` stays.
    let lower = word | (word & (ONES * 0x40)) >> 1;
    let at_least = |least: u8| lower.wrapping_add(ONES * u64::from(0x80 - least));
    let letters = at_least(b'a') & !at_least(b'z' + 1);
    let digits = at_least(b'0') & !at_least(b'9' + 1);
    let hyphens = at_least(b'-') & !at_least(b'-' + 1);
    if word & HIGH == 0 { !(letters | digits | hyphens) & HIGH } else { HIGH }
}

/// The highest bit of the first byte that is below `n`, and perhaps of some behind it; of none beyond ASCII.
#[inline]
pub(crate) fn below(word: u64, n: u64) -> u64 {
    // Such bytes borrow from their highest bit.
    word.wrapping_sub(ONES * n) & !word & HIGH
}

/// Letters, digits, and these others of ASCII: what of all bytes may be somewhere.
pub(crate) const fn alphanumeric_and(others: &[u8]) -> [bool; 256] {
    let (mut table, mut byte) = ([false; 256], 0);
    while byte < 128 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut at = 0;
    while at < others.len() {
        table[others[at] as usize] = true;
        at += 1;
    }
    table
}

/// The highest bit of the first control character, and perhaps of some bytes behind it. A tab is one.
#[inline]
pub(crate) fn controls(word: u64) -> u64 {
    below(word, 0x20) | below(word ^ (ONES * 0x7f), 1)
}

/// Fields that this crate gives a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    Other,
    Host,
    Te,
    Expect,
    Upgrade,
    Connection,
    KeepAlive,
    ProxyConnection,
    ContentLength,
    TransferEncoding,
}

/// Length and a few letters of a name, whatever their case: equal for equal names, and different for
/// nearly all others.
#[inline]
pub(crate) const fn tag(name: &[u8]) -> u32 {
    let len = name.len();
    if len == 0 {
        return 0;
    }
    let (first, middle, last) = (name[0] | 0x20, name[len / 2] | 0x20, name[len - 1] | 0x20);
    u32::from_le_bytes([len as u8, first, middle, last])
}

/// Which of them a name is.
pub(crate) fn known(name: &[u8]) -> Known {
    known_by(tag(name), name)
}

/// Which of them a name with this [`tag`] is.
#[inline]
pub(crate) fn known_by(of: u32, name: &[u8]) -> Known {
    macro_rules! among {
        ($($text:literal $known:ident)*) => {
            match of {
                $(of if of == const { tag($text) } && name.eq_ignore_ascii_case($text) => Known::$known,)*
                _ => Known::Other,
            }
        };
    }
    among! {
        b"te" Te
        b"host" Host
        b"expect" Expect
        b"upgrade" Upgrade
        b"connection" Connection
        b"keep-alive" KeepAlive
        b"content-length" ContentLength
        b"proxy-connection" ProxyConnection
        b"transfer-encoding" TransferEncoding
    }
}

/// Whether there may be control characters: looks at eight bytes at a time, and takes a tab for one.
pub(crate) fn may_have_controls(bytes: &[u8]) -> bool {
    let bad = |word: &[u8; 8]| controls(u64::from_le_bytes(*word)) != 0;
    match bytes.last_chunk() {
        // The last word begins within the one before.
        Some(last) => bytes.as_chunks().0.iter().any(bad) || bad(last),
        None => bytes.iter().any(u8::is_ascii_control),
    }
}

/// Whether a field concerns one connection only (RFC 9110, section 7.6.1). Fields that
/// Connection names do, too; of TE `trailers` is meant for the next hop.
pub fn is_hop_by_hop(name: &[u8]) -> bool {
    matches!(
        known(name),
        Known::Connection
            | Known::KeepAlive
            | Known::ProxyConnection
            | Known::TransferEncoding
            | Known::Upgrade
            | Known::Te
    )
}

/// Removes hop-by-hop fields, those that Connection names included. Fields without which the
/// message would mean something else cannot be named away.
pub(crate) fn strip(headers: &mut Headers) {
    const HOP_BY_HOP: [Known; 6] = [
        Known::Connection,
        Known::KeepAlive,
        Known::ProxyConnection,
        Known::Upgrade,
        Known::TransferEncoding,
        Known::Te,
    ];
    if HOP_BY_HOP.iter().any(|known| headers.may_have(*known)) {
        headers.remove_named_by_connection();
        headers.remove_all_known(&HOP_BY_HOP);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_tokens_in_lists() {
        for (list, found) in [
            ("close", true),
            ("keep-alive, Close", true),
            ("a,, close\t,b", true),
            ("closed", false),
            ("", false),
            ("keep-alive", false),
        ] {
            assert_eq!(has_token(list.as_bytes(), "close"), found, "{list}");
        }
    }

    #[test]
    fn knows_tokens_byte_by_byte() {
        let tchar = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        for (len, at) in [(1, 0), (7, 3), (8, 0), (8, 7), (9, 8), (16, 9), (19, 18)] {
            for byte in 0..=255 {
                let mut name = vec![b'x'; len];
                name[at] = byte;
                assert_eq!(is_token(&name), tchar(byte), "{len} {at} {byte}");
            }
        }
        assert!(!is_token(b""));
    }

    #[test]
    fn names_are_lower_case_tokens() {
        for byte in 0..=255u8 {
            let tchar = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            assert_eq!(is_lower_token(&[b'x', byte]), tchar && !byte.is_ascii_uppercase(), "{byte}");
        }
        assert!(!is_lower_token(b"") && !is_lower_token(b":path"));
    }

    #[test]
    fn finds_control_characters_wherever_they_are() {
        for len in 0..40 {
            let plain = vec![b' '; len];
            assert!(!may_have_controls(&plain), "{len}");
            for (at, byte) in (0..len).flat_map(|at| (0..=255u8).map(move |byte| (at, byte))) {
                let mut bytes = plain.clone();
                bytes[at] = byte;
                assert_eq!(may_have_controls(&bytes), byte.is_ascii_control(), "{len} {at} {byte}");
            }
        }
    }

    #[test]
    fn knows_fields_in_whatever_case() {
        for name in ["Host", "TE", "content-length", "Content-Length", "KEEP-ALIVE", "Expect"] {
            assert_ne!(known(name.as_bytes()), Known::Other, "{name}");
        }
        for name in ["", "h", "hast", "xost", "content-langth", "expecT-x"] {
            assert_eq!(known(name.as_bytes()), Known::Other, "{name}");
        }
    }

    #[test]
    fn knows_hop_by_hop_fields() {
        for name in ["Connection", "TE", "keep-alive", "PROXY-Connection", "Transfer-Encoding", "upgrade"] {
            assert!(is_hop_by_hop(name.as_bytes()), "{name}");
        }
        assert!(!is_hop_by_hop(b"host") && !is_hop_by_hop(b"content-length") && !is_hop_by_hop(b"x"));
    }
}
