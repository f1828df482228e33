//! Envoy's messages to `ir`. Strict: what is set and not honoured is refused, by path, and all
//! problems are found at once. Never panics, whatever the bytes.
//!
//! Limit: fields that Envoy added after our types were generated are not seen, since their numbers
//! mean nothing to prost, which drops them. (In JSON they have names, and are refused.)

#![allow(deprecated)] // Deprecated fields have to be named to be refused.

use ir::{Resource, ResourceType};
use prost::Message;
use stdx::Str;

use crate::{Any, DecodeError, Problem, istio, pb};

mod access_log;
mod action;
mod address;
pub(crate) mod at;
mod balance;
#[cfg(feature = "json")]
pub(crate) mod bootstrap;
mod breakers;
mod buffer;
mod chain;
mod cluster;
mod compressor;
mod cors;
mod dns;
mod dns_cache;
mod endpoint;
mod ext_authz;
mod fault;
mod filter;
mod hash_policy;
mod header_mutation;
mod headers;
mod health_check;
mod http;
mod jwt;
mod limit_actions;
mod listener;
mod local_reply;
mod matcher;
mod metadata;
pub(crate) use metadata::json_map;
mod name_table;
mod number;
#[cfg(feature = "json")]
mod overload;
mod overrides;
mod policies;
mod protocol;
mod rate_limit;
mod rbac;
mod respond;
mod retry;
pub(crate) mod route;
mod route_match;
mod secret;
pub(crate) mod strict;
mod subsets;
mod tcp;
mod tls;
mod upgrades;
mod upstream;
mod validation;
mod wire;

use at::{At, Sink};

/// The longest encoding of one resource, in bytes: what the discovery streams let through.
pub const MAX_BYTES: usize = 64 << 20;

/// Decodes one resource of an xDS response.
///
/// # Errors
/// Everything in the message that is not understood or not honoured, by path.
pub fn any(any: &Any) -> Result<Resource, DecodeError> {
    match ResourceType::by_type_url(&any.type_url) {
        Some(ty) => bytes(ty, &any.value),
        None => Err(unreadable(format!("{:?} is not a type of resource", any.type_url))),
    }
}

/// Decodes the bytes of one message of type `ty`.
///
/// # Errors
/// As [`any`].
pub fn bytes(ty: ResourceType, bytes: &[u8]) -> Result<Resource, DecodeError> {
    match ty {
        ResourceType::Cluster => {
            let name = |it: &pb::cluster::Cluster| it.name.clone();
            decode(bytes, name, cluster::cluster).map(|it| Resource::Cluster(it.into()))
        }
        ResourceType::Endpoints => {
            let name = |it: &pb::endpoint::ClusterLoadAssignment| it.cluster_name.clone();
            decode(bytes, name, endpoint::discovered).map(|it| Resource::Endpoints(it.into()))
        }
        ResourceType::Listener => {
            let name = |it: &pb::listener::Listener| it.name.clone();
            decode(bytes, name, listener::listener).map(|it| Resource::Listener(it.into()))
        }
        ResourceType::Route => {
            let name = |it: &pb::route::RouteConfiguration| it.name.clone();
            decode(bytes, name, route::discovered).map(|it| Resource::Route(it.into()))
        }
        ResourceType::Secret => {
            let name = |it: &pb::tls::Secret| it.name.clone();
            decode(bytes, name, secret::secret).map(|it| Resource::Secret(it.into()))
        }
        ResourceType::NameTable => {
            let name = |_: &istio::NameTable| String::new();
            decode(bytes, name, name_table::name_table)
                .map(|it| Resource::NameTable(it.into()))
                .map_err(|error| DecodeError { name: None, ..error })
        }
    }
}

fn decode<M: Message + Default, T>(
    bytes: &[u8],
    name: impl Fn(&M) -> String,
    read: impl Fn(At<'_>, M) -> T,
) -> Result<T, DecodeError> {
    if bytes.len() > MAX_BYTES {
        return Err(unreadable(format!("{} bytes are more than the {MAX_BYTES} allowed", bytes.len())));
    }
    let message = M::decode(bytes).map_err(|error| DecodeError {
        name: name_of(bytes),
        ..unreadable(format!("cannot be read: {error}"))
    })?;
    let name = name(&message);
    let sink = Sink::default();
    let value = read(At::root(&sink), message);
    let problems = sink.problems();
    if problems.is_empty() {
        return Ok(value);
    }
    Err(DecodeError { name: (!name.is_empty()).then(|| name.into()), problems })
}

/// The first field of all types that have a name.
#[derive(Clone, PartialEq, Message)]
struct Named {
    #[prost(string, tag = "1")]
    name: String,
}

/// The name of a packed resource, without decoding the rest of it. `None` where it cannot be told.
pub fn any_name(any: &Any) -> Option<Str> {
    // Istio's name tables have none.
    let ty = ResourceType::by_type_url(&any.type_url)?;
    if ty == ResourceType::NameTable { None } else { name_of(&any.value) }
}

/// Tries to name a message that cannot be read as a whole.
fn name_of(bytes: &[u8]) -> Option<Str> {
    let mut named = Named::default();
    // What was read before the error stays.
    let _ = named.merge(bytes);
    (!named.name.is_empty()).then(|| named.name.into())
}

fn unreadable(message: String) -> DecodeError {
    DecodeError { name: None, problems: vec![Problem { path: Str::default(), message: message.into() }] }
}
