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

/// `tchar` of RFC 9110, section 5.6.2.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    const TCHAR: [bool; 256] = tchars();
    !bytes.is_empty() && bytes.iter().all(|b| TCHAR[usize::from(*b)])
}

const fn tchars() -> [bool; 256] {
    let (mut table, mut byte, others) = ([false; 256], 0, b"!#$%&'*+-.^_`|~");
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

/// Which of them a name is.
pub(crate) fn known(name: &[u8]) -> Known {
    let is = |text: &str| name.eq_ignore_ascii_case(text.as_bytes());
    match name.len() {
        2 if is("te") => Known::Te,
        4 if is("host") => Known::Host,
        6 if is("expect") => Known::Expect,
        7 if is("upgrade") => Known::Upgrade,
        10 if is("connection") => Known::Connection,
        10 if is("keep-alive") => Known::KeepAlive,
        14 if is("content-length") => Known::ContentLength,
        16 if is("proxy-connection") => Known::ProxyConnection,
        17 if is("transfer-encoding") => Known::TransferEncoding,
        _ => Known::Other,
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
    let hop_by_hop = [
        Known::Connection,
        Known::KeepAlive,
        Known::ProxyConnection,
        Known::Upgrade,
        Known::TransferEncoding,
        Known::Te,
    ];
    if !hop_by_hop.iter().any(|known| headers.may_have(*known)) {
        return;
    }
    headers.remove_named_by_connection();
    hop_by_hop.into_iter().for_each(|known| headers.remove_known(known));
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
    fn knows_hop_by_hop_fields() {
        for name in ["Connection", "TE", "keep-alive", "PROXY-Connection", "Transfer-Encoding", "upgrade"] {
            assert!(is_hop_by_hop(name.as_bytes()), "{name}");
        }
        assert!(!is_hop_by_hop(b"host") && !is_hop_by_hop(b"content-length") && !is_hop_by_hop(b"x"));
    }
}
