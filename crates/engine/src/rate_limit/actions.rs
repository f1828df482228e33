//! What requests are counted by: the descriptors that actions make of a request.

use std::borrow::Cow;
use std::net::IpAddr;

use ir::matcher::Cidr;
use ir::rate_limit::{Action as Config, RouteRateLimit};
use stdx::Str;

use crate::request::{percent_decoded, query_parameter, value};
use crate::{Problem, Request, matcher, route};

/// A compiled [`RouteRateLimit`]: it makes one descriptor, or none.
#[derive(Debug)]
pub struct Limit {
    stage: u32,
    hits: u64,
    actions: Box<[Action]>,
}

#[derive(Debug)]
enum Action {
    Plain(Config),
    Headers { key: Str, value: Str, expect: bool, headers: Box<[matcher::Header]> },
    Query { key: Str, value: Str, expect: bool, parameters: Box<[route::Query]> },
}

/// The request that is counted.
pub struct Subject<'a, R: ?Sized> {
    pub request: &'a R,
    pub remote: IpAddr,
    /// Ours.
    pub source_cluster: &'a str,
    /// The route's.
    pub destination_cluster: &'a str,
}

/// Key and value.
pub type Entry<'a> = (&'a str, Cow<'a, [u8]>);

/// Compiles what a level of the routes, or a filter, has.
///
/// # Errors
/// A matcher that cannot be compiled, by field.
pub fn compile(all: &[RouteRateLimit]) -> Result<Box<[Limit]>, Problem> {
    let one = |(i, it): (usize, &RouteRateLimit)| {
        let actions = it.actions.iter().enumerate().map(|(j, action)| {
            Action::compile(action).map_err(|p| p.inside(format!("rate_limits[{i}].actions[{j}]")))
        });
        Ok(Limit { stage: it.stage, hits: it.hits, actions: actions.collect::<Result<_, Problem>>()? })
    };
    all.iter().enumerate().map(one).collect()
}

impl Action {
    fn compile(config: &Config) -> Result<Self, Problem> {
        Ok(match config {
            Config::HeaderValueMatch { key, value, expect, headers } => Action::Headers {
                key: key.clone(),
                value: value.clone(),
                expect: *expect,
                headers: matcher::headers(headers, "header_value_match.headers")?,
            },
            Config::QueryParameterValueMatch { key, value, expect, parameters } => Action::Query {
                key: key.clone(),
                value: value.clone(),
                expect: *expect,
                parameters: route::queries(parameters)
                    .map_err(|p| p.inside("query_parameter_value_match"))?,
            },
            plain => Action::Plain(plain.clone()),
        })
    }

    /// Adds its entry. `None`: there is no descriptor at all.
    fn add<'a, R: Request + ?Sized>(&'a self, of: &Subject<'a, R>, out: &mut Vec<Entry<'a>>) -> Option<()> {
        let (key, value): (&Str, Cow<'a, [u8]>) = match self {
            Action::Headers { key, value, expect, headers } => {
                let all = headers.iter().all(|header| header.matches(of.request));
                (key, Some(value.as_bytes().into()).filter(|_| all == *expect)?)
            }
            Action::Query { key, value, expect, parameters } => {
                let all = parameters.iter().all(|parameter| parameter.matches(of.request.path()));
                (key, Some(value.as_bytes().into()).filter(|_| all == *expect)?)
            }
            Action::Plain(plain) => return plain_entry(plain, of, out),
        };
        out.push((key, value));
        Some(())
    }
}

fn plain_entry<'a, R: Request + ?Sized>(
    action: &'a Config,
    of: &Subject<'a, R>,
    out: &mut Vec<Entry<'a>>,
) -> Option<()> {
    let owned = |text: String| Cow::Owned(text.into_bytes());
    let (key, found, skip): (&str, Option<Cow<'a, [u8]>>, bool) = match action {
        Config::SourceCluster => ("source_cluster", Some(of.source_cluster.as_bytes().into()), false),
        Config::DestinationCluster => {
            ("destination_cluster", Some(of.destination_cluster.as_bytes().into()), false)
        }
        Config::RemoteAddress => ("remote_address", Some(owned(of.remote.to_string())), false),
        Config::MaskedRemoteAddress { v4, v6 } => {
            let prefix_len = if of.remote.is_ipv4() { *v4 } else { *v6 };
            let network = Cidr { address: of.remote, prefix_len }.masked().address;
            ("masked_remote_address", Some(owned(format!("{network}/{prefix_len}"))), false)
        }
        Config::RemoteAddressMatch { key, value, ranges, invert } => {
            let inside = ranges.iter().any(|range| range.contains(of.remote));
            (key, Some(value.as_bytes().into()).filter(|_| inside != *invert), false)
        }
        Config::GenericKey { key, value } => (key, Some(value.as_bytes().into()), false),
        Config::RequestHeader { name, key, skip_if_absent } => {
            (key, value(of.request, name), *skip_if_absent)
        }
        Config::QueryParameter { name, key, skip_if_absent } => {
            (key, query_parameter(of.request.path(), name).map(percent_decoded), *skip_if_absent)
        }
        Config::HeaderValueMatch { .. } | Config::QueryParameterValueMatch { .. } => return None,
    };
    match found {
        Some(value) => out.push((key, value)),
        None if skip => {}
        None => return None,
    }
    Some(())
}

impl Limit {
    pub fn stage(&self) -> u32 {
        self.stage
    }

    /// How many tokens it takes.
    pub fn hits(&self) -> u64 {
        self.hits
    }

    /// What the request is counted by; `None`: this does not count it.
    pub fn descriptor<'a, R: Request + ?Sized>(&'a self, of: &Subject<'a, R>) -> Option<Vec<Entry<'a>>> {
        let mut entries = Vec::with_capacity(self.actions.len());
        for action in &self.actions {
            action.add(of, &mut entries)?;
        }
        (!entries.is_empty()).then_some(entries)
    }
}
