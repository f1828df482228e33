//! Addresses of pods: a private range that the host does not use.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use redirect::Cidr;

/// The ranges of a mesh, each a /16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ranges {
    pub pods: Cidr,
    pub services: Cidr,
}

/// Picks ranges that overlap none of `used`. `None`: all candidates do.
pub fn choose(used: &[Cidr]) -> Option<Ranges> {
    // Off the beaten tracks of cluster defaults first (10.42, 10.96, 10.244, 172.17).
    let tens = (201..=250).map(|second| [10, second, 0, 0]);
    let others = (20..=31).rev().map(|second| [172, second, 0, 0]);
    let candidates = tens.chain(others).filter_map(|octets| Cidr::new(IpAddr::from(octets), 16));
    // A default route covers everything and means nothing here.
    let used: Vec<&Cidr> = used.iter().filter(|range| range.prefix > 0).collect();
    let mut free = candidates.filter(|candidate| !used.iter().any(|range| range.overlaps(candidate)));
    Some(Ranges { pods: free.next()?, services: free.next()? })
}

/// Hands out the addresses of a range; the first is the bridge's.
#[derive(Clone, Debug)]
pub struct Pool {
    first: u32,
    last: u32,
    next: u32,
    used: BTreeSet<u32>,
}

impl Pool {
    /// Of an IPv4 range; an IPv6 range has no addresses to give.
    pub fn new(range: Cidr) -> Pool {
        let base = match range.address {
            IpAddr::V4(address) => u32::from(address),
            IpAddr::V6(_) => u32::MAX,
        };
        let size = u32::MAX.checked_shr(u32::from(range.prefix)).unwrap_or(0);
        let (first, last) = (base.saturating_add(1), base.saturating_add(size).saturating_sub(1));
        Pool { first, last, next: first + 1, used: BTreeSet::new() }
    }

    /// The bridge's own address.
    pub fn bridge(&self) -> Ipv4Addr {
        Ipv4Addr::from(self.first)
    }

    /// An address nobody has. One that was given back comes late again: others may still know it
    /// as its former owner's.
    pub fn take(&mut self) -> Option<Ipv4Addr> {
        let range = (self.next..=self.last).chain(self.first + 1..self.next);
        let found = range.into_iter().find(|address| !self.used.contains(address))?;
        self.used.insert(found);
        self.next = if found >= self.last { self.first + 1 } else { found + 1 };
        Some(Ipv4Addr::from(found))
    }

    pub fn give_back(&mut self, address: Ipv4Addr) {
        self.used.remove(&u32::from(address));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_keep_clear_of_the_hosts() {
        let cidr = |text: &str| text.parse::<Cidr>().unwrap();
        let chosen = |used: &[&str]| {
            let used: Vec<Cidr> = used.iter().map(|text| cidr(text)).collect();
            choose(&used).map(|ranges| (ranges.pods.to_string(), ranges.services.to_string()))
        };
        let pair = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        assert_eq!(chosen(&["0.0.0.0/0", "192.168.1.0/24"]), pair("10.201.0.0/16", "10.202.0.0/16"));
        assert_eq!(chosen(&["10.201.7.0/24", "10.203.0.1/32"]), pair("10.202.0.0/16", "10.204.0.0/16"));
        assert_eq!(chosen(&["10.0.0.0/8"]), pair("172.31.0.0/16", "172.30.0.0/16"));
        assert_eq!(chosen(&["10.0.0.0/8", "172.16.0.0/12"]), None);
    }

    #[test]
    fn addresses_come_back_late() {
        let mut pool = Pool::new("10.1.0.0/29".parse().unwrap());
        assert_eq!(pool.bridge(), Ipv4Addr::new(10, 1, 0, 1));
        let last = |address: Option<Ipv4Addr>| address.map(|a| a.octets()[3]);
        assert_eq!([last(pool.take()), last(pool.take())], [Some(2), Some(3)]);
        pool.give_back(Ipv4Addr::new(10, 1, 0, 2));
        let rest: Vec<_> = (0..5).map(|_| last(pool.take())).collect();
        assert_eq!(rest, [Some(4), Some(5), Some(6), Some(2), None]);
    }
}
