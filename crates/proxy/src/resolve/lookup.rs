//! The addresses of one name: from the system's resolver, or from name servers that a configuration names.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use engine::names;
use hickory_proto::rr::{RData, RecordType};
use ir::Dns;
use ir::dns::DnsFamily;
use net::ResolvConf;
use stdx::Str;
use tokio::sync::Semaphore;

use super::query::{self, Answer};

/// Where the system keeps names that no server is asked for.
const HOSTS: &str = "/etc/hosts";

/// What a name resolved to.
#[derive(Debug)]
pub struct Found {
    pub addresses: Vec<IpAddr>,
    /// For how long, if somebody says.
    pub lifetime: Option<Duration>,
}

/// Why a name did not resolve.
#[derive(Debug)]
pub struct NotFound {
    /// In one word, as Envoy's `RESPONSE_CODE_DETAILS` have it.
    pub text: Str,
    pub timeout: bool,
    /// Somebody has said so.
    pub answered: bool,
}

impl NotFound {
    /// Nobody has answered in time.
    pub fn timeout() -> Self {
        NotFound { timeout: true, ..NotFound::because("resolve_timeout") }
    }

    fn because(why: &str) -> Self {
        NotFound { text: why.into(), timeout: false, answered: false }
    }

    /// It cannot be a name.
    fn misformatted() -> Self {
        NotFound::because("cares_failure:Misformatted_domain_name")
    }

    /// There is no such name, or it has no address of a family that is wanted.
    fn nothing() -> Self {
        NotFound { answered: true, ..NotFound::because("cares_norecords:Domain_name_not_found") }
    }
}

/// The addresses of a name that `dns` wants. `room`: how many names are asked for at once.
///
/// # Errors
/// There is none, or nobody says.
pub async fn lookup(host: &str, dns: &Dns, room: &Arc<Semaphore>) -> Result<Found, NotFound> {
    if !is_well_formed(host) {
        return Err(NotFound::misformatted());
    }
    // Nobody closes it.
    let permit = room.clone().acquire_owned().await;
    if !dns.resolvers.is_empty() || dns.use_tcp {
        return of_servers(host, dns).await;
    }
    let name: Str = host.into();
    let asked = tokio::task::spawn_blocking(move || {
        // A thread that nobody waits for any more still is one.
        let _permit = permit;
        (name.as_str(), 0).to_socket_addrs().map(|all| all.map(|it| it.ip()).collect::<Vec<_>>())
    });
    let all = match asked.await {
        Ok(Ok(all)) => all,
        Ok(Err(error)) => {
            let text = error.to_string().replace([' ', ','], "_");
            return Err(NotFound {
                timeout: error.kind() == ErrorKind::TimedOut,
                ..NotFound::because(&text)
            });
        }
        Err(_) => return Err(NotFound::because("resolver_ended")),
    };
    let mut addresses: Vec<IpAddr> = Vec::new();
    for ip in all {
        if !addresses.contains(&ip) {
            addresses.push(ip);
        }
    }
    wanted(dns.family, addresses, None)
}

/// What c-ares lets pass for the name of a host.
fn is_well_formed(host: &str) -> bool {
    let labels = host.strip_suffix('.').unwrap_or(host).split('.');
    labels.clone().all(|label| !label.is_empty())
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._/*".contains(&byte))
}

fn wanted(family: DnsFamily, all: Vec<IpAddr>, lifetime: Option<Duration>) -> Result<Found, NotFound> {
    let addresses = names::of_family(family, &all);
    if addresses.is_empty() { Err(NotFound::nothing()) } else { Ok(Found { addresses, lifetime }) }
}

/// As c-ares does it: `/etc/hosts`, then servers, with the system's search domains.
async fn of_servers(host: &str, dns: &Dns) -> Result<Found, NotFound> {
    let listed = listed(&std::fs::read_to_string(HOSTS).unwrap_or_default(), host);
    if !listed.is_empty() {
        return wanted(dns.family, listed, None);
    }
    let conf = ResolvConf::parse(&std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default());
    let servers = if dns.resolvers.is_empty() { &conf.nameservers } else { &dns.resolvers };
    let mut silent = false;
    for candidate in candidates(host, &conf) {
        match of_name(&candidate, dns, servers).await {
            Ok(found) => return Ok(found),
            Err(why) => silent |= why.timeout,
        }
    }
    // Who did not answer might have known.
    Err(if silent { NotFound::timeout() } else { NotFound::nothing() })
}

/// The names that `host` may stand for, in the order to try them (resolv.conf(5): `search`, `ndots`).
fn candidates(host: &str, conf: &ResolvConf) -> Vec<String> {
    if host.ends_with('.') {
        return vec![host.to_owned()];
    }
    let found = conf.search.iter().map(|domain| format!("{host}.{}.", domain.trim_end_matches('.')));
    let itself = format!("{host}.");
    let dots = host.bytes().filter(|byte| *byte == b'.').count();
    match dots >= conf.ndots {
        true => std::iter::once(itself).chain(found).collect(),
        false => found.chain([itself]).collect(),
    }
}

async fn of_name(name: &str, dns: &Dns, servers: &[SocketAddr]) -> Result<Found, NotFound> {
    let types: &[RecordType] = match dns.family {
        DnsFamily::V4Only => &[RecordType::A],
        DnsFamily::V6Only => &[RecordType::AAAA],
        DnsFamily::V4Preferred => &[RecordType::A, RecordType::AAAA],
        DnsFamily::Auto | DnsFamily::All => &[RecordType::AAAA, RecordType::A],
    };
    let name = hickory_proto::rr::Name::from_ascii(name).map_err(|_| NotFound::misformatted())?;
    let (mut addresses, mut lifetime, mut silent) = (Vec::new(), None::<Duration>, false);
    for ty in types {
        match query::ask(&name, *ty, servers, dns.use_tcp).await {
            Some(answer) => {
                addresses.extend(addresses_of(&answer));
                let least = query::lifetime(&answer, *ty);
                lifetime = lifetime.into_iter().chain(least).min();
            }
            None => silent = true,
        }
        // The other family is used only where this one has nothing.
        if !addresses.is_empty() && dns.family != DnsFamily::All {
            break;
        }
    }
    match addresses.is_empty() && silent {
        true => Err(NotFound::timeout()),
        false => wanted(dns.family, addresses, lifetime),
    }
}

fn addresses_of(answer: &Answer) -> Vec<IpAddr> {
    let ip = |record: &hickory_proto::rr::Record| match &record.data {
        RData::A(it) => Some(IpAddr::V4(it.0)),
        RData::AAAA(it) => Some(IpAddr::V6(it.0)),
        _ => None,
    };
    answer.answers.iter().filter_map(ip).collect()
}

/// The addresses that hosts(5) gives a name.
fn listed(text: &str, host: &str) -> Vec<IpAddr> {
    let host = host.strip_suffix('.').unwrap_or(host);
    let of_line = |line: &str| {
        let mut words = line.split('#').next()?.split_whitespace();
        let address = words.next()?.parse().ok()?;
        words.any(|name| name.eq_ignore_ascii_case(host)).then_some(address)
    };
    text.lines().filter_map(of_line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_system() {
        let text = "127.0.0.1 localhost here # there\n::1 LOCALHOST\nx localhost\n10.0.0.1\n";
        assert_eq!(
            listed(text, "localhost"),
            ["127.0.0.1".parse::<IpAddr>().unwrap(), "::1".parse().unwrap()]
        );
        assert_eq!(listed(text, "here.").len(), 1);
        assert!(listed(text, "there").is_empty() && listed(text, "10.0.0.1").is_empty());
    }

    #[test]
    fn what_can_be_a_name() {
        for name in ["a", "a.b", "a.b.", "_x.a", "1.2.3"] {
            assert!(is_well_formed(name), "{name}");
        }
        for name in ["", ".", "a..b", "a:", "a b", ".a", "\u{e4}.de"] {
            assert!(!is_well_formed(name), "{name}");
        }
    }

    #[test]
    fn search_domains() {
        let conf = ResolvConf { search: vec!["a.b".into(), "c.".into()], ndots: 2, ..ResolvConf::default() };
        assert_eq!(candidates("x.y", &conf), ["x.y.a.b.", "x.y.c.", "x.y."]);
        assert_eq!(candidates("x.y.z", &conf), ["x.y.z.", "x.y.z.a.b.", "x.y.z.c."]);
        assert_eq!(candidates("x.", &conf), ["x."]);
    }
}
