//! `typed_per_filter_config`.

use std::collections::HashMap;

use ir::FilterOverrides;

use super::{compressor, cors, dns_cache, ext_authz, fault, header_mutation, jwt, rate_limit, rbac, wire};
use crate::pb::route::FilterConfig;
use crate::{Any, names};

pub(super) fn overrides(it: &FilterOverrides) -> HashMap<String, Any> {
    let FilterOverrides {
        fault,
        cors,
        local_rate_limit,
        ext_authz,
        jwt,
        header_mutation,
        buffer,
        compressors,
        rbac,
        forward_proxy,
        off,
    } = it;
    let all = [
        (names::FAULT, fault.as_deref().map(|it| wire::pack(&fault::fault(it)))),
        (names::CORS, cors.as_deref().map(|it| wire::pack(&cors::policy(it)))),
        (names::LOCAL_RATE_LIMIT, local_rate_limit.as_deref().map(|it| wire::pack(&rate_limit::local(it)))),
        (names::EXT_AUTHZ, ext_authz.as_deref().map(|it| wire::pack(&ext_authz::per_route(it)))),
        (names::JWT_AUTHN, jwt.as_deref().map(|it| wire::pack(&jwt::per_route(it)))),
        (
            names::HEADER_MUTATION,
            header_mutation.as_deref().map(|it| wire::pack(&header_mutation::per_route(it))),
        ),
        (names::BUFFER, buffer.as_ref().map(|it| wire::pack(&compressor::buffer_per_route(*it)))),
        (names::HTTP_RBAC, rbac.as_deref().map(|it| wire::pack(&rbac::per_route(it)))),
        (names::FORWARD_PROXY, forward_proxy.as_deref().map(|it| wire::pack(&dns_cache::per_route(it)))),
    ];
    let configured = all.into_iter().filter_map(|(name, any)| Some((name.to_owned(), any?)));
    let compressors =
        compressors.iter().map(|(name, it)| (name.to_string(), wire::pack(&compressor::per_route(*it))));
    let off = off
        .iter()
        .map(|name| (name.to_string(), wire::pack(&FilterConfig { disabled: true, ..Default::default() })));
    configured.chain(compressors).chain(off).collect()
}
