//! Resolving host names of endpoints.

use std::net::SocketAddr;
use std::time::Duration;

/// How names are resolved, and how often. `None` is Envoy's default, in brackets.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dns {
    /// Between two queries (5 s); with `respect_ttl` only where there is no answer.
    pub refresh_rate: Option<Duration>,
    /// Added at random to that (0).
    pub jitter: Option<Duration>,
    /// After a failure (the refresh rate): base and maximum (ten times the base) of a back-off.
    pub failure_refresh: Option<(Duration, Option<Duration>)>,
    /// Ask again when the answer's time to live is over.
    pub respect_ttl: bool,
    pub family: DnsFamily,
    /// In place of the system's.
    pub resolvers: Vec<SocketAddr>,
    pub use_tcp: bool,
}

/// `DnsLookupFamily`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DnsFamily {
    /// IPv6 addresses; IPv4 ones where there is none.
    #[default]
    Auto,
    V4Only,
    V6Only,
    V4Preferred,
    /// Of both families.
    All,
}
