//! Hash policies.

use std::collections::BTreeMap;

use ir::bootstrap::Json;
use ir::hash_policy::{HashBy, HashCookie};
use ir::route::RoutingPriority;
use ir::{HashPolicy, Str};

use super::at::At;
use super::strict::refuse;
use super::{metadata, wire};
use crate::names::LB_METADATA;
use crate::pb::route::route_action::{self as pb, hash_policy::PolicySpecifier};
use crate::pb::{core, envoy_type, google};

pub(super) fn hash_policies(at: &At<'_>, all: Vec<pb::HashPolicy>) -> Vec<HashPolicy> {
    let one = |(index, it)| hash_policy(at.index("hash_policy", index), it);
    all.into_iter().enumerate().filter_map(one).collect()
}

fn hash_policy(at: At<'_>, it: pb::HashPolicy) -> Option<HashPolicy> {
    let pb::HashPolicy { terminal, policy_specifier } = it;
    let by = match policy_specifier {
        Some(PolicySpecifier::Header(it)) => {
            let at = at.field("header");
            let pb::hash_policy::Header { header_name, regex_rewrite } = it;
            refuse!(at; regex_rewrite);
            HashBy::Header(wire::lower(wire::required(at.field("header_name"), header_name).to_string()))
        }
        Some(PolicySpecifier::Cookie(it)) => HashBy::Cookie(cookie(at.field("cookie"), it)),
        Some(PolicySpecifier::ConnectionProperties(it)) if it.source_ip => HashBy::SourceIp,
        // It hashes nothing, in Envoy, too.
        Some(PolicySpecifier::ConnectionProperties(_)) => return None,
        Some(PolicySpecifier::QueryParameter(it)) => {
            HashBy::QueryParameter(wire::required(at.field("query_parameter").field("name"), it.name))
        }
        Some(PolicySpecifier::FilterState(_)) => {
            at.unsupported("filter_state");
            return None;
        }
        None => {
            at.refuse("header, cookie, connection_properties or query_parameter is required");
            return None;
        }
    };
    Some(HashPolicy { by, terminal })
}

fn cookie(at: At<'_>, it: pb::hash_policy::Cookie) -> HashCookie {
    let pb::hash_policy::Cookie { name, ttl, path, attributes } = it;
    let attribute = |it: pb::hash_policy::CookieAttribute| (Str::from(it.name), Str::from(it.value));
    let cookie = HashCookie {
        name: wire::required(at.field("name"), name),
        ttl: wire::optional_duration(at.field("ttl"), ttl),
        path: path.into(),
        attributes: attributes.into_iter().map(attribute).collect(),
    };
    let pairs = cookie.attributes.iter().flat_map(|(name, value)| [name, value]);
    let plain = |text: &Str| text.bytes().all(|b| b.is_ascii_graphic() && b != b';' || b == b' ');
    if !pairs.chain([&cookie.name, &cookie.path]).all(plain) {
        at.refuse("has characters that a cookie cannot have");
    }
    cookie
}

/// Of a TCP proxy: whether the client's address counts.
pub(super) fn of_tcp(at: &At<'_>, all: Vec<envoy_type::HashPolicy>) -> bool {
    let mut source_ip = false;
    for (index, it) in all.into_iter().enumerate() {
        let at = at.index("hash_policy", index);
        match it.policy_specifier {
            Some(envoy_type::hash_policy::PolicySpecifier::SourceIp(_)) => source_ip = true,
            Some(envoy_type::hash_policy::PolicySpecifier::FilterState(_)) => at.unsupported("filter_state"),
            None => at.refuse("source_ip is required"),
        }
    }
    source_ip
}

/// Criteria for endpoints: those of the load balancer, which are all that has an effect.
pub(super) fn criteria(it: Option<core::Metadata>) -> BTreeMap<Str, Json> {
    let fields: Option<google::Struct> = metadata::keys(it).remove(LB_METADATA);
    fields.map(metadata::json_map).unwrap_or_default()
}

pub(super) fn priority(at: At<'_>, it: i32) -> RoutingPriority {
    match wire::enumeration(at, it) {
        core::RoutingPriority::Default => RoutingPriority::Default,
        core::RoutingPriority::High => RoutingPriority::High,
    }
}
