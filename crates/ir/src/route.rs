//! Routes: which cluster a request goes to.

use std::collections::BTreeMap;
use std::time::Duration;

use model::Origin;
use stdx::Str;

use crate::bootstrap::Json;
use crate::{Fault, Fraction, HashPolicy, HeaderMatcher, RetryPolicy, StringMatch};

/// `envoy.config.route.v3.RouteConfiguration`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RouteConfig {
    pub name: Str,
    pub virtual_hosts: Vec<VirtualHost>,
    /// Compare hosts without the port of `:authority` (Istio sets it).
    pub ignore_port_in_host_matching: bool,
    /// A route may name a cluster that does not exist (yet): such a request gets 503 `NC`.
    /// Where set, the configuration is refused instead.
    pub validate_clusters: bool,
    /// Names the virtual hosts may not repeat; request and response edits for all routes.
    pub headers: HeaderEdits,
}

/// `envoy.config.route.v3.VirtualHost`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct VirtualHost {
    pub name: Str,
    /// Exact, `*suffix`, `prefix*` or `*`; with a port where the configuration compares it.
    pub domains: Vec<Str>,
    /// The first that matches wins.
    pub routes: Vec<Route>,
    /// Tell the upstream how many attempts were made: `x-envoy-attempt-count`.
    pub include_request_attempt_count: bool,
    pub include_attempt_count_in_response: bool,
    /// `require_tls: ALL`: plaintext requests are answered 301, to the same with https.
    pub require_tls: bool,
    pub headers: HeaderEdits,
    pub origin: Option<Origin>,
}

/// `envoy.config.route.v3.Route`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Route {
    /// As logged by `%ROUTE_NAME%`; may be empty.
    pub name: Str,
    pub matches: RouteMatch,
    pub action: RouteAction,
    /// Applied by the fault filter, where the chain has one.
    pub fault: Option<Fault>,
    pub headers: HeaderEdits,
    /// `decorator.operation`, the name of the span and of `x-envoy-decorator-operation`.
    pub decorator: Option<Str>,
    pub origin: Option<Origin>,
}

/// What a request must be like. All parts must match.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RouteMatch {
    pub path: PathMatch,
    /// For `path`, not for regular expressions.
    pub case_sensitive: bool,
    pub headers: Vec<HeaderMatcher>,
    pub query: Vec<QueryMatcher>,
    /// Content-Type is gRPC.
    pub grpc: bool,
    /// Only this share of the requests, the rest falls through to the next route.
    pub runtime_fraction: Option<Fraction>,
}

impl RouteMatch {
    /// Every request whose path begins with `prefix`.
    pub fn prefix(prefix: &str) -> Self {
        RouteMatch::path(PathMatch::Prefix(prefix.into()))
    }

    pub fn path(path: PathMatch) -> Self {
        RouteMatch {
            path,
            case_sensitive: true,
            headers: Vec::new(),
            query: Vec::new(),
            grpc: false,
            runtime_fraction: None,
        }
    }
}

/// How the path (without the query) is compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PathMatch {
    Prefix(Str),
    /// The prefix itself, or the prefix and then `/`. Does not end in `/`.
    SeparatedPrefix(Str),
    Exact(Str),
    /// RE2 over the whole path.
    Regex(Str),
}

/// A condition on a query parameter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueryMatcher {
    pub name: Str,
    /// `None`: present with any value.
    pub value: Option<StringMatch>,
}

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
    pub retry: Option<RetryPolicy>,
    /// For balancers that hash.
    pub hash_policy: Vec<HashPolicy>,
    /// `metadata_match` on `envoy.lb`: the subset.
    pub metadata_match: BTreeMap<Str, Json>,
    /// Whose circuit breakers count.
    pub priority: RoutingPriority,
    pub host_rewrite: Option<Str>,
    /// Replaces the matched prefix (or the whole exact path).
    pub prefix_rewrite: Option<Str>,
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
            prefix_rewrite: None,
        }
    }
}

/// `envoy.config.core.v3.RoutingPriority`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RoutingPriority {
    #[default]
    Default,
    High,
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

/// Which cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RouteClusters {
    Single(Str),
    /// By weight; the sum is at least 1.
    Weighted(Vec<WeightedCluster>),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WeightedCluster {
    pub name: Str,
    pub weight: u32,
    pub headers: HeaderEdits,
    /// Together with the route's; wins over it.
    pub metadata_match: BTreeMap<Str, Json>,
}

/// A response that the proxy gives itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DirectResponse {
    pub status: u16,
    pub body: Str,
}

/// `envoy.config.route.v3.RedirectAction`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Redirect {
    pub https: bool,
    pub host: Option<Str>,
    pub port: Option<u16>,
    pub path: Option<Str>,
    pub prefix_rewrite: Option<Str>,
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
    pub strip_query: bool,
}

/// Edits of the headers of requests and responses.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeaderEdits {
    pub request_add: Vec<HeaderValue>,
    /// Lower case. Removed before the additions.
    pub request_remove: Vec<Str>,
    pub response_add: Vec<HeaderValue>,
    pub response_remove: Vec<Str>,
}

impl HeaderEdits {
    pub fn is_empty(&self) -> bool {
        *self == HeaderEdits::default()
    }
}

/// A header to write. Values are literal: Envoy's `%COMMAND%` operators are refused, save `%%`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeaderValue {
    /// Lower case.
    pub name: Str,
    pub value: Str,
    pub action: AppendAction,
}

/// `envoy.config.core.v3.HeaderValueOption.HeaderAppendAction`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AppendAction {
    #[default]
    AppendIfExistsOrAdd,
    AddIfAbsent,
    OverwriteIfExistsOrAdd,
    OverwriteIfExists,
}
