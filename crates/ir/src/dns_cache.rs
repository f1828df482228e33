//! Names that requests and connections bring along: Envoy's dynamic forward proxy. See
//! <https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/http/http_filters/dynamic_forward_proxy_filter>.

use std::time::Duration;

use stdx::Str;

use crate::Dns;

/// `envoy.extensions.common.dynamic_forward_proxy.v3.DnsCacheConfig`. `None` is Envoy's default, in brackets.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DnsCache {
    /// All that names a cache configures it alike, or is refused.
    pub name: Str,
    /// Between two queries for a name that has no address (60 s), and how it is asked for. What was found is
    /// good for as long as the answer says; `respect_ttl` and `jitter` say nothing here.
    pub dns: Dns,
    /// However short an answer is good for, it is not asked for sooner (5 s).
    pub min_refresh_rate: Option<Duration>,
    /// Names that nobody has used for so long are forgotten (5 min).
    pub host_ttl: Option<Duration>,
    /// Names beyond are refused (1024).
    pub max_hosts: Option<u32>,
    /// Requests that wait for an answer at once (1024).
    pub max_pending_requests: Option<u32>,
    /// How long an answer may take (5 s). Zero: as long as it likes.
    pub query_timeout: Option<Duration>,
    /// Names and ports that are asked for before anybody wants them.
    pub preresolve: Vec<(Str, u16)>,
}

/// `envoy.clusters.dynamic_forward_proxy`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ForwardProxy {
    pub cache: DnsCache,
    /// TLS need not check who the server is by the name that was asked for.
    pub allow_insecure_cluster_options: bool,
}

/// `envoy.filters.network.sni_dynamic_forward_proxy`: the name is the TLS client's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SniForwardProxy {
    pub cache: DnsCache,
    pub port: u16,
}

/// `envoy.extensions.filters.http.dynamic_forward_proxy.v3.PerRouteConfig`: another host before it is asked
/// for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ForwardProxyOverride {
    HostRewrite(Str),
    /// The value of this header, if there is one. Lower case.
    HostRewriteHeader(Str),
}
