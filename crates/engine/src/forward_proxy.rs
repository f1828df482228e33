//! Dynamic forward proxies: which name and port a request is for, and when a name is asked for again. See
//! <https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/extensions/common/dynamic_forward_proxy/v3/dns_cache.proto>.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use ir::DnsCache;

use crate::{Dice, retry};

/// Envoy's default of `dns_refresh_rate` in a cache.
const REFRESH_RATE: Duration = Duration::from_secs(60);
/// Envoy's default of `dns_min_refresh_rate`.
const MIN_REFRESH_RATE: Duration = Duration::from_secs(5);
/// Envoy's default of `host_ttl`.
const HOST_TTL: Duration = Duration::from_secs(300);
/// Envoy's default of `dns_query_timeout`.
const QUERY_TIMEOUT: Duration = Duration::from_secs(5);
/// Envoy's default of `max_hosts`, and of `max_pending_requests`.
const MANY: u32 = 1024;
/// A back-off may be nothing at all; a resolver that fails is not to be hammered.
const MIN_WAIT: Duration = Duration::from_millis(1);

/// Where an authority leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// A name, or an IP address without brackets.
    pub host: &'a str,
    pub port: u16,
}

impl<'a> Target<'a> {
    /// As Envoy takes `host` and `:authority` apart: what follows the last colon is the port where it is one,
    /// else it belongs to a name that nobody has. `None`: there is no text to resolve.
    pub fn of(authority: &'a [u8], default_port: u16) -> Option<Self> {
        let authority = std::str::from_utf8(authority).ok().filter(|it| !it.is_empty())?;
        let (host, port) = match authority.rsplit_once(':') {
            // Colons without brackets: all of it is an address.
            Some((before, _)) if before.contains(':') && !before.ends_with(']') => (authority, None),
            Some((host, port)) => match port.parse() {
                Ok(port) => (host, Some(port)),
                Err(_) => (authority, None),
            },
            None => (authority, None),
        };
        let inside = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = inside.filter(|it| it.parse::<Ipv6Addr>().is_ok()).unwrap_or(host);
        Some(Target { host, port: port.unwrap_or(default_port) })
    }

    /// The address that it is, if it is one: nobody has to be asked.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

/// What a cache does where nothing is said.
pub trait Limits {
    fn max_hosts(&self) -> u32;
    fn max_pending(&self) -> u32;
    fn host_ttl(&self) -> Duration;
    /// `None`: an answer may take as long as it likes.
    fn query_timeout(&self) -> Option<Duration>;
}

impl Limits for DnsCache {
    fn max_hosts(&self) -> u32 {
        self.max_hosts.unwrap_or(MANY)
    }

    fn max_pending(&self) -> u32 {
        self.max_pending_requests.unwrap_or(MANY)
    }

    fn host_ttl(&self) -> Duration {
        self.host_ttl.unwrap_or(HOST_TTL)
    }

    fn query_timeout(&self) -> Option<Duration> {
        Some(self.query_timeout.unwrap_or(QUERY_TIMEOUT)).filter(|limit| !limit.is_zero())
    }
}

/// Until a name is asked for again, after so many failures in a row. `lifetime`: of the answer, if somebody
/// knows.
pub fn next_query(
    config: &DnsCache,
    failures: u32,
    lifetime: Option<Duration>,
    dice: &mut dyn Dice,
) -> Duration {
    let refresh = config.dns.refresh_rate.unwrap_or(REFRESH_RATE);
    if failures > 0 {
        return match config.dns.failure_refresh {
            Some((base, max)) => retry::back_off(base, max, failures, dice).max(MIN_WAIT),
            None => refresh.max(MIN_WAIT),
        };
    }
    // Who does not say how long, as the system's resolver, says what Envoy assumes then.
    let least = config.min_refresh_rate.unwrap_or(MIN_REFRESH_RATE);
    lifetime.unwrap_or(REFRESH_RATE).max(least)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::SplitMix;

    #[test]
    fn authorities() {
        for (text, host, port) in [
            ("a.example", "a.example", 80),
            ("a.example:8080", "a.example", 8080),
            ("10.0.0.1", "10.0.0.1", 80),
            ("10.0.0.1:1", "10.0.0.1", 1),
            ("[fd00::1]", "fd00::1", 80),
            ("[fd00::1]:99", "fd00::1", 99),
            ("fd00::1", "fd00::1", 80),
            ("a.example:", "a.example:", 80),
            ("a.example:x", "a.example:x", 80),
            ("a.example:70000", "a.example:70000", 80),
            ("[x]:1", "[x]", 1),
        ] {
            assert_eq!(Target::of(text.as_bytes(), 80), Some(Target { host, port }), "{text}");
        }
        assert_eq!(Target::of(b"", 80), None);
        assert_eq!(Target::of(b"\xff", 80), None);
        let ip = |text: &'static str| Target::of(text.as_bytes(), 80).and_then(|it| it.ip());
        assert_eq!((ip("[::1]:1"), ip("a")), (Some(IpAddr::V6(Ipv6Addr::LOCALHOST)), None));
    }

    #[test]
    fn when_to_ask_again() {
        let s = Duration::from_secs;
        let mut dice = SplitMix(1);
        let mut config = DnsCache::default();
        let mut next =
            |config: &DnsCache, failures, lifetime| next_query(config, failures, lifetime, &mut dice);
        assert_eq!(next(&config, 0, Some(s(30))), s(30));
        assert_eq!(next(&config, 0, Some(s(1))), s(5));
        assert_eq!(next(&config, 0, None), s(60));
        assert_eq!(next(&config, 1, None), s(60));
        config.dns.refresh_rate = Some(s(7));
        config.min_refresh_rate = Some(s(1));
        assert_eq!((next(&config, 0, Some(s(2))), next(&config, 3, Some(s(2)))), (s(2), s(7)));
        config.dns.failure_refresh = Some((s(1), Some(s(2))));
        assert!(next(&config, 9, None) <= s(2));
    }
}
