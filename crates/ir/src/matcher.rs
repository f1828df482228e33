//! Matchers shared by routes and policies, as values. `engine` compiles and evaluates them.

use std::net::IpAddr;

use stdx::Str;

/// How a text is compared. Regular expressions are RE2 and match the whole text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StringMatch {
    Exact(Str),
    Prefix(Str),
    Suffix(Str),
    Contains(Str),
    Regex(Str),
}

/// `envoy.type.matcher.v3.StringMatcher`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StringMatcher {
    pub pattern: StringMatch,
    /// Not for `Regex`: Envoy ignores it there, so the decoder refuses it.
    pub ignore_case: bool,
}

impl StringMatcher {
    /// A case-sensitive matcher.
    pub fn new(pattern: StringMatch) -> Self {
        StringMatcher { pattern, ignore_case: false }
    }

    pub fn exact(text: impl Into<Str>) -> Self {
        Self::new(StringMatch::Exact(text.into()))
    }

    pub fn prefix(text: impl Into<Str>) -> Self {
        Self::new(StringMatch::Prefix(text.into()))
    }

    pub fn suffix(text: impl Into<Str>) -> Self {
        Self::new(StringMatch::Suffix(text.into()))
    }

    pub fn regex(text: impl Into<Str>) -> Self {
        Self::new(StringMatch::Regex(text.into()))
    }
}

/// What a header must be like.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HeaderMatch {
    /// There at all (`true`), or absent (`false`).
    Present(bool),
    Value(StringMatcher),
    /// A decimal integer in `[start, end)`.
    Range {
        start: i64,
        end: i64,
    },
}

/// `envoy.config.route.v3.HeaderMatcher`. Of a header that occurs several times each value is compared
/// for itself; one that matches is enough. Pseudo-headers (`:method`, `:authority`, `:path`, `:scheme`)
/// are headers here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeaderMatcher {
    /// Lower case.
    pub name: Str,
    pub matches: HeaderMatch,
    pub invert: bool,
    /// An absent header counts as an empty one. Without it an absent header never matches,
    /// not even inverted (save for `Present`).
    pub treat_missing_as_empty: bool,
}

/// A share of requests, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fraction {
    /// 0 to 1,000,000.
    pub parts_per_million: u32,
}

impl Fraction {
    pub const ALL: Fraction = Fraction { parts_per_million: 1_000_000 };
    pub const NONE: Fraction = Fraction { parts_per_million: 0 };
}

/// An address range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    pub address: IpAddr,
    /// Bits that count: at most 32 for IPv4, 128 for IPv6.
    pub prefix_len: u8,
}

impl Cidr {
    /// The range of one address.
    pub fn host(address: IpAddr) -> Self {
        Cidr { address, prefix_len: if address.is_ipv4() { 32 } else { 128 } }
    }

    /// Whether `address` is inside. Families never match each other.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(range), IpAddr::V4(address)) => {
                let shift = 32 - u32::from(self.prefix_len.min(32));
                (u64::from(u32::from(range)) >> shift) == (u64::from(u32::from(address)) >> shift)
            }
            (IpAddr::V6(range), IpAddr::V6(address)) => {
                let shift = 128 - u32::from(self.prefix_len.min(128));
                let (range, address) = (u128::from(range), u128::from(address));
                shift == 128 || (range >> shift) == (address >> shift)
            }
            _ => false,
        }
    }

    /// The same range with its other bits at zero, so that equal ranges are equal.
    pub fn masked(self) -> Self {
        let address = match self.address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix_len.min(32))).unwrap_or(0);
                IpAddr::from((u32::from(address) & mask).to_be_bytes())
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix_len.min(128))).unwrap_or(0);
                IpAddr::from((u128::from(address) & mask).to_be_bytes())
            }
        };
        Cidr { address, prefix_len: self.prefix_len }
    }

    /// Reads `10.0.0.0/8` or a bare address.
    pub fn parse(text: &str) -> Option<Self> {
        let Some((address, len)) = text.split_once('/') else {
            return text.parse().ok().map(Cidr::host);
        };
        let address: IpAddr = address.parse().ok()?;
        let prefix_len: u8 = len.parse().ok()?;
        (prefix_len <= if address.is_ipv4() { 32 } else { 128 }).then_some(Cidr { address, prefix_len })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_contain_what_they_should() {
        let check = |range: &str, address: &str, expected: bool| {
            assert_eq!(
                Cidr::parse(range).unwrap().contains(address.parse().unwrap()),
                expected,
                "{range} {address}"
            );
        };
        check("10.0.0.0/8", "10.255.0.1", true);
        check("10.0.0.0/8", "11.0.0.1", false);
        check("0.0.0.0/0", "255.255.255.255", true);
        check("::/0", "::1", true);
        check("::/0", "1.1.1.1", false);
        check("fd00::/8", "fd12::1", true);
        check("10.0.0.1", "10.0.0.1", true);
        assert_eq!(Cidr::parse("10.0.0.0/33"), None);
    }
}
