//! Which services share an outbound listener. Istio's rules: HTTP of all services of a port shares
//! the wildcard address; everything else has the service's own address, or the wildcard address
//! where it has none; HTTP and TCP meet on one listener that looks at the bytes; of two services
//! that both want all bytes of an address and port, the older one gets them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use model::{Host, Protocol};

/// Where a listener is, or would be if it were bound.
pub type Key = (IpAddr, u16);

/// What a port of a service asks for.
#[derive(Clone, Debug)]
pub struct Wish {
    pub key: Key,
    pub host: Host,
    pub protocol: Protocol,
    /// Nothing tells this service from others at the key, except (TLS) the server name.
    pub wildcard: bool,
}

/// What a listener serves.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    /// HTTP, routed by the configuration of the port, or (the first of `detected`) of a service.
    pub http: bool,
    /// Services whose protocol is not declared: HTTP if it looks like it, else bytes to them.
    pub detected: Vec<Host>,
    /// Services that get all other bytes; at most one at a time can.
    pub tcp: Option<Host>,
    /// Services told apart by server name.
    pub tls: Vec<Host>,
}

/// A service that is not served where it wants to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    pub key: Key,
    pub host: Host,
    /// The service that is.
    pub winner: Host,
}

/// Goes through wishes, oldest service first.
pub fn settle(wishes: impl IntoIterator<Item = Wish>) -> (BTreeMap<Key, Entry>, Vec<Conflict>) {
    let mut entries: BTreeMap<Key, Entry> = BTreeMap::new();
    let mut conflicts = Vec::new();
    for wish in wishes {
        let entry = entries.entry(wish.key).or_default();
        if wish.protocol.is_http() {
            entry.http = true;
            continue;
        }
        if wish.protocol == Protocol::Auto && !entry.http {
            entry.http = true;
            entry.detected.push(wish.host.clone());
        }
        let by_name = wish.wildcard && matches!(wish.protocol, Protocol::Tls | Protocol::Https);
        if by_name {
            if !entry.tls.contains(&wish.host) {
                entry.tls.push(wish.host);
            }
            continue;
        }
        match &entry.tcp {
            None => entry.tcp = Some(wish.host),
            Some(winner) if *winner == wish.host => {}
            Some(winner) => {
                conflicts.push(Conflict { key: wish.key, host: wish.host, winner: winner.clone() })
            }
        }
    }
    (entries, conflicts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(address: &str, host: &str, protocol: Protocol) -> Wish {
        let address: IpAddr = address.parse().unwrap();
        let wildcard = address.is_unspecified();
        Wish { key: (address, 80), host: Host::new(host), protocol, wildcard }
    }

    #[track_caller]
    fn check(
        wishes: &[(&str, &str, Protocol)],
        address: &str,
        expected: (bool, &str, &[&str]),
        lost: &[&str],
    ) {
        let (entries, conflicts) = settle(wishes.iter().map(|(a, h, p)| wish(a, h, *p)));
        let entry = &entries[&(address.parse().unwrap(), 80)];
        let tcp = entry.tcp.as_ref().map_or("", |h| h.as_str());
        let tls: Vec<_> = entry.tls.iter().map(|h| h.as_str()).collect();
        assert_eq!((entry.http, tcp, tls.as_slice()), expected);
        assert_eq!(conflicts.iter().map(|c| c.host.as_str()).collect::<Vec<_>>(), lost);
    }

    #[test]
    fn http_and_bytes_share_and_of_two_the_older_wins() {
        use Protocol::{Auto, Http, Tcp, Tls};
        let any = "0.0.0.0";
        check(&[(any, "a", Http), (any, "b", Http)], any, (true, "", &[]), &[]);
        check(&[(any, "a", Tcp), (any, "b", Http)], any, (true, "a", &[]), &[]);
        check(&[(any, "a", Http), (any, "b", Tcp), (any, "c", Tcp)], any, (true, "b", &[]), &["c"]);
        check(&[(any, "a", Tls), (any, "b", Tls)], any, (false, "", &["a", "b"]), &[]);
        check(&[("10.0.0.1", "a", Auto)], "10.0.0.1", (true, "a", &[]), &[]);
        check(&[("10.0.0.1", "a", Tls)], "10.0.0.1", (false, "a", &[]), &[]);
        check(&[(any, "a", Auto), (any, "b", Auto)], any, (true, "a", &[]), &["b"]);
    }
}
