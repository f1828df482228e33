//! Clusters of names: which of a name's addresses are endpoints, and when it is asked for again.
//! See <https://www.envoyproxy.io/docs/envoy/v1.40.0/intro/arch_overview/upstream/service_discovery>.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ir::dns::DnsFamily;
use ir::{Address, ClusterDiscovery, Dns, Endpoint, LoadAssignment};
use stdx::Str;

use crate::{Dice, dice, retry};

/// Envoy's default of `dns_refresh_rate`.
const REFRESH_RATE: Duration = Duration::from_secs(5);

/// Addresses by host name; none where there never was an answer.
pub type Answers = BTreeMap<Str, Box<[IpAddr]>>;

/// Of all addresses of a name those that are used.
pub fn of_family(family: DnsFamily, all: &[IpAddr]) -> Vec<IpAddr> {
    let only = |v6: bool| all.iter().copied().filter(|ip| ip.is_ipv6() == v6).collect::<Vec<_>>();
    let first_of = |v6: bool| {
        let preferred = only(v6);
        if preferred.is_empty() { only(!v6) } else { preferred }
    };
    match family {
        DnsFamily::Auto => first_of(true),
        DnsFamily::V4Preferred => first_of(false),
        DnsFamily::V4Only => only(false),
        DnsFamily::V6Only => only(true),
        DnsFamily::All => all.to_vec(),
    }
}

/// Until a name is asked for again, after so many failures in a row. `lifetime`: of the answer, if
/// somebody knows; it counts with `respect_dns_ttl`, unless it is 0.
pub fn next_query(config: &Dns, failures: u32, lifetime: Option<Duration>, dice: &mut dyn Dice) -> Duration {
    let lifetime = lifetime.filter(|it| config.respect_ttl && failures == 0 && !it.is_zero());
    let refresh = lifetime.or(config.refresh_rate).unwrap_or(REFRESH_RATE);
    let jitter = u64::try_from(config.jitter.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX);
    match config.failure_refresh {
        Some((base, max)) if failures > 0 => retry::back_off(base, max, failures, dice).max(MIN_WAIT),
        _ => refresh + Duration::from_nanos(dice::below(dice, jitter)),
    }
}

/// A back-off may be nothing at all; a resolver that fails is not to be hammered.
const MIN_WAIT: Duration = Duration::from_millis(1);

/// The names that a cluster's endpoints have.
pub fn hosts(discovery: &ClusterDiscovery) -> BTreeSet<Str> {
    let (ClusterDiscovery::StrictDns(assignment) | ClusterDiscovery::LogicalDns(assignment)) = discovery
    else {
        return BTreeSet::new();
    };
    let endpoints = assignment.localities.iter().flat_map(|locality| &locality.endpoints);
    let host = |endpoint: &Endpoint| match &endpoint.address {
        Address::Name { host, .. } => Some(host.clone()),
        Address::Socket(_) | Address::Pipe(_) => None,
    };
    endpoints.filter_map(host).collect()
}

/// The endpoints behind names. With STRICT_DNS each address is one; with LOGICAL_DNS the name stays,
/// and is one as long as it has an address.
pub fn endpoints(discovery: &ClusterDiscovery, answers: &Answers) -> LoadAssignment {
    let strict = matches!(discovery, ClusterDiscovery::StrictDns(_));
    let mut assignment = discovery.assignment().cloned().unwrap_or_default();
    // An address that several names have is one endpoint, the first.
    let mut seen = BTreeSet::new();
    for locality in &mut assignment.localities {
        let named = std::mem::take(&mut locality.endpoints);
        for endpoint in named {
            let Address::Name { host, port } = &endpoint.address else {
                locality.endpoints.push(endpoint);
                continue;
            };
            let found = answers.get(host).map_or(&[][..], |found| found);
            if !strict {
                locality.endpoints.extend((!found.is_empty()).then_some(endpoint));
                continue;
            }
            for ip in found {
                let address = SocketAddr::new(*ip, *port);
                if seen.insert(address) {
                    let hostname =
                        if endpoint.hostname.is_empty() { host.clone() } else { endpoint.hostname.clone() };
                    let address = Address::Socket(address);
                    locality.endpoints.push(Endpoint { address, hostname, ..endpoint.clone() });
                }
            }
        }
    }
    assignment
}

#[cfg(test)]
mod tests {
    use ir::LocalityEndpoints;

    use super::*;
    use crate::dice::SplitMix;

    const S: fn(u64) -> Duration = Duration::from_secs;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn families() {
        let (four, six) = (ip("10.0.0.1"), ip("fd00::1"));
        for (family, both, old) in [
            (DnsFamily::Auto, vec![six], vec![four]),
            (DnsFamily::V4Preferred, vec![four], vec![four]),
            (DnsFamily::V4Only, vec![four], vec![four]),
            (DnsFamily::V6Only, vec![six], vec![]),
            (DnsFamily::All, vec![four, six], vec![four]),
        ] {
            assert_eq!(of_family(family, &[four, six]), both, "{family:?}");
            assert_eq!(of_family(family, &[four]), old, "{family:?}");
        }
        assert_eq!(of_family(DnsFamily::V4Preferred, &[six]), [six]);
    }

    #[test]
    fn when_to_ask_again() {
        let mut dice = SplitMix(1);
        assert_eq!(next_query(&Dns::default(), 0, Some(S(1)), &mut dice), S(5));
        assert_eq!(next_query(&Dns::default(), 3, None, &mut dice), S(5), "failures make no difference");
        let config = Dns {
            refresh_rate: Some(S(30)),
            jitter: Some(S(10)),
            failure_refresh: Some((S(1), Some(S(4)))),
            ..Dns::default()
        };
        let waits: Vec<Duration> = (0..100).map(|_| next_query(&config, 0, None, &mut dice)).collect();
        assert!(waits.iter().all(|it| (S(30)..S(40)).contains(it)) && waits.iter().any(|it| *it > S(35)));
        let waits: Vec<Duration> = (0..100).map(|_| next_query(&config, 9, None, &mut dice)).collect();
        assert!(waits.iter().all(|it| *it < S(4)) && waits.iter().any(|it| *it > S(2)));
        let config = Dns { respect_ttl: true, refresh_rate: Some(S(30)), ..Dns::default() };
        let mut wait = |failures, lifetime| next_query(&config, failures, lifetime, &mut dice);
        assert_eq!((wait(0, Some(S(7))), wait(0, Some(S(0))), wait(0, None)), (S(7), S(30), S(30)));
        assert_eq!(wait(1, Some(S(7))), S(30));
    }

    #[test]
    fn names_become_endpoints() {
        let name = |host: &str| Address::Name { host: host.into(), port: 80 };
        let endpoints_of = |names: &[&str]| {
            let mut first = Endpoint::new(name(names[0]));
            first.weight = Some(3);
            let rest = names[1..].iter().map(|host| Endpoint::new(name(host)));
            let endpoints = std::iter::once(first).chain(rest).collect();
            let locality =
                LocalityEndpoints { locality: Default::default(), weight: None, priority: 0, endpoints };
            LoadAssignment { localities: vec![locality], ..Default::default() }
        };
        let strict = ClusterDiscovery::StrictDns(endpoints_of(&["a", "b", "gone"]));
        assert_eq!(hosts(&strict), ["a".into(), "b".into(), "gone".into()].into());
        let both: Box<[IpAddr]> = [ip("10.0.0.1"), ip("10.0.0.2")].into();
        let answers: Answers =
            [("a".into(), both.clone()), ("b".into(), [ip("10.0.0.2"), ip("fd00::3")].into())].into();
        let found = endpoints(&strict, &answers);
        let found: Vec<_> = found.localities[0].endpoints.iter().collect();
        let shown: Vec<String> = found.iter().map(|it| format!("{} {}", it.address, it.hostname)).collect();
        assert_eq!(shown, ["10.0.0.1:80 a", "10.0.0.2:80 a", "[fd00::3]:80 b"]);
        assert_eq!(found[0].weight, Some(3));
        let logical = ClusterDiscovery::LogicalDns(endpoints_of(&["a"]));
        assert_eq!(endpoints(&logical, &answers), endpoints_of(&["a"]));
        assert_eq!(endpoints(&logical, &Answers::new()).localities[0].endpoints, []);
    }
}
