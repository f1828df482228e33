//! `typed_per_filter_config`: what a level says about filters.

use std::collections::HashMap;

use ir::FilterOverrides;

use super::at::At;
use super::{
    buffer, compressor, cors, dns_cache, ext_authz, fault, header_mutation, jwt, rate_limit, rbac, wire,
};
use crate::pb::{self, buffer::BufferPerRoute, compressor::CompressorPerRoute};
use crate::pb::{http_rbac::RbacPerRoute, route::FilterConfig};
use crate::{Any, names};

/// Filters are known by their own names, which the decoder of chains demands.
pub(super) fn overrides(at: At<'_>, all: HashMap<String, Any>) -> FilterOverrides {
    let mut found = FilterOverrides::default();
    for (name, any) in all {
        let at = at.key("typed_per_filter_config", &name);
        if wire::is::<FilterConfig>(&any) {
            wrapped(at, &mut found, &name, wire::unpack(at, &any));
        } else {
            one(at, &mut found, &name, &any);
        }
    }
    found
}

/// A filter that is off, or has a configuration.
fn wrapped(at: At<'_>, found: &mut FilterOverrides, name: &str, it: FilterConfig) {
    let FilterConfig { config, is_optional, disabled } = it;
    if [names::ISTIO_STATS, names::PEER_METADATA, names::ROUTER].contains(&name) {
        return at.refuse("cannot be switched by routes");
    }
    match config {
        // What is off needs no configuration.
        _ if disabled => drop(found.off.insert(name.into())),
        None => at.field("config").refuse("is required, where the filter is not disabled"),
        Some(any) if is_optional && !is_known(name) && !wire::is::<CompressorPerRoute>(&any) => {
            at.ignored(format!("the optional configuration {} is unknown", wire::type_name(&any)));
        }
        Some(any) => one(at.field("config"), found, name, &any),
    }
}

/// Whether [`one`] knows the filter by its name.
fn is_known(name: &str) -> bool {
    [
        names::FAULT,
        names::CORS,
        names::LOCAL_RATE_LIMIT,
        names::EXT_AUTHZ,
        names::JWT_AUTHN,
        names::HEADER_MUTATION,
        names::BUFFER,
        names::HTTP_RBAC,
        names::FORWARD_PROXY,
    ]
    .contains(&name)
}

fn one(at: At<'_>, found: &mut FilterOverrides, name: &str, any: &Any) {
    match name {
        names::FAULT => found.fault = read(at, any, fault::fault).map(Box::new),
        names::CORS => {
            found.cors = read(at, any, |at, it: pb::cors::CorsPolicy| cors::policy(at, it)).map(Box::new);
        }
        names::LOCAL_RATE_LIMIT => found.local_rate_limit = read(at, any, rate_limit::local).map(Box::new),
        names::EXT_AUTHZ => found.ext_authz = read(at, any, ext_authz::per_route).map(Box::new),
        names::JWT_AUTHN => found.jwt = read(at, any, jwt::per_route).map(Box::new),
        names::HEADER_MUTATION => {
            found.header_mutation = read(at, any, header_mutation::per_route).map(Box::new);
        }
        names::BUFFER => found.buffer = read(at, any, |at, it: BufferPerRoute| buffer::per_route(at, it)),
        names::HTTP_RBAC => {
            found.rbac = read(at, any, |at, it: RbacPerRoute| rbac::per_route(at, it)).map(Box::new);
        }
        names::FORWARD_PROXY => {
            found.forward_proxy = read(at, any, dns_cache::per_route).flatten().map(Box::new);
        }
        // There may be several, so that each has a name of its own.
        _ if wire::is::<CompressorPerRoute>(any) => {
            let it = compressor::per_route(at, wire::unpack(at, any));
            found.compressors.insert(name.into(), it);
        }
        names::COMPRESSOR => wire::unknown_type(at, any),
        _ => at.refuse("is not supported"),
    }
}

fn read<M: prost::Message + prost::Name + Default, T>(
    at: At<'_>,
    any: &Any,
    of: impl FnOnce(At<'_>, M) -> T,
) -> Option<T> {
    if wire::is::<M>(any) {
        return Some(of(at, wire::unpack(at, any)));
    }
    wire::unknown_type(at, any);
    None
}
