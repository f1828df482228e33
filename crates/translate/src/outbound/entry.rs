//! Which services share an outbound listener. Istio's rules: HTTP of all services of a port shares
//! the wildcard address; everything else has the service's own address, or the wildcard address
//! where it has none; HTTP and bytes meet on one listener that looks at the first of them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ir::Cidr;
use model::{Host, Protocol};

/// Where a listener is, or would be if it were bound.
pub type Key = (IpAddr, u16);

/// What a port of a service asks for.
#[derive(Clone, Debug)]
pub struct Wish {
    pub key: Key,
    pub protocol: Protocol,
    pub bound: bool,
    /// The service is resolved by the names that requests bring along.
    pub dynamic: bool,
    pub bytes: Bytes,
}

/// Bytes for a service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes {
    pub host: Host,
    /// TLS by declaration: `tls` rules apply, else `tcp` rules.
    pub tls: bool,
    /// Nothing but the server name tells this service from others.
    pub by_name: bool,
    /// The destinations that are this service; empty: all.
    pub blocks: Vec<Cidr>,
}

/// What a listener serves. Of what excludes each other the first has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    /// A port of its own; else captured connections are handed to it.
    pub bound: bool,
    pub http: Option<Http>,
    pub bytes: Vec<Bytes>,
}

/// The HTTP of a listener.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Http {
    /// All that looks like HTTP; else everything.
    pub detected: bool,
    /// Some service's protocol is not declared.
    pub undeclared: bool,
    /// Applications use it as an HTTP proxy.
    pub proxy: Option<Proxy>,
    /// The service whose routes these are; `None`: those of the port.
    pub service: Option<Host>,
    /// The first service that is resolved by the names that requests bring along. As in Istio there is one
    /// filter for them; clusters of others resolve their names by themselves.
    pub dynamic: Option<Host>,
}

/// Whose HTTP proxy a listener is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Proxy {
    /// `proxyHttpPort`.
    Mesh,
    /// A port with the protocol `HTTP_PROXY`.
    Sidecar,
}

impl Proxy {
    /// The port of one's own, by which its routes are known.
    pub fn own_port(self, port: u16) -> Option<u16> {
        match self {
            Proxy::Mesh => None,
            Proxy::Sidecar => Some(port),
        }
    }
}

impl Entry {
    /// An HTTP proxy.
    pub fn proxy(proxy: Proxy, bound: bool) -> Self {
        let http =
            Http { detected: false, undeclared: true, proxy: Some(proxy), service: None, dynamic: None };
        Entry { bound, http: Some(http), bytes: Vec::new() }
    }
}

/// Goes through wishes, the oldest service first, and adds to `entries`; those that are there
/// already stay as they are.
pub fn settle(entries: &mut BTreeMap<Key, Entry>, wishes: impl IntoIterator<Item = Wish>) {
    let mut added: BTreeMap<Key, Entry> = BTreeMap::new();
    for wish in wishes {
        if !entries.contains_key(&wish.key) {
            let entry = added.entry(wish.key).or_default();
            entry.bound |= wish.bound;
            add(entry, wish);
        }
    }
    entries.append(&mut added);
}

fn add(entry: &mut Entry, wish: Wish) {
    let everywhere = wish.key.0.is_unspecified();
    if wish.protocol.is_http() {
        // Declared at an address of its own, everything there is HTTP.
        let detected = everywhere || !entry.bytes.is_empty();
        let declared = Http { detected, undeclared: false, proxy: None, service: None, dynamic: None };
        let http = entry.http.get_or_insert(declared);
        if wish.dynamic {
            http.dynamic.get_or_insert(wish.bytes.host);
        }
        return;
    }
    if wish.protocol == Protocol::Auto {
        let undeclared = Http {
            detected: true,
            undeclared: true,
            proxy: None,
            service: (!everywhere).then(|| wish.bytes.host.clone()),
            dynamic: None,
        };
        match &entry.http {
            Some(declared) if !declared.detected => {
                entry.http = Some(Http { dynamic: declared.dynamic.clone(), ..undeclared });
            }
            Some(_) => {}
            None => entry.http = Some(undeclared),
        }
    }
    if !entry.bytes.contains(&wish.bytes) {
        entry.bytes.push(wish.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(address: &str, host: &str, protocol: Protocol) -> Wish {
        let address: IpAddr = address.parse().unwrap();
        let bytes = Bytes { host: Host::new(host), tls: false, by_name: false, blocks: Vec::new() };
        Wish { key: (address, 80), protocol, bound: false, dynamic: false, bytes }
    }

    #[track_caller]
    fn check(wishes: &[(&str, &str, Protocol)], address: &str, http: Option<(bool, &str)>, bytes: &[&str]) {
        let mut entries = BTreeMap::new();
        settle(&mut entries, wishes.iter().map(|(a, h, p)| wish(a, h, *p)));
        let entry = &entries[&(address.parse().unwrap(), 80)];
        let found = entry.http.as_ref();
        let found = found.map(|http| (http.detected, http.service.as_ref().map_or("", |h| h.as_str())));
        assert_eq!(found, http);
        assert_eq!(entry.bytes.iter().map(|bytes| bytes.host.as_str()).collect::<Vec<_>>(), bytes);
    }

    #[test]
    fn http_and_bytes_share_a_listener_that_looks() {
        use Protocol::{Auto, Http, Tcp};
        let any = "0.0.0.0";
        check(&[(any, "a", Http), (any, "b", Http)], any, Some((true, "")), &[]);
        check(&[(any, "a", Tcp), (any, "b", Http)], any, Some((true, "")), &["a"]);
        check(&[(any, "a", Http), (any, "b", Tcp), (any, "c", Tcp)], any, Some((true, "")), &["b", "c"]);
        check(&[("10.0.0.1", "a", Auto)], "10.0.0.1", Some((true, "a")), &["a"]);
        check(&[("127.0.0.1", "a", Http)], "127.0.0.1", Some((false, "")), &[]);
        check(&[("10.0.0.1", "a", Tcp)], "10.0.0.1", None, &["a"]);
        check(&[(any, "a", Auto), (any, "b", Auto)], any, Some((true, "")), &["a", "b"]);
    }

    #[test]
    fn what_is_there_is_not_added_to() {
        let mut entries = BTreeMap::new();
        settle(&mut entries, [wish("0.0.0.0", "a", Protocol::Tcp)]);
        settle(&mut entries, [wish("0.0.0.0", "b", Protocol::Tcp), wish("10.0.0.1", "b", Protocol::Tcp)]);
        let hosts = |address: &str| {
            let entry: &Entry = &entries[&(address.parse().unwrap(), 80)];
            entry.bytes.iter().map(|bytes| bytes.host.to_string()).collect::<Vec<_>>()
        };
        assert_eq!((hosts("0.0.0.0"), hosts("10.0.0.1")), (vec!["a".to_owned()], vec!["b".to_owned()]));
    }
}
