//! Lists of tokens, as in Connection, and the fields that concern one connection only.

use crate::{Headers, block};

/// Whether a comma-separated list has this token, whatever its case.
pub fn has_token(list: &[u8], token: &str) -> bool {
    elements(list).any(|element| block::same(element, token.as_bytes()))
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

/// `tchar` of RFC 9110, section 5.6.2.
#[inline]
pub(crate) fn is_tchar(byte: u8) -> bool {
    const TCHAR: [bool; 256] = alphanumeric_and(b"!#$%&'*+-.^_`|~");
    TCHAR[usize::from(byte)]
}

/// One `tchar` or more.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && (!block::any(bytes, block::not_plain) || bytes.iter().all(|byte| is_tchar(*byte)))
}

/// `tchar` without upper case: a name as HTTP/2 has it (RFC 9113, section 8.2.1).
pub fn is_lower_token(name: &[u8]) -> bool {
    is_token(name) && !name.iter().any(u8::is_ascii_uppercase)
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
                $(of if of == const { tag($text) } && block::same(name, $text) => Known::$known,)*
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

/// Whether there are control characters. A tab is one.
pub(crate) fn has_controls(bytes: &[u8]) -> bool {
    block::any(bytes, block::controls)
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
            assert!(!has_controls(&plain), "{len}");
            for (at, byte) in (0..len).flat_map(|at| (0..=255u8).map(move |byte| (at, byte))) {
                let mut bytes = plain.clone();
                bytes[at] = byte;
                assert_eq!(has_controls(&bytes), byte.is_ascii_control(), "{len} {at} {byte}");
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
