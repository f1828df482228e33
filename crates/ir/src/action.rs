//! What a route does with a request.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use stdx::Str;

use crate::access_log::LogFormat;
use crate::body::BodySource;
use crate::bootstrap::Json;
use crate::header::HeaderEdits;
use crate::overrides::FilterOverrides;
use crate::rate_limit::RouteRateLimit;
use crate::{Fraction, HashPolicy, RetryPolicy};

/// What is done with a request that matched.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RouteAction {
    Forward(Forward),
    Direct(DirectResponse),
    Redirect(Redirect),
}

/// Sending on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Forward {
    pub clusters: RouteClusters,
    /// For the whole exchange, retries included, from the end of the request. `None` is Envoy's
    /// default of 15 s, zero is off.
    pub timeout: Option<Duration>,
    /// In place of the connection manager's `stream_idle_timeout`; zero is off.
    pub idle_timeout: Option<Duration>,
    /// Deprecated in Envoy: a gRPC request's `timeout` is what its `grpc-timeout` says, and at most
    /// this; zero: any. Without effect beside `max_stream_duration`.
    pub max_grpc_timeout: Option<Duration>,
    /// Where it is set, `timeout` has no effect, as in Envoy.
    pub max_stream_duration: Option<MaxStreamDuration>,
    /// In place of the virtual host's.
    pub retry: Option<RetryPolicy>,
    /// For balancers that hash.
    pub hash_policy: Vec<HashPolicy>,
    /// `metadata_match` on `envoy.lb`: the subset.
    pub metadata_match: BTreeMap<Str, Json>,
    /// Whose circuit breakers count.
    pub priority: RoutingPriority,
    pub host_rewrite: Option<HostRewrite>,
    /// The host before its rewriting becomes the last element of `x-forwarded-host`.
    pub append_x_forwarded_host: bool,
    /// Replaces the matched prefix (or the whole exact path).
    pub prefix_rewrite: Option<Str>,
    /// Not beside `prefix_rewrite`.
    pub regex_rewrite: Option<Box<RegexRewrite>>,
    /// Where the request goes as well, without anybody waiting for it. Replaces those of the virtual host.
    pub mirrors: Vec<Mirror>,
    /// `None`: a redirect is the client's business.
    pub internal_redirect: Option<Box<InternalRedirect>>,
    /// 404, 500 or 503: what is answered where the cluster does not exist.
    pub cluster_not_found_status: u16,
    /// Whether requests of this route may switch protocols, in place of what the connection manager says.
    pub upgrades: Box<[RouteUpgrade]>,
    /// What rate limits count the request by.
    pub rate_limits: Box<[RouteRateLimit]>,
    /// And by what the virtual host says, too.
    pub include_vhost_rate_limits: bool,
}

impl Forward {
    /// To one cluster, with Envoy's defaults.
    pub fn to(cluster: impl Into<Str>) -> Self {
        Forward {
            clusters: RouteClusters::Single(cluster.into()),
            timeout: None,
            idle_timeout: None,
            max_grpc_timeout: None,
            max_stream_duration: None,
            retry: None,
            hash_policy: Vec::new(),
            metadata_match: BTreeMap::new(),
            priority: RoutingPriority::Default,
            host_rewrite: None,
            append_x_forwarded_host: false,
            prefix_rewrite: None,
            regex_rewrite: None,
            mirrors: Vec::new(),
            internal_redirect: None,
            cluster_not_found_status: 503,
            rate_limits: Box::default(),
            include_vhost_rate_limits: false,
            upgrades: Box::default(),
        }
    }
}

/// `envoy.config.route.v3.RouteAction.UpgradeConfig`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteUpgrade {
    /// Lower case: `websocket`, or `connect` for CONNECT.
    pub upgrade_type: Str,
    pub enabled: bool,
    /// `connect_config`: CONNECT ends here, and what comes behind it goes to the endpoint as it is.
    pub connect_config: bool,
}

impl Forward {
    /// Names of the clusters that requests may go to, as far as the configuration has them.
    pub fn clusters(&self) -> impl Iterator<Item = &Str> {
        let (single, weighted) = match &self.clusters {
            RouteClusters::Single(name) => (Some(name), &[][..]),
            RouteClusters::Weighted(all) => (None, all.as_slice()),
            RouteClusters::Header(_) => (None, &[][..]),
        };
        let of_weights = weighted.iter().map(|it| &it.cluster);
        let of_others = of_weights.chain(self.mirrors.iter().map(|it| &it.cluster));
        single.into_iter().chain(of_others.filter_map(ClusterRef::name))
    }
}

/// `envoy.config.route.v3.RouteAction.MaxStreamDuration`: how long a request and its response may
/// take, from the request's first byte, whatever is retried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MaxStreamDuration {
    /// In place of the connection manager's; zero is off.
    pub max: Option<Duration>,
    /// A request's `grpc-timeout` takes the place of `max`, but is at most this; zero: any. `None`:
    /// the header has no effect.
    pub grpc_header_max: Option<Duration>,
    /// Taken off the `grpc-timeout`, so that we are the first to give up.
    pub grpc_header_offset: Option<Duration>,
}

impl MaxStreamDuration {
    /// No limit but the one that a gRPC client names.
    pub const AS_GRPC_CLIENTS_SAY: MaxStreamDuration = MaxStreamDuration {
        max: Some(Duration::ZERO),
        grpc_header_max: Some(Duration::ZERO),
        grpc_header_offset: None,
    };
}

/// `envoy.config.core.v3.RoutingPriority`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RoutingPriority {
    #[default]
    Default,
    High,
}

/// Which cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RouteClusters {
    Single(Str),
    /// By weight; the sum is at least 1.
    Weighted(Vec<WeightedCluster>),
    /// The one that this header names; lower case.
    Header(Str),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WeightedCluster {
    pub cluster: ClusterRef,
    pub weight: u32,
    pub headers: HeaderEdits,
    pub filters: FilterOverrides,
    /// Together with the route's; wins over it.
    pub metadata_match: BTreeMap<Str, Json>,
    /// The host that the upstream is told, unless the route has one of its own.
    pub host_rewrite: Option<Str>,
}

impl WeightedCluster {
    pub fn new(name: impl Into<Str>, weight: u32) -> Self {
        let (headers, filters, metadata_match, host_rewrite) = Default::default();
        let cluster = ClusterRef::Name(name.into());
        WeightedCluster { cluster, weight, headers, filters, metadata_match, host_rewrite }
    }
}

/// What `:authority` becomes on its way to the upstream.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostRewrite {
    Literal(Str),
    /// The host name of the endpoint, where the cluster finds its endpoints by name.
    Auto,
    /// The value of a request header (lower case), where it is there and not empty.
    Header(Str),
    /// The path without its query, rewritten.
    PathRegex(Box<RegexRewrite>),
}

/// `envoy.type.matcher.v3.RegexMatchAndSubstitute`: all that matches is replaced.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegexRewrite {
    /// RE2.
    pub pattern: Str,
    /// `\\1` is the first group, `\\0` all that matched.
    pub substitution: Str,
}

/// `envoy.config.route.v3.RouteAction.RequestMirrorPolicy`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mirror {
    pub cluster: ClusterRef,
    /// `None`: every request.
    pub fraction: Option<Fraction>,
    /// Leave the host as it is, without `-shadow`.
    pub keep_host: bool,
    pub host_rewrite: Option<Str>,
}

impl Mirror {
    /// Every request, with Envoy's defaults.
    pub fn to(cluster: impl Into<Str>) -> Self {
        let cluster = ClusterRef::Name(cluster.into());
        Mirror { cluster, fraction: None, keep_host: false, host_rewrite: None }
    }
}

/// A cluster of several, or of a mirror: `name` or `cluster_header`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClusterRef {
    Name(Str),
    /// The one that this header names; lower case.
    Header(Str),
}

impl ClusterRef {
    /// The cluster, where the configuration has it.
    pub fn name(&self) -> Option<&Str> {
        match self {
            ClusterRef::Name(name) => Some(name),
            ClusterRef::Header(_) => None,
        }
    }
}

/// `envoy.config.route.v3.InternalRedirectPolicy`: the proxy follows a redirect by itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InternalRedirect {
    /// For one request, one after the other.
    pub max: u32,
    /// Of 301, 302, 303, 307 and 308.
    pub codes: BTreeSet<u16>,
    pub allow_cross_scheme: bool,
    /// `envoy.internal_redirect_predicates.safe_cross_scheme`: from HTTP to HTTPS only.
    pub safe_cross_scheme: bool,
    /// `previous_routes`: not to a route that was taken before.
    pub avoid_previous_routes: bool,
    /// `allow_listed_routes`: only to routes of these names; `None`: to any.
    pub allowed_routes: Option<Vec<Str>>,
    /// Headers of the redirect that the next request gets; lower case.
    pub response_headers_to_copy: Vec<Str>,
}

impl Default for InternalRedirect {
    /// Envoy's defaults.
    fn default() -> Self {
        InternalRedirect {
            max: 1,
            codes: BTreeSet::from([302]),
            allow_cross_scheme: false,
            safe_cross_scheme: false,
            avoid_previous_routes: false,
            allowed_routes: None,
            response_headers_to_copy: Vec::new(),
        }
    }
}

/// A response that the proxy gives itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DirectResponse {
    pub status: u16,
    pub body: BodySource,
    /// `body_format`.
    pub format: Option<Box<BodyFormat>>,
}

/// What becomes of the body of an answer of our own, which is `%LOCAL_REPLY_BODY%` to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BodyFormat {
    pub format: LogFormat,
    /// `None`: `text/plain`, and of JSON `application/json`.
    pub content_type: Option<Str>,
}

/// `envoy.config.route.v3.RedirectAction`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Redirect {
    /// `https_redirect`.
    pub https: bool,
    /// `scheme_redirect`, lower case; not beside `https`.
    pub scheme: Option<Str>,
    pub host: Option<Str>,
    pub port: Option<u16>,
    /// Of these three one at most.
    pub path: Option<Str>,
    pub prefix_rewrite: Option<Str>,
    pub regex_rewrite: Option<RegexRewrite>,
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
    pub strip_query: bool,
}
