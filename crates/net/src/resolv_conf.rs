//! `/etc/resolv.conf`, as far as who asks servers by himself needs it. See resolv.conf(5).

use std::net::{IpAddr, SocketAddr};

use stdx::Str;

/// Resolvers and search domains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvConf {
    pub nameservers: Vec<SocketAddr>,
    pub search: Vec<Str>,
    /// Names with fewer dots are tried with the search domains first.
    pub ndots: usize,
}

impl Default for ResolvConf {
    fn default() -> Self {
        ResolvConf { nameservers: Vec::new(), search: Vec::new(), ndots: 1 }
    }
}

impl ResolvConf {
    /// Reads the file's text. Unknown lines are passed over, the last `search` counts.
    pub fn parse(text: &str) -> Self {
        let mut conf = ResolvConf::default();
        for line in text.lines() {
            let line = line.split(['#', ';']).next().unwrap_or_default();
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => {
                    // `fe80::1%eth0`: scopes cannot be resolved without the interface's name.
                    let address = words.next().and_then(|word| word.parse::<IpAddr>().ok());
                    conf.nameservers.extend(address.map(|ip| SocketAddr::new(ip, 53)));
                }
                Some("search" | "domain") => conf.search = words.map(Str::from).collect(),
                Some("options") => {
                    let ndots = |word: &str| word.strip_prefix("ndots:")?.parse::<usize>().ok();
                    // resolv.conf(5): silently at most 15.
                    conf.ndots = words.filter_map(ndots).next_back().unwrap_or(conf.ndots).min(15);
                }
                _ => {}
            }
        }
        conf
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_matters() {
        let text = "# c\nnameserver 10.0.0.1 # here\nsearch a.b c.d\noptions ndots:5\nnameserver fd00::1\nnameserver x\n";
        let conf = ResolvConf::parse(text);
        assert_eq!(conf.nameservers, ["10.0.0.1:53".parse().unwrap(), "[fd00::1]:53".parse().unwrap()]);
        assert_eq!(conf.search, ["a.b", "c.d"]);
        assert_eq!(conf.ndots, 5);
        assert_eq!(ResolvConf::parse("nameserver\t::1").nameservers, ["[::1]:53".parse().unwrap()]);
        assert_eq!(ResolvConf::parse(""), ResolvConf::default());
    }
}
