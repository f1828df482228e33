//! The static table, appendix A, and what is in it.

use super::same;

/// The entry of an index from 1 to 61.
#[inline]
pub(crate) fn get(index: usize) -> Option<(&'static [u8], &'static [u8])> {
    ENTRIES.get(index.wrapping_sub(1)).copied()
}

/// The first index with this name, or 0.
#[inline]
pub(crate) fn find(name: &[u8]) -> usize {
    let index = usize::from(SLOTS[slot(name, FACTOR)]);
    match get(index) {
        Some((found, _)) if same(found, name) => index,
        _ => 0,
    }
}

/// The index with this value, among those with the name that `first` is the first index of; or 0.
#[inline]
pub(crate) fn exact(first: usize, value: &[u8]) -> usize {
    match (first, value) {
        (2, b"GET") => 2,
        (2, b"POST") => 3,
        (4, b"/") => 4,
        (4, b"/index.html") => 5,
        (6, b"http") => 6,
        (6, b"https") => 7,
        (8, b"200") => 8,
        (8, b"204") => 9,
        (8, b"206") => 10,
        (8, b"304") => 11,
        (8, b"400") => 12,
        (8, b"404") => 13,
        (8, b"500") => 14,
        (16, b"gzip, deflate") => 16,
        (1 | 15 | 17..=61, b"") => first,
        _ => 0,
    }
}

pub(crate) const AUTHORIZATION: usize = 23;
pub(crate) const COOKIE: usize = 32;
pub(crate) const PROXY_AUTHORIZATION: usize = 49;
pub(crate) const SET_COOKIE: usize = 55;

/// How many entries there are: the dynamic table's indices begin behind them.
pub(crate) const COUNT: usize = ENTRIES.len();

/// Length and three letters tell all names of the table apart; the factor puts each into a slot of
/// its own, so that one comparison decides.
#[inline]
const fn slot(name: &[u8], factor: u32) -> usize {
    let len = name.len();
    if len == 0 {
        return 0;
    }
    let tag = u32::from_le_bytes([len as u8, name[0], name[len / 2], name[len - 1]]);
    (tag.wrapping_mul(factor) >> 24) as usize
}

const FACTOR: u32 = factor();
static SLOTS: [u8; 256] = match slots(FACTOR) {
    Some(slots) => slots,
    None => [0; 256],
};

const fn factor() -> u32 {
    let mut factor = 0x9E37_79B1;
    while slots(factor).is_none() {
        factor += 0x1_0002;
    }
    factor
}

/// The first index of the name in each slot, if no two names share one.
const fn slots(factor: u32) -> Option<[u8; 256]> {
    let (mut slots, mut index) = ([0; 256], 1);
    while index <= COUNT {
        let slot = slot(ENTRIES[index - 1].0, factor);
        let taken = slots[slot] as usize;
        if taken == 0 {
            slots[slot] = index as u8;
        } else if !equal(ENTRIES[taken - 1].0, ENTRIES[index - 1].0) {
            return None;
        }
        index += 1;
    }
    Some(slots)
}

/// `==`, which is not const.
const fn equal(one: &[u8], other: &[u8]) -> bool {
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

static ENTRIES: [(&[u8], &[u8]); 61] = [
    (b":authority", b""),
    (b":method", b"GET"),
    (b":method", b"POST"),
    (b":path", b"/"),
    (b":path", b"/index.html"),
    (b":scheme", b"http"),
    (b":scheme", b"https"),
    (b":status", b"200"),
    (b":status", b"204"),
    (b":status", b"206"),
    (b":status", b"304"),
    (b":status", b"400"),
    (b":status", b"404"),
    (b":status", b"500"),
    (b"accept-charset", b""),
    (b"accept-encoding", b"gzip, deflate"),
    (b"accept-language", b""),
    (b"accept-ranges", b""),
    (b"accept", b""),
    (b"access-control-allow-origin", b""),
    (b"age", b""),
    (b"allow", b""),
    (b"authorization", b""),
    (b"cache-control", b""),
    (b"content-disposition", b""),
    (b"content-encoding", b""),
    (b"content-language", b""),
    (b"content-length", b""),
    (b"content-location", b""),
    (b"content-range", b""),
    (b"content-type", b""),
    (b"cookie", b""),
    (b"date", b""),
    (b"etag", b""),
    (b"expect", b""),
    (b"expires", b""),
    (b"from", b""),
    (b"host", b""),
    (b"if-match", b""),
    (b"if-modified-since", b""),
    (b"if-none-match", b""),
    (b"if-range", b""),
    (b"if-unmodified-since", b""),
    (b"last-modified", b""),
    (b"link", b""),
    (b"location", b""),
    (b"max-forwards", b""),
    (b"proxy-authenticate", b""),
    (b"proxy-authorization", b""),
    (b"range", b""),
    (b"referer", b""),
    (b"refresh", b""),
    (b"retry-after", b""),
    (b"server", b""),
    (b"set-cookie", b""),
    (b"strict-transport-security", b""),
    (b"transfer-encoding", b""),
    (b"user-agent", b""),
    (b"vary", b""),
    (b"via", b""),
    (b"www-authenticate", b""),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_every_entry_and_no_other() {
        for index in 1..=COUNT {
            let (name, value) = get(index).unwrap();
            let first = find(name);
            assert_eq!(first, (1..=COUNT).find(|i| get(*i).unwrap().0 == name).unwrap());
            assert_eq!(exact(first, value), index);
            assert_eq!(exact(first, b"other"), 0);
            for at in 0..name.len() {
                let mut near = name.to_vec();
                near[at] ^= 1;
                assert_eq!(find(&near), 0);
                assert_eq!(find(&name[..at]), if &name[..at] == b"accept" { 19 } else { 0 });
            }
        }
        assert_eq!((find(b""), get(0), get(62)), (0, None, None));
        for (first, value) in [(0, &b""[..]), (2, b""), (4, b""), (6, b""), (8, b""), (16, b"")] {
            assert_eq!(exact(first, value), 0);
        }
    }

    #[test]
    fn knows_names_by_their_index() {
        for (index, name) in [
            (AUTHORIZATION, "authorization"),
            (COOKIE, "cookie"),
            (PROXY_AUTHORIZATION, "proxy-authorization"),
            (SET_COOKIE, "set-cookie"),
        ] {
            assert_eq!(find(name.as_bytes()), index);
        }
    }
}
