//! Hash policies.

use std::collections::BTreeMap;

use ir::bootstrap::Json;
use ir::hash_policy::{HashBy, HashCookie};
use ir::route::RoutingPriority;
use ir::{HashPolicy, Str};

use super::metadata::Builder;
use super::wire;
use crate::names::LB_METADATA;
use crate::pb::route::route_action::hash_policy::{self as nested, PolicySpecifier};
use crate::pb::route::route_action::{self as pb};
use crate::pb::{core, envoy_type};

pub(super) fn hash_policy(it: &HashPolicy) -> pb::HashPolicy {
    let specifier = match &it.by {
        HashBy::Header(name) => {
            PolicySpecifier::Header(nested::Header { header_name: name.to_string(), regex_rewrite: None })
        }
        HashBy::Cookie(it) => PolicySpecifier::Cookie(cookie(it)),
        HashBy::SourceIp => {
            PolicySpecifier::ConnectionProperties(nested::ConnectionProperties { source_ip: true })
        }
        HashBy::QueryParameter(name) => {
            PolicySpecifier::QueryParameter(nested::QueryParameter { name: name.to_string() })
        }
    };
    pb::HashPolicy { terminal: it.terminal, policy_specifier: Some(specifier) }
}

fn cookie(it: &HashCookie) -> nested::Cookie {
    let attribute = |(name, value): &(Str, Str)| nested::CookieAttribute {
        name: name.to_string(),
        value: value.to_string(),
    };
    nested::Cookie {
        name: it.name.to_string(),
        ttl: wire::optional_duration(it.ttl),
        path: it.path.to_string(),
        attributes: it.attributes.iter().map(attribute).collect(),
    }
}

/// Of a TCP proxy.
pub(super) fn source_ip() -> envoy_type::HashPolicy {
    use envoy_type::hash_policy::{PolicySpecifier, SourceIp};
    envoy_type::HashPolicy { policy_specifier: Some(PolicySpecifier::SourceIp(SourceIp {})) }
}

/// Criteria for endpoints.
pub(super) fn criteria(it: &BTreeMap<Str, Json>) -> Option<core::Metadata> {
    Builder::default().key(LB_METADATA, wire::json_struct(it)).build()
}

pub(super) fn priority(it: RoutingPriority) -> core::RoutingPriority {
    match it {
        RoutingPriority::Default => core::RoutingPriority::Default,
        RoutingPriority::High => core::RoutingPriority::High,
    }
}
