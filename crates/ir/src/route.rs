//! Routes: which cluster a request goes to.

use std::sync::Arc;

use model::Origin;
use stdx::{Digest, Str, digest};

use crate::overrides::FilterOverrides;
use crate::rate_limit::RouteRateLimit;
use crate::{Fraction, HeaderMatcher, RetryPolicy, StringMatcher};

pub use crate::action::{
    BodyFormat, ClusterRef, DirectResponse, Forward, HostRewrite, InternalRedirect, MaxStreamDuration,
    Mirror, Redirect, RegexRewrite, RouteAction, RouteClusters, RouteUpgrade, RoutingPriority,
    WeightedCluster,
};
pub use crate::header::{AppendAction, HeaderEdits, HeaderText, HeaderValue};

/// `envoy.config.route.v3.RouteConfiguration`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RouteConfig {
    pub name: Str,
    /// Shared: of thousands, a change concerns a few.
    pub virtual_hosts: Vec<Arc<VirtualHost>>,
    /// Compare hosts without the port of `:authority` (Istio sets it).
    pub ignore_port_in_host_matching: bool,
    /// A route may name a cluster that does not exist (yet): such a request gets 503 `NC`.
    /// Where set, the configuration is refused instead.
    pub validate_clusters: bool,
    /// Names the virtual hosts may not repeat; request and response edits for all routes.
    pub headers: HeaderEdits,
    /// Edits of the same header: the most specific level is the last to speak, not the first.
    pub most_specific_header_mutations_wins: bool,
    pub mirrors: Vec<Mirror>,
    pub filters: FilterOverrides,
    /// Bytes. `None`: 4096; or as long as what is there, where the text is part of it and we say it.
    pub max_direct_response_body_size: Option<u32>,
}

impl RouteConfig {
    /// Everything but the virtual hosts.
    pub fn without_hosts(&self) -> RouteConfig {
        RouteConfig {
            name: self.name.clone(),
            virtual_hosts: Vec::new(),
            ignore_port_in_host_matching: self.ignore_port_in_host_matching,
            validate_clusters: self.validate_clusters,
            headers: self.headers.clone(),
            most_specific_header_mutations_wins: self.most_specific_header_mutations_wins,
            mirrors: self.mirrors.clone(),
            filters: self.filters.clone(),
            max_direct_response_body_size: self.max_direct_response_body_size,
        }
    }

    /// The version, given those of the virtual hosts: whoever keeps these need not read all of them again.
    pub fn version_with(&self, hosts: &[Digest]) -> Digest {
        digest(&(self.without_hosts(), hosts))
    }

    /// A version that depends on the content alone.
    pub fn version(&self) -> Digest {
        let hosts: Vec<Digest> = self.virtual_hosts.iter().map(|host| host.version()).collect();
        self.version_with(&hosts)
    }
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
    pub require_tls: RequireTls,
    /// For routes without a policy of their own.
    pub retry: Option<RetryPolicy>,
    /// For routes without mirrors of their own.
    pub mirrors: Vec<Mirror>,
    /// Bytes of a request that are kept for a retry, a mirror or a redirect. `None`: our own limit.
    pub request_body_buffer_limit: Option<u64>,
    pub headers: HeaderEdits,
    /// What rate limits count requests by, where their route does not say.
    pub rate_limits: Box<[RouteRateLimit]>,
    pub filters: FilterOverrides,
    pub origin: Option<Origin>,
}

impl VirtualHost {
    /// A version that depends on the content alone.
    pub fn version(&self) -> Digest {
        digest(self)
    }

    /// Names of the clusters that requests may go to, mirrors included.
    pub fn clusters(&self) -> impl Iterator<Item = &Str> {
        let forwards = self.routes.iter().filter_map(|route| match &route.action {
            RouteAction::Forward(forward) => Some(forward),
            RouteAction::Direct(_) | RouteAction::Redirect(_) => None,
        });
        forwards.flat_map(Forward::clusters).chain(self.mirrors.iter().filter_map(|it| it.cluster.name()))
    }
}

/// Which requests a virtual host answers with 301 to `https`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RequireTls {
    #[default]
    None,
    /// Those of external clients: all, where nothing says which addresses are internal.
    ExternalOnly,
    All,
}

/// `envoy.config.route.v3.Route`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Route {
    /// As logged by `%ROUTE_NAME%`; may be empty.
    pub name: Str,
    pub matches: RouteMatch,
    pub action: RouteAction,
    pub headers: HeaderEdits,
    /// What filters of the chain do for this route.
    pub filters: FilterOverrides,
    /// In place of the virtual host's.
    pub request_body_buffer_limit: Option<u64>,
    /// `decorator.operation`, the name of the span and of `x-envoy-decorator-operation`.
    pub decorator: Option<Str>,
    /// Of statistics of its own: `vhost.<virtual host>.route.<this>.…`
    pub stat_prefix: Option<Str>,
    pub origin: Option<Origin>,
}

impl Route {
    /// Without a name or anything else.
    pub fn new(matches: RouteMatch, action: RouteAction) -> Self {
        Route {
            name: Str::default(),
            matches,
            action,
            headers: HeaderEdits::default(),
            filters: FilterOverrides::default(),
            request_body_buffer_limit: None,
            decorator: None,
            stat_prefix: None,
            origin: None,
        }
    }
}

/// What a request must be like. All parts must match.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RouteMatch {
    pub path: PathMatch,
    /// For `path`, not for regular expressions.
    pub case_sensitive: bool,
    pub headers: Vec<HeaderMatcher>,
    pub query: Vec<QueryMatcher>,
    pub cookies: Vec<CookieMatcher>,
    /// Content-Type is gRPC.
    pub grpc: bool,
    /// Only this share of the requests, the rest falls through to the next route.
    pub runtime_fraction: Option<Fraction>,
    /// What the client's certificate must be like.
    pub tls: Option<TlsContextMatch>,
}

/// `envoy.config.route.v3.RouteMatch.TlsContextMatchOptions`. `None`: either will do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TlsContextMatch {
    /// The client has shown a certificate.
    pub presented: Option<bool>,
    /// And it was verified.
    pub validated: Option<bool>,
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
            cookies: Vec::new(),
            grpc: false,
            runtime_fraction: None,
            tls: None,
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
    /// `connect_matcher`: CONNECT, which has no path; nothing else is for it.
    Connect,
}

/// A condition on a query parameter; the first of its name counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueryMatcher {
    pub name: Str,
    pub matches: QueryMatch,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QueryMatch {
    /// There with any value (`true`), or not there (`false`).
    Present(bool),
    Value(StringMatcher),
}

/// A condition on a cookie; without such a cookie the value does not match, so the inversion does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CookieMatcher {
    pub name: Str,
    pub value: StringMatcher,
    pub invert: bool,
}
