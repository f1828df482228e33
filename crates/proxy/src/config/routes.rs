//! A route configuration as workers use it: its table, and the formats in it.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;

use engine::Problem;
use engine::route::{RouteTable, unchanged};
use ir::route::{DirectResponse, RouteClusters, WeightedCluster};
use ir::{FilterOverrides, RouteAction, RouteConfig, VirtualHost};
use stdx::Str;

use super::body::{self, DIRECT_RESPONSE_LIMIT};
use crate::format::{Asks, Format, Values};

/// A compiled [`RouteConfig`].
pub struct Routes {
    table: RouteTable,
    /// Formats of all its levels; maybe some that an earlier version had.
    values: Arc<Values>,
    /// Of direct responses that say more than a text, by virtual host and route.
    bodies: Arc<Bodies>,
    /// Of statistics, by virtual host and route; most configurations have none.
    scopes: Arc<Scopes>,
    asks: Asks,
}

type Bodies = HashMap<(usize, usize), Body>;

/// What a direct response says.
struct Body {
    /// Where it is not in the configuration itself.
    read: Option<Arc<[u8]>>,
    format: Option<Format>,
}

type Scopes = HashMap<(usize, usize), Str>;

/// What is compiled of a configuration besides its table.
#[derive(Default)]
struct Formats {
    values: Values,
    bodies: Bodies,
    scopes: Scopes,
    /// The most bytes that a body may have.
    limit: u32,
}

impl Routes {
    /// Compiles a configuration.
    ///
    /// # Errors
    /// What cannot be compiled, by field.
    pub fn compile(config: &Arc<RouteConfig>) -> Result<Self, Problem> {
        Self::compile_after(config, None)
    }

    /// As [`compile`](Self::compile), with what was compiled of the same virtual hosts before.
    ///
    /// # Errors
    /// As [`compile`](Self::compile).
    pub fn compile_after(config: &Arc<RouteConfig>, before: Option<&Self>) -> Result<Self, Problem> {
        let table = RouteTable::compile_after(config.clone(), before.map(|before| &before.table))?;
        if let Some(before) = before {
            let limit = |config: &RouteConfig| config.max_direct_response_body_size;
            let limited = limit(before.config()) == limit(config);
            let same = unchanged(before.config(), config);
            let is_new = |host| !limited || same.get(host).is_none_or(Option::is_none);
            let news = Formats::of(config, is_new)?;
            // By index, and so of other routes where hosts have moved.
            let placed = !(before.bodies.is_empty() && before.scopes.is_empty());
            let places = !(news.bodies.is_empty() && news.scopes.is_empty());
            if !placed && !places && news.values.is_part_of(&before.values) {
                let (values, bodies) = (before.values.clone(), before.bodies.clone());
                return Ok(Routes {
                    table,
                    values,
                    bodies,
                    scopes: before.scopes.clone(),
                    asks: before.asks,
                });
            }
        }
        let Formats { values, bodies, scopes, .. } = Formats::of(config, |_| true)?;
        let mut asks = values.asks();
        bodies.values().filter_map(|it| it.format.as_ref()).for_each(|it| asks |= it.asks());
        let (values, bodies, scopes) = (Arc::new(values), Arc::new(bodies), Arc::new(scopes));
        Ok(Routes { table, values, bodies, scopes, asks })
    }

    /// Formats of all its levels.
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// What its formats tell of certificates and exchanges.
    pub fn asks(&self) -> Asks {
        self.asks
    }

    /// What becomes of a direct response's body, where that is said.
    pub fn body_format(&self, vhost: usize, route: usize) -> Option<&Format> {
        self.bodies.get(&(vhost, route))?.format.as_ref()
    }

    /// The bytes of a direct response.
    pub fn body(&self, vhost: usize, route: usize, direct: &DirectResponse) -> Arc<[u8]> {
        let read = || self.bodies.get(&(vhost, route)).and_then(|it| it.read.clone());
        direct.body.inline().cloned().or_else(read).unwrap_or_default()
    }

    /// What a route is called in statistics of its own.
    pub fn stat_scope(&self, vhost: usize, route: usize) -> Option<&Str> {
        if self.scopes.is_empty() { None } else { self.scopes.get(&(vhost, route)) }
    }
}

impl Formats {
    /// Those of the configuration itself, and of some of its hosts, by index.
    fn of(config: &RouteConfig, counts: impl Fn(usize) -> bool) -> Result<Self, Problem> {
        let limit = config.max_direct_response_body_size.unwrap_or(DIRECT_RESPONSE_LIMIT);
        let mut formats = Formats { limit, ..Formats::default() };
        formats.values.add_edits(&config.headers)?;
        filters(&mut formats.values, &config.filters)?;
        for (i, vhost) in config.virtual_hosts.iter().enumerate().filter(|(i, _)| counts(*i)) {
            formats.add(i, vhost).map_err(|p| p.inside(format!("virtual_hosts[{i}]")))?;
        }
        Ok(formats)
    }

    fn add(&mut self, host: usize, vhost: &VirtualHost) -> Result<(), Problem> {
        self.values.add_edits(&vhost.headers)?;
        filters(&mut self.values, &vhost.filters)?;
        for (i, route) in vhost.routes.iter().enumerate() {
            let inside = |p: Problem| p.inside(format!("routes[{i}]"));
            self.values.add_edits(&route.headers).map_err(inside)?;
            filters(&mut self.values, &route.filters).map_err(inside)?;
            self.add_action((host, i), &route.action).map_err(inside)?;
            // What is not forwarded has no numbers of upstreams.
            if let (Some(prefix), RouteAction::Forward(_)) = (&route.stat_prefix, &route.action) {
                self.scopes.insert((host, i), format!("vhost.{}.route.{prefix}", vhost.name).into());
            }
        }
        Ok(())
    }

    fn add_action(&mut self, place: (usize, usize), action: &RouteAction) -> Result<(), Problem> {
        match action {
            RouteAction::Forward(forward) => {
                let RouteClusters::Weighted(all) = &forward.clusters else { return Ok(()) };
                for (i, cluster) in all.iter().enumerate() {
                    let inside = |p: Problem| p.inside(format!("route.weighted_clusters.clusters[{i}]"));
                    weighted(&mut self.values, cluster).map_err(inside)?;
                }
            }
            RouteAction::Direct(direct) => {
                let inside = |p: Problem| p.inside("direct_response");
                if let Some(body) = self.direct(direct).map_err(inside)? {
                    self.bodies.insert(place, body);
                }
            }
            RouteAction::Redirect(_) => {}
        }
        Ok(())
    }

    /// `None`: a text that is said as it is.
    fn direct(&self, it: &DirectResponse) -> Result<Option<Body>, Problem> {
        let text = body::read(&it.body, Some(self.limit)).map_err(|p| p.inside("body"))?;
        let format = it.format.as_ref().map(|body| Format::compile(&body.format)).transpose();
        let format = format.map_err(|wrong| Problem::new("body_format", wrong))?;
        let read = it.body.inline().is_none().then_some(text);
        Ok((read.is_some() || format.is_some()).then_some(Body { read, format }))
    }
}

impl Deref for Routes {
    type Target = RouteTable;

    fn deref(&self) -> &RouteTable {
        &self.table
    }
}

fn weighted(values: &mut Values, cluster: &WeightedCluster) -> Result<(), Problem> {
    values.add_edits(&cluster.headers)?;
    filters(values, &cluster.filters)
}

/// What a level says about filters.
fn filters(values: &mut Values, it: &FilterOverrides) -> Result<(), Problem> {
    let inside =
        |name: &'static str| move |p: Problem| p.inside(format!("typed_per_filter_config[{name:?}]"));
    if let Some(it) = &it.header_mutation {
        values.add_mutations(it).map_err(inside("envoy.filters.http.header_mutation"))?;
    }
    if let Some(it) = &it.local_rate_limit {
        rate_limit(values, it).map_err(inside("envoy.filters.http.local_ratelimit"))?;
    }
    Ok(())
}

/// Formats of a local rate limit.
///
/// # Errors
/// As [`Values::add`].
pub fn rate_limit(values: &mut Values, it: &ir::LocalRateLimit) -> Result<(), Problem> {
    values.add("request_headers_to_add_when_not_enforced", &it.request_headers_when_not_enforced)?;
    values.add("response_headers_to_add", &it.response_headers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ir::route::{HeaderEdits, HeaderText, HeaderValue, RouteMatch};

    #[test]
    fn an_unknown_operator_is_refused_where_it_stands() {
        let value = HeaderText::read("%NO_SUCH%".into(), false);
        let value = HeaderValue { name: "x".into(), value, action: Default::default() };
        let mut route = ir::Route::new(RouteMatch::prefix("/"), RouteAction::Redirect(Default::default()));
        route.headers = HeaderEdits { response_add: vec![value], ..Default::default() };
        let vhost = VirtualHost { domains: vec!["*".into()], routes: vec![route], ..Default::default() };
        let config = RouteConfig { virtual_hosts: vec![Arc::new(vhost)], ..Default::default() };
        let problem = Routes::compile(&Arc::new(config)).err().map(|problem| problem.to_string());
        let expected = "virtual_hosts[0].routes[0].response_headers_to_add[0].header.value: \
            the operator %NO_SUCH% is not supported at position 0";
        assert_eq!(problem.as_deref(), Some(expected));
    }
}
