//! Which route a request takes: virtual host by authority, then the first route that matches.
//!
//! Compiling builds hash maps of hosts and of paths, so that ten thousand routes cost about
//! what ten do; the maps only narrow the candidates, the first match in order always wins.

mod hosts;
mod paths;

use ir::route::{Forward, HeaderEdits, RouteClusters};
use stdx::Str;

use crate::request::{host_of, path_only, query_parameter};
use crate::{Dice, Problem, Request, dice, matcher, regex::Regex};

use hosts::HostTable;
use paths::PathTable;

/// Of configuration, looked up with what clients send: they cannot choose what collides in it.
type Map<K, V> = std::collections::HashMap<K, V, foldhash::fast::RandomState>;

/// A compiled [`ir::RouteConfig`].
#[derive(Debug)]
pub struct RouteTable {
    config: std::sync::Arc<ir::RouteConfig>,
    hosts: HostTable,
    vhosts: Box<[Vhost]>,
}

#[derive(Debug)]
struct Vhost {
    paths: PathTable,
    routes: Box<[Conditions]>,
}

/// What a route asks for besides a literal path.
#[derive(Debug)]
struct Conditions {
    regex: Option<Regex>,
    /// A literal path in lower case, for routes that ignore case.
    folded: Option<Folded>,
    headers: Box<[matcher::Header]>,
    query: Box<[(Str, Option<matcher::Text>)]>,
    grpc: bool,
    fraction: Option<ir::Fraction>,
}

#[derive(Debug)]
enum Folded {
    Exact(Str),
    Prefix(Str),
    Separated(Str),
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

/// The cluster of a forwarding route, with the edits that belong to this choice alone.
#[derive(Clone, Copy, Debug)]
pub struct ChosenCluster<'a> {
    pub name: &'a Str,
    pub headers: Option<&'a HeaderEdits>,
}

impl RouteTable {
    /// Compiles a configuration.
    ///
    /// # Errors
    /// A domain that two virtual hosts claim, or an expression that is not RE2's.
    pub fn compile(config: std::sync::Arc<ir::RouteConfig>) -> Result<Self, Problem> {
        let hosts = HostTable::compile(&config.virtual_hosts)?;
        let vhosts = config
            .virtual_hosts
            .iter()
            .enumerate()
            .map(|(i, vhost)| Vhost::compile(vhost).map_err(|p| p.inside(format!("virtual_hosts[{i}]"))))
            .collect::<Result<_, _>>()?;
        Ok(RouteTable { config, hosts, vhosts })
    }

    /// The configuration this was compiled from.
    pub fn config(&self) -> &std::sync::Arc<ir::RouteConfig> {
        &self.config
    }

    /// Chooses the route of a request.
    pub fn select<R: Request + ?Sized>(&self, request: &R, dice: &mut dyn Dice) -> Selection {
        let authority = request.authority();
        let host = if self.config.ignore_port_in_host_matching { host_of(authority) } else { authority };
        let Some(vhost) = self.hosts.find(host) else { return Selection::NoVirtualHost };
        let path = path_only(request.path());
        let compiled = &self.vhosts[vhost];
        let found = compiled.paths.first(path, |route| compiled.routes[route].matches(request, path, dice));
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

/// The cluster of this request, by weight. `None` if all weights are 0.
pub fn cluster<'a>(forward: &'a Forward, dice: &mut dyn Dice) -> Option<ChosenCluster<'a>> {
    match &forward.clusters {
        RouteClusters::Single(name) => Some(ChosenCluster { name, headers: None }),
        RouteClusters::Weighted(clusters) => {
            let index = dice::weighted(dice, clusters.iter().map(|c| c.weight))?;
            let chosen = &clusters[index];
            Some(ChosenCluster { name: &chosen.name, headers: Some(&chosen.headers) })
        }
    }
}

impl Vhost {
    fn compile(vhost: &ir::VirtualHost) -> Result<Self, Problem> {
        let compile = |(i, route): (usize, &ir::Route)| {
            Conditions::compile(&route.matches).map_err(|p| p.inside(format!("routes[{i}].match")))
        };
        let routes = vhost.routes.iter().enumerate().map(compile).collect::<Result<_, _>>()?;
        Ok(Vhost { paths: PathTable::compile(&vhost.routes), routes })
    }
}

impl Conditions {
    fn compile(route: &ir::route::RouteMatch) -> Result<Self, Problem> {
        use ir::route::PathMatch;
        let fold = |text: &Str| Str::from(text.to_ascii_lowercase());
        let folded = match (&route.path, route.case_sensitive) {
            (_, true) | (PathMatch::Regex(_), _) => None,
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
        let query = route
            .query
            .iter()
            .enumerate()
            .map(|(i, q)| {
                let text = q.value.clone().map(ir::StringMatcher::new);
                let text = text.as_ref().map(matcher::Text::compile).transpose();
                Ok((q.name.clone(), text.map_err(|p| p.inside(format!("query_parameters[{i}]")))?))
            })
            .collect::<Result<_, Problem>>()?;
        Ok(Conditions {
            regex,
            folded,
            headers: matcher::headers(&route.headers, "headers")?,
            query,
            grpc: route.grpc,
            fraction: route.runtime_fraction,
        })
    }

    fn matches<R: Request + ?Sized>(&self, request: &R, path: &[u8], dice: &mut dyn Dice) -> bool {
        self.regex.as_ref().is_none_or(|regex| regex.is_match(path))
            && self.folded.as_ref().is_none_or(|folded| folded.matches(&path.to_ascii_lowercase()))
            && self.headers.iter().all(|header| header.matches(request))
            && self.query.iter().all(|(name, text)| {
                query_parameter(request.path(), name)
                    .is_some_and(|value| text.as_ref().is_none_or(|text| text.matches(value)))
            })
            && (!self.grpc || crate::grpc::is_grpc(request))
            && self.fraction.is_none_or(|share| dice::happens(dice, share))
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
