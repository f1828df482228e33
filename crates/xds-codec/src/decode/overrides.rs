//! `typed_per_filter_config`: what a level says about filters.

use std::collections::HashMap;

use ir::FilterOverrides;

use super::at::At;
use super::{buffer, compressor, cors, ext_authz, fault, header_mutation, jwt, rate_limit, wire};
use crate::pb::{self, buffer::BufferPerRoute, compressor::CompressorPerRoute};
use crate::{Any, names};

/// Filters are known by their own names, which the decoder of chains demands.
pub(super) fn overrides(at: At<'_>, all: HashMap<String, Any>) -> FilterOverrides {
    let mut found = FilterOverrides::default();
    for (name, any) in all {
        let at = at.key("typed_per_filter_config", &name);
        match name.as_str() {
            names::FAULT => found.fault = read(at, &any, fault::fault).map(Box::new),
            names::CORS => {
                found.cors =
                    read(at, &any, |at, it: pb::cors::CorsPolicy| cors::policy(at, it)).map(Box::new);
            }
            names::LOCAL_RATE_LIMIT => {
                found.local_rate_limit = read(at, &any, rate_limit::local).map(Box::new);
            }
            names::EXT_AUTHZ => found.ext_authz = read(at, &any, ext_authz::per_route).map(Box::new),
            names::JWT_AUTHN => found.jwt = read(at, &any, jwt::per_route).map(Box::new),
            names::HEADER_MUTATION => {
                found.header_mutation = read(at, &any, header_mutation::per_route).map(Box::new);
            }
            names::BUFFER => {
                found.buffer = read(at, &any, |at, it: BufferPerRoute| buffer::per_route(at, it));
            }
            names::COMPRESSOR => {
                found.compressor = read(at, &any, |at, it: CompressorPerRoute| compressor::per_route(at, it));
            }
            _ => at.refuse("is not supported"),
        }
    }
    found
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
