//! Virtual addresses for services that were not given one.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use model::Str;

/// A block of IPv4 addresses, from which services get their virtual ones: `10.96.0.0/16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    first: u32,
    /// Bits of the network.
    length: u8,
}

/// The text is no block that addresses can be taken from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadBlock(pub String);

impl fmt::Display for BadBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no IPv4 block of /8 to /29, as in 10.96.0.0/16", self.0)
    }
}

impl std::error::Error for BadBlock {}

impl FromStr for Block {
    type Err = BadBlock;

    fn from_str(text: &str) -> Result<Self, BadBlock> {
        let bad = || BadBlock(text.to_owned());
        let (address, length) = text.split_once('/').ok_or_else(bad)?;
        let address: Ipv4Addr = address.parse().map_err(|_| bad())?;
        let length: u8 = length.parse().map_err(|_| bad())?;
        if !(8..=29).contains(&length) {
            return Err(bad());
        }
        let mask = u32::MAX << (32 - u32::from(length));
        Ok(Block { first: u32::from(address) & mask, length })
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.first), self.length)
    }
}

impl Block {
    pub fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) => {
                u32::from(v4) >> (32 - u32::from(self.length)) == self.first >> (32 - u32::from(self.length))
            }
            IpAddr::V6(_) => false,
        }
    }

    /// How many addresses can be given out: all but the network's, the first (often a router's) and
    /// the last (broadcast).
    fn usable(&self) -> u32 {
        (1u32 << (32 - u32::from(self.length))) - 3
    }

    /// The address for a service: by the hash of its name, so that it is the same in every process;
    /// if that is taken, the next free one. `None` if none is free.
    pub(crate) fn pick(&self, namespace: &str, name: &str, taken: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
        let usable = self.usable();
        let hash = stdx::digest(&(Str::from(namespace), Str::from(name))).0;
        let start = u32::try_from(hash % u128::from(usable)).unwrap_or(0);
        (0..usable).find_map(|step| {
            // Both are below `usable`, which is below 2^24.
            let address = IpAddr::from(Ipv4Addr::from(self.first + 2 + (start + step) % usable));
            (!taken(address)).then_some(address)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn addresses_are_stable_distinct_and_inside() {
        let block: Block = "10.96.7.9/28".parse().unwrap();
        assert_eq!(block.to_string(), "10.96.7.0/28");
        let mut taken = BTreeSet::new();
        for i in 0..13 {
            let address = block.pick("shop", &format!("s{i}"), |a| taken.contains(&a)).unwrap();
            assert!(block.contains(address) && taken.insert(address), "{address}");
        }
        assert!(!taken.contains(&"10.96.7.0".parse().unwrap()));
        assert!(!taken.contains(&"10.96.7.1".parse().unwrap()));
        assert!(!taken.contains(&"10.96.7.15".parse().unwrap()));
        assert_eq!(block.pick("shop", "more", |a| taken.contains(&a)), None);
        assert_eq!(block.pick("a", "b", |_| false), block.pick("a", "b", |_| false));
    }

    #[test]
    fn only_ipv4_blocks_of_a_sane_size() {
        for bad in ["", "10.0.0.0", "10.0.0.0/7", "10.0.0.0/30", "fd00::/64", "10.0.0.0/x"] {
            assert!(bad.parse::<Block>().is_err(), "{bad}");
        }
    }
}
