//! What a level of the routes says about filters, and what of actions has to be compiled.

use std::sync::Arc;

use ir::FilterOverrides;
use ir::overrides::RbacOverride;
use ir::route::{HostRewrite, RouteAction};

use crate::cors::Cors;
use crate::fault::Fault;
use crate::rate_limit::RateLimit;
use crate::rbac::Rbac;
use crate::redirect::Target;
use crate::rewrite::Rewrite;
use crate::{Problem, Request};

/// Compiled [`FilterOverrides`].
#[derive(Debug)]
pub struct Overrides {
    pub config: FilterOverrides,
    pub fault: Option<Fault>,
    pub cors: Option<Cors>,
    pub local_rate_limit: Option<Arc<RateLimit>>,
    pub rbac: Option<RbacRules>,
}

/// Rules that are enforced, and rules that are only counted; without any the filter is off.
#[derive(Debug, Default)]
pub struct RbacRules {
    pub enforced: Option<Rbac>,
    pub shadow: Option<Rbac>,
}

impl RbacRules {
    /// Compiles the rules of a filter.
    ///
    /// # Errors
    /// What cannot be compiled, by field.
    pub fn compile(it: &ir::RbacFilter) -> Result<Self, Problem> {
        let compile = |rules: &Option<ir::Rbac>, field: &'static str| {
            rules.as_ref().map(Rbac::compile).transpose().map_err(|p| p.inside(field))
        };
        Ok(RbacRules {
            enforced: compile(&it.rules, "rules")?,
            shadow: compile(&it.shadow_rules, "shadow_rules")?,
        })
    }
}

impl Overrides {
    /// `None`: nothing is said.
    ///
    /// # Errors
    /// What cannot be compiled.
    pub fn compile(config: &FilterOverrides) -> Result<Option<Box<Self>>, Problem> {
        if config.is_empty() {
            return Ok(None);
        }
        let inside =
            |name: &'static str| move |p: Problem| p.inside(format!("typed_per_filter_config[{name:?}]"));
        let fault = config.fault.as_deref().map(Fault::compile).transpose();
        let limit = config.local_rate_limit.as_deref().map(RateLimit::compile).transpose();
        let cors = config.cors.as_deref().map(Cors::compile).transpose();
        let rbac = config.rbac.as_deref().map(|it| match it {
            RbacOverride::Disabled => Ok(RbacRules::default()),
            RbacOverride::Rules(it) => RbacRules::compile(it).map_err(|p| p.inside("rbac")),
        });
        Ok(Some(Box::new(Overrides {
            rbac: rbac.transpose().map_err(inside("envoy.filters.http.rbac"))?,
            fault: fault.map_err(inside("envoy.filters.http.fault"))?,
            cors: cors.map_err(inside("envoy.filters.http.cors"))?,
            local_rate_limit: limit.map_err(inside("envoy.filters.http.local_ratelimit"))?.map(Arc::new),
            config: config.clone(),
        })))
    }
}

/// What of a route's action has to be compiled.
#[derive(Debug)]
pub enum Action {
    Redirect(Target),
    Forward { path: Option<Rewrite>, host: Option<Rewrite> },
}

impl Action {
    /// `None`: nothing has to be.
    ///
    /// # Errors
    /// What cannot be compiled.
    pub fn compile(action: &RouteAction) -> Result<Option<Box<Self>>, Problem> {
        let rewrite = |it: Option<&ir::route::RegexRewrite>, field: &'static str| {
            it.map(Rewrite::compile).transpose().map_err(|p| p.inside(field))
        };
        let compiled = match action {
            RouteAction::Redirect(redirect) if redirect.regex_rewrite.is_some() => {
                Action::Redirect(Target::compile(redirect).map_err(|p| p.inside("redirect"))?)
            }
            RouteAction::Forward(forward) => {
                let of_path = match &forward.host_rewrite {
                    Some(HostRewrite::PathRegex(it)) => Some(&**it),
                    _ => None,
                };
                let path = rewrite(forward.regex_rewrite.as_deref(), "route.regex_rewrite")?;
                let host = rewrite(of_path, "route.host_rewrite_path_regex")?;
                if path.is_none() && host.is_none() {
                    return Ok(None);
                }
                Action::Forward { path, host }
            }
            RouteAction::Redirect(_) | RouteAction::Direct(_) => return Ok(None),
        };
        Ok(Some(Box::new(compiled)))
    }
}

/// The path that goes upstream; `None`: as it is.
pub fn path<R: Request + ?Sized>(
    forward: &ir::route::Forward,
    compiled: Option<&Action>,
    matches: &ir::route::RouteMatch,
    request: &R,
) -> Option<Vec<u8>> {
    let old = request.path();
    // CONNECT has none.
    if old.is_empty() {
        return None;
    }
    if let Some(new) = &forward.prefix_rewrite {
        return Some(crate::rewrite::prefix(old, crate::rewrite::matched_len(matches, old), new));
    }
    match compiled {
        Some(Action::Forward { path: Some(regex), .. }) => Some(crate::rewrite::path(old, regex)),
        _ => None,
    }
}

/// The host that goes upstream; `None`: as it is. `endpoint` is the name of the endpoint, where it has
/// one.
pub fn host<R: Request + ?Sized>(
    forward: &ir::route::Forward,
    compiled: Option<&Action>,
    request: &R,
    endpoint: Option<&str>,
) -> Option<Vec<u8>> {
    match forward.host_rewrite.as_ref()? {
        HostRewrite::Literal(host) => Some(host.as_bytes().to_vec()),
        HostRewrite::Auto => endpoint.map(|host| host.as_bytes().to_vec()),
        HostRewrite::Header(name) => {
            request.header(name).filter(|host| !host.is_empty()).map(|host| host.into_owned())
        }
        HostRewrite::PathRegex(_) => match compiled {
            Some(Action::Forward { host: Some(regex), .. }) => {
                Some(regex.apply(crate::request::path_only(request.path())))
            }
            _ => None,
        },
    }
}
