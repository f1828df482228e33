//! Which route a request takes: virtual host by authority, then the first route that matches.
//!
//! Compiling builds hash maps of hosts and of paths, so that ten thousand routes cost about
//! what ten do; the maps only narrow the candidates, the first match in order always wins.

mod hosts;
mod paths;

use std::borrow::Cow;
use std::sync::Arc;

use ir::route::{
    ClusterRef, CookieMatcher, Forward, QueryMatch, QueryMatcher, RouteClusters, TlsContextMatch,
    WeightedCluster,
};
use stdx::Str;

use crate::overrides::{Action, Overrides};
use crate::request::{any_value, cookie, host_of, path_only, query_parameter};
use crate::{Dice, Problem, Request, dice, matcher, rate_limit, regex::Regex, retry};

use hosts::HostTable;
use paths::PathTable;

/// Of configuration, looked up with what clients send: they cannot choose what collides in it.
type Map<K, V> = std::collections::HashMap<K, V, foldhash::fast::RandomState>;

/// A compiled [`ir::RouteConfig`].
#[derive(Debug)]
pub struct RouteTable {
    config: Arc<ir::RouteConfig>,
    overrides: Option<Box<Overrides>>,
    hosts: Arc<HostTable>,
    vhosts: Box<[Arc<Vhost>]>,
}

#[derive(Debug)]
struct Vhost {
    retry: Option<Box<retry::Conditions>>,
    overrides: Option<Box<Overrides>>,
    paths: PathTable,
    routes: Box<[Conditions]>,
    rate_limits: Box<[rate_limit::Limit]>,
}

/// What a route asks for besides a literal path.
#[derive(Debug)]
struct Conditions {
    regex: Option<Regex>,
    /// A literal path in lower case, for routes that ignore case.
    folded: Option<Folded>,
    headers: Box<[matcher::Header]>,
    query: Box<[Query]>,
    cookies: Box<[Cookie]>,
    grpc: bool,
    fraction: Option<ir::Fraction>,
    tls: Option<TlsContextMatch>,
    action: Option<Box<Action>>,
    retry: Option<Box<retry::Conditions>>,
    overrides: Option<Box<Overrides>>,
    /// As the weighted clusters; empty: none of them has any.
    weighted: Box<[Option<Box<Overrides>>]>,
    rate_limits: Box<[rate_limit::Limit]>,
}

/// A compiled [`QueryMatcher`].
#[derive(Debug)]
pub struct Query {
    name: Str,
    /// `Err`: there or not, with any value.
    wanted: Result<matcher::Text, bool>,
}

#[derive(Debug)]
struct Cookie {
    name: Str,
    value: matcher::Text,
    invert: bool,
}

#[derive(Debug)]
enum Folded {
    Exact(Str),
    Prefix(Str),
    Separated(Str),
}

/// The certificate of a request's client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientCertificate {
    pub presented: bool,
    pub validated: bool,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Indices into the configuration.
    Route {
        vhost: usize,
        route: usize,
    },
    NoVirtualHost,
    NoRoute {
        vhost: usize,
    },
}

/// The cluster of a forwarding route.
#[derive(Clone, Debug)]
pub struct ChosenCluster<'a> {
    pub name: Cow<'a, str>,
    /// Of several: which, and what belongs to this choice alone.
    pub weighted: Option<(usize, &'a WeightedCluster)>,
}

impl RouteTable {
    /// Compiles a configuration.
    ///
    /// # Errors
    /// A domain that two virtual hosts claim, or an expression that is not RE2's.
    pub fn compile(config: Arc<ir::RouteConfig>) -> Result<Self, Problem> {
        Self::compile_after(config, None)
    }

    /// As [`compile`](Self::compile): what was compiled of virtual hosts that are the same in `before` (the
    /// same `Arc`) is used again.
    ///
    /// # Errors
    /// As [`compile`](Self::compile).
    pub fn compile_after(config: Arc<ir::RouteConfig>, before: Option<&RouteTable>) -> Result<Self, Problem> {
        let same = before.map(|before| unchanged(&before.config, &config));
        let vhost = |(i, vhost): (usize, &Arc<ir::VirtualHost>)| {
            let at = same.as_ref().and_then(|same| same[i]);
            match before.zip(at).and_then(|(before, at)| before.vhosts.get(at)) {
                Some(compiled) => Ok(Arc::clone(compiled)),
                None => {
                    Vhost::compile(vhost).map(Arc::new).map_err(|p| p.inside(format!("virtual_hosts[{i}]")))
                }
            }
        };
        let hosts = match before.filter(|before| same_domains(&before.config, &config)) {
            Some(before) => before.hosts.clone(),
            None => Arc::new(HostTable::compile(&config.virtual_hosts)?),
        };
        let vhosts = config.virtual_hosts.iter().enumerate().map(vhost).collect::<Result<_, _>>()?;
        let overrides = Overrides::compile(&config.filters)?;
        Ok(RouteTable { config, overrides, hosts, vhosts })
    }

    /// What of a route's action was compiled.
    pub fn action(&self, vhost: usize, route: usize) -> Option<&Action> {
        self.vhosts[vhost].routes[route].action.as_deref()
    }

    /// The headers that the retry policy of a route looks at, or that of its virtual host.
    pub fn retry(&self, vhost: usize, route: usize) -> Option<&retry::Conditions> {
        let own =
            matches!(&self.route(vhost, route).action, ir::RouteAction::Forward(it) if it.retry.is_some());
        let of_vhost = &self.vhosts[vhost];
        if own { of_vhost.routes[route].retry.as_deref() } else { of_vhost.retry.as_deref() }
    }

    /// What is said about filters, the most specific level first. `weighted` is the index of the cluster
    /// that was chosen of several.
    pub fn overrides(
        &self,
        vhost: usize,
        route: usize,
        weighted: Option<usize>,
    ) -> impl Iterator<Item = &Overrides> {
        let of_vhost = &self.vhosts[vhost];
        let of_route = &of_vhost.routes[route];
        let of_cluster = weighted.and_then(|index| of_route.weighted.get(index)).and_then(Option::as_deref);
        let levels = [of_cluster, of_route.overrides.as_deref(), of_vhost.overrides.as_deref()];
        levels.into_iter().chain([self.overrides.as_deref()]).flatten()
    }

    /// What rate limits count a request by: of its route, and of its virtual host.
    pub fn rate_limits(&self, vhost: usize, route: usize) -> [&[rate_limit::Limit]; 2] {
        let of_vhost = &self.vhosts[vhost];
        [&of_vhost.routes[route].rate_limits, &of_vhost.rate_limits]
    }

    /// The configuration this was compiled from.
    pub fn config(&self) -> &Arc<ir::RouteConfig> {
        &self.config
    }

    /// Chooses the route of a request.
    pub fn select<R: Request + ?Sized>(
        &self,
        request: &R,
        client: ClientCertificate,
        dice: &mut dyn Dice,
    ) -> Selection {
        let authority = request.authority();
        let host = if self.config.ignore_port_in_host_matching { host_of(authority) } else { authority };
        let Some(vhost) = self.hosts.find(host) else { return Selection::NoVirtualHost };
        let path = path_only(request.path());
        let compiled = &self.vhosts[vhost];
        let matches = |route: usize| compiled.routes[route].matches(request, path, client, dice);
        let found = compiled.paths.first(path, matches);
        found.map_or(Selection::NoRoute { vhost }, |route| Selection::Route { vhost, route })
    }

    /// A virtual host by the index that [`RouteTable::select`] gave.
    pub fn vhost(&self, vhost: usize) -> &ir::VirtualHost {
        &self.config.virtual_hosts[vhost]
    }

    /// A route by the indices that [`RouteTable::select`] gave.
    pub fn route(&self, vhost: usize, route: usize) -> &ir::Route {
        &self.config.virtual_hosts[vhost].routes[route]
    }
}

/// For each virtual host of `now` where `before` has the same one (the same `Arc`). Most are where they were, or
/// behind one that has come or gone.
pub fn unchanged(before: &ir::RouteConfig, now: &ir::RouteConfig) -> Vec<Option<usize>> {
    let old = &before.virtual_hosts;
    let mut by_place: Option<Map<*const ir::VirtualHost, usize>> = None;
    let mut next = 0;
    let find = |host: &Arc<ir::VirtualHost>| {
        if let Some(there) = old.get(next) {
            if Arc::ptr_eq(there, host) {
                next += 1;
                return Some(next - 1);
            }
            if there.name == host.name {
                // In its place.
                next += 1;
                return None;
            }
        }
        let numbered = || old.iter().enumerate().map(|(i, host)| (Arc::as_ptr(host), i)).collect();
        let at = by_place.get_or_insert_with(numbered).get(&Arc::as_ptr(host)).copied()?;
        next = at + 1;
        Some(at)
    };
    now.virtual_hosts.iter().map(find).collect()
}

/// Whether each domain is at the same virtual host, by number.
fn same_domains(before: &ir::RouteConfig, now: &ir::RouteConfig) -> bool {
    let (before, now) = (&before.virtual_hosts, &now.virtual_hosts);
    let same =
        |(a, b): (&Arc<ir::VirtualHost>, &Arc<ir::VirtualHost>)| Arc::ptr_eq(a, b) || a.domains == b.domains;
    before.len() == now.len() && before.iter().zip(now).all(same)
}

/// The cluster of this request, by weight or as a header says. `None` if all weights are 0, or
/// there is no such header; the weighted cluster whose header is missing is that of no name.
pub fn cluster<'a, R: Request + ?Sized>(
    forward: &'a Forward,
    request: &R,
    dice: &mut dyn Dice,
) -> Option<ChosenCluster<'a>> {
    match &forward.clusters {
        RouteClusters::Single(name) => Some(ChosenCluster { name: Cow::Borrowed(name), weighted: None }),
        RouteClusters::Weighted(clusters) => {
            let index = dice::weighted(dice, clusters.iter().map(|c| c.weight))?;
            let chosen = &clusters[index];
            let name = match &chosen.cluster {
                ClusterRef::Name(name) => Cow::Borrowed(&**name),
                ClusterRef::Header(name) => Cow::Owned(named_by(request, name).unwrap_or_default()),
            };
            Some(ChosenCluster { name, weighted: Some((index, chosen)) })
        }
        RouteClusters::Header(name) => {
            let name = named_by(request, name)?;
            Some(ChosenCluster { name: Cow::Owned(name), weighted: None })
        }
    }
}

/// The cluster that a header names; of several values the first.
pub fn named_by<R: Request + ?Sized>(request: &R, header: &str) -> Option<String> {
    let mut first = None;
    any_value(request, header, &mut |value| {
        first.get_or_insert_with(|| String::from_utf8(value.to_vec()).ok());
        true
    });
    first.flatten()
}

/// The conditions of a route alone: what filters have in their rules.
#[derive(Debug)]
pub struct Matcher {
    path: PathTable,
    conditions: Conditions,
}

impl Matcher {
    /// # Errors
    /// An expression that is not RE2's.
    pub fn compile(matches: &ir::route::RouteMatch) -> Result<Self, Problem> {
        let direct = ir::RouteAction::Redirect(Default::default());
        let routes = [ir::Route::new(matches.clone(), direct)];
        Ok(Matcher { path: PathTable::compile(&routes), conditions: Conditions::matching(matches)? })
    }

    pub fn matches<R: Request + ?Sized>(&self, request: &R, dice: &mut dyn Dice) -> bool {
        let path = path_only(request.path());
        self.path.is_like(path) && self.conditions.matches(request, path, ClientCertificate::default(), dice)
    }
}

impl Vhost {
    fn compile(vhost: &ir::VirtualHost) -> Result<Self, Problem> {
        let compile = |(i, route): (usize, &ir::Route)| {
            Conditions::compile(route).map_err(|p| p.inside(format!("routes[{i}]")))
        };
        let routes = vhost.routes.iter().enumerate().map(compile).collect::<Result<_, _>>()?;
        let overrides = Overrides::compile(&vhost.filters)?;
        let retry = retry::Conditions::compile(vhost.retry.as_ref()).map_err(|p| p.inside("retry_policy"))?;
        let rate_limits = rate_limit::compile(&vhost.rate_limits)?;
        Ok(Vhost { retry, overrides, paths: PathTable::compile(&vhost.routes), routes, rate_limits })
    }
}

impl Conditions {
    fn compile(route: &ir::Route) -> Result<Self, Problem> {
        let mut compiled = Self::matching(&route.matches).map_err(|p| p.inside("match"))?;
        compiled.action = Action::compile(&route.action)?;
        compiled.overrides = Overrides::compile(&route.filters)?;
        if let ir::RouteAction::Forward(forward) = &route.action {
            compiled.retry = retry::Conditions::compile(forward.retry.as_ref())
                .map_err(|p| p.inside("route.retry_policy"))?;
            compiled.rate_limits =
                rate_limit::compile(&forward.rate_limits).map_err(|p| p.inside("route"))?;
        }
        if let ir::RouteAction::Forward(Forward { clusters: RouteClusters::Weighted(all), .. }) =
            &route.action
            && all.iter().any(|cluster| !cluster.filters.is_empty())
        {
            let weighted = all.iter().map(|cluster| Overrides::compile(&cluster.filters));
            compiled.weighted = weighted.collect::<Result<_, _>>()?;
        }
        Ok(compiled)
    }

    fn matching(route: &ir::route::RouteMatch) -> Result<Self, Problem> {
        use ir::route::PathMatch;
        let fold = |text: &Str| Str::from(text.to_ascii_lowercase());
        let folded = match (&route.path, route.case_sensitive) {
            (_, true) | (PathMatch::Regex(_) | PathMatch::Connect, _) => None,
            (PathMatch::Exact(path), false) => Some(Folded::Exact(fold(path))),
            (PathMatch::Prefix(path), false) => Some(Folded::Prefix(fold(path))),
            (PathMatch::SeparatedPrefix(path), false) => Some(Folded::Separated(fold(path))),
        };
        let regex = match &route.path {
            PathMatch::Regex(pattern) => {
                Some(Regex::new(pattern).map_err(|message| Problem::new("safe_regex", message))?)
            }
            _ => None,
        };
        let cookie = |(i, c): (usize, &CookieMatcher)| {
            let value = matcher::Text::compile(&c.value);
            let value = value.map_err(|p| p.inside(format!("cookies[{i}].string_match")))?;
            Ok(Cookie { name: c.name.clone(), value, invert: c.invert })
        };
        Ok(Conditions {
            regex,
            folded,
            headers: matcher::headers(&route.headers, "headers")?,
            query: queries(&route.query)?,
            cookies: route.cookies.iter().enumerate().map(cookie).collect::<Result<_, Problem>>()?,
            grpc: route.grpc,
            fraction: route.runtime_fraction,
            tls: route.tls,
            action: None,
            retry: None,
            overrides: None,
            weighted: Box::default(),
            rate_limits: Box::default(),
        })
    }

    fn matches<R: Request + ?Sized>(
        &self,
        request: &R,
        path: &[u8],
        client: ClientCertificate,
        dice: &mut dyn Dice,
    ) -> bool {
        self.regex.as_ref().is_none_or(|regex| regex.is_match(path))
            && self.folded.as_ref().is_none_or(|folded| folded.matches(&path.to_ascii_lowercase()))
            && self.headers.iter().all(|header| header.matches(request))
            && self.query.iter().all(|query| query.matches(request.path()))
            && self.cookies.iter().all(|wanted| wanted.matches(request))
            && (!self.grpc || crate::grpc::is_grpc(request))
            && self.tls.is_none_or(|wanted| client.fits(wanted))
            && self.fraction.is_none_or(|share| dice::happens(dice, share))
    }
}

/// Compiles conditions on query parameters.
///
/// # Errors
/// An expression that is not RE2's, by field.
pub fn queries(all: &[QueryMatcher]) -> Result<Box<[Query]>, Problem> {
    let query = |(i, q): (usize, &QueryMatcher)| {
        let wanted = match &q.matches {
            QueryMatch::Present(present) => Err(*present),
            QueryMatch::Value(text) => Ok(matcher::Text::compile(text)
                .map_err(|p| p.inside(format!("query_parameters[{i}].string_match")))?),
        };
        Ok(Query { name: q.name.clone(), wanted })
    };
    all.iter().enumerate().map(query).collect()
}

impl ClientCertificate {
    fn fits(self, wanted: TlsContextMatch) -> bool {
        wanted.presented.is_none_or(|it| it == self.presented)
            && wanted.validated.is_none_or(|it| it == self.validated)
    }
}

impl Query {
    /// Whether a path with its query has what is asked for.
    pub fn matches(&self, path: &[u8]) -> bool {
        let found = query_parameter(path, &self.name);
        match &self.wanted {
            Ok(text) => found.is_some_and(|value| text.matches(value)),
            Err(present) => found.is_some() == *present,
        }
    }
}

impl Cookie {
    fn matches<R: Request + ?Sized>(&self, request: &R) -> bool {
        let all = request.header("cookie");
        let found = all.as_ref().and_then(|all| cookie(all, &self.name));
        found.is_some_and(|value| self.value.matches(value)) != self.invert
    }
}

impl Folded {
    fn matches(&self, path: &[u8]) -> bool {
        match self {
            Folded::Exact(text) => path == text.as_bytes(),
            Folded::Prefix(text) => path.starts_with(text.as_bytes()),
            Folded::Separated(text) => paths::starts_separated(path, text.as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests;
