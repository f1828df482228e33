//! What rate limits count requests by.

use ir::Str;
use ir::rate_limit::{Action, RouteRateLimit};

use super::at::At;
use super::strict::{harmless, refuse};
use super::{address, headers, matcher, route_match, wire};
use crate::pb::matcher::AddressMatcher;
use crate::pb::route::rate_limit::action::{self as pb, ActionSpecifier};
use crate::pb::route::{RateLimit, rate_limit};
use crate::pb::{core, google, xds};

/// Envoy's bound.
const MAX_HITS: u64 = 1_000_000_000;

/// Of a filter.
pub(super) fn rate_limits(at: At<'_>, all: Vec<RateLimit>) -> Vec<RouteRateLimit> {
    wire::exact(all.into_iter().enumerate().map(|(index, it)| rate_limit(at.index("rate_limits", index), it)))
}

/// Of a route or virtual host, where Envoy takes one hit, whatever is said.
pub(super) fn of_routes(at: At<'_>, all: Vec<RateLimit>) -> Vec<RouteRateLimit> {
    for (index, _) in all.iter().enumerate().filter(|(_, it)| it.hits_addend.is_some()) {
        at.index("rate_limits", index).unsupported("hits_addend");
    }
    rate_limits(at, all)
}

fn rate_limit(at: At<'_>, it: RateLimit) -> RouteRateLimit {
    let RateLimit {
        stage,
        disable_key,
        actions,
        limit,
        hits_addend,
        apply_on_stream_done,
        x_ratelimit_option,
    } = it;
    refuse!(at; limit, apply_on_stream_done, x_ratelimit_option);
    harmless!(Runtime; disable_key);
    if actions.is_empty() {
        at.field("actions").refuse("must not be empty");
    }
    let action_at = |(index, it)| action(at.index("actions", index), it);
    RouteRateLimit {
        stage: self::stage(at, wire::optional_number(stage).unwrap_or(0)),
        hits: hits_addend.map_or(1, |it| hits(at.field("hits_addend"), it)),
        actions: actions.into_iter().enumerate().filter_map(action_at).collect(),
    }
}

fn hits(at: At<'_>, it: rate_limit::HitsAddend) -> u64 {
    let rate_limit::HitsAddend { number, format, is_negative_hits } = it;
    refuse!(at; format, is_negative_hits);
    let hits = number.map_or(1, |it| it.value);
    if hits > MAX_HITS {
        at.field("number").refuse(format!("{hits} is more than {MAX_HITS}"));
    }
    hits
}

/// Envoy has eleven of them.
pub(super) fn stage(at: At<'_>, stage: u32) -> u32 {
    if stage > 10 {
        at.field("stage").refuse(format!("{stage} is not from 0 to 10"));
    }
    stage
}

fn action(at: At<'_>, it: rate_limit::Action) -> Option<Action> {
    let unsupported = |name: &str| {
        at.unsupported(name);
        None
    };
    Some(match it.action_specifier {
        Some(ActionSpecifier::SourceCluster(pb::SourceCluster {})) => Action::SourceCluster,
        Some(ActionSpecifier::DestinationCluster(pb::DestinationCluster {})) => Action::DestinationCluster,
        Some(ActionSpecifier::RemoteAddress(pb::RemoteAddress {})) => Action::RemoteAddress,
        Some(ActionSpecifier::MaskedRemoteAddress(it)) => masked(at.field("masked_remote_address"), it),
        Some(ActionSpecifier::GenericKey(it)) => generic(at.field("generic_key"), it),
        Some(ActionSpecifier::RequestHeaders(it)) => {
            let at = at.field("request_headers");
            let pb::RequestHeaders { header_name, descriptor_key, skip_if_absent } = it;
            Action::RequestHeader {
                name: headers::read_name(at.field("header_name"), header_name),
                key: wire::required(at.field("descriptor_key"), descriptor_key),
                skip_if_absent,
            }
        }
        Some(ActionSpecifier::QueryParameters(it)) => {
            let at = at.field("query_parameters");
            let pb::QueryParameters { query_parameter_name, descriptor_key, skip_if_absent } = it;
            Action::QueryParameter {
                name: wire::required(at.field("query_parameter_name"), query_parameter_name),
                key: wire::required(at.field("descriptor_key"), descriptor_key),
                skip_if_absent,
            }
        }
        Some(ActionSpecifier::HeaderValueMatch(it)) => header_match(at.field("header_value_match"), it),
        Some(ActionSpecifier::QueryParameterValueMatch(it)) => {
            query_match(at.field("query_parameter_value_match"), it)
        }
        Some(ActionSpecifier::DynamicMetadata(_)) => return unsupported("dynamic_metadata"),
        Some(ActionSpecifier::Metadata(_)) => return unsupported("metadata"),
        Some(ActionSpecifier::Extension(_)) => return unsupported("extension"),
        Some(ActionSpecifier::RemoteAddressMatch(it)) => remote_match(at.field("remote_address_match"), it),
        None => {
            at.refuse("names no action");
            return None;
        }
    })
}

fn masked(at: At<'_>, it: pb::MaskedRemoteAddress) -> Action {
    let pb::MaskedRemoteAddress { v4_prefix_mask_len, v6_prefix_mask_len } = it;
    let bits = |name, it: Option<google::UInt32Value>, max: u8| match it.map(|it| u8::try_from(it.value)) {
        None => max,
        Some(Ok(bits)) if bits <= max => bits,
        Some(_) => {
            at.field(name).refuse(format!("is not from 0 to {max}"));
            max
        }
    };
    Action::MaskedRemoteAddress {
        v4: bits("v4_prefix_mask_len", v4_prefix_mask_len, 32),
        v6: bits("v6_prefix_mask_len", v6_prefix_mask_len, 128),
    }
}

fn remote_match(at: At<'_>, it: pb::RemoteAddressMatch) -> Action {
    let pb::RemoteAddressMatch { descriptor_value, descriptor_key, default_value, address_matcher } = it;
    // What stands in for a value that comes to nothing: it is a text that is not empty.
    harmless!(NoSuchMechanism; default_value);
    let value_at = at.field("descriptor_value");
    let value = wire::required(value_at, wire::literal(value_at, descriptor_value).to_string());
    let at = at.field("address_matcher");
    let AddressMatcher { ranges, invert_match } = address_matcher.unwrap_or_default();
    if ranges.is_empty() {
        at.field("ranges").refuse("must not be empty");
    }
    let range = |(index, it): (usize, xds::CidrRange)| {
        let xds::CidrRange { address_prefix, prefix_len } = it;
        address::cidr(at.index("ranges", index), core::CidrRange { address_prefix, prefix_len })
    };
    Action::RemoteAddressMatch {
        key: key(descriptor_key, "remote_address_match"),
        value,
        ranges: ranges.into_iter().enumerate().map(range).collect(),
        invert: invert_match,
    }
}

fn generic(at: At<'_>, it: pb::GenericKey) -> Action {
    let pb::GenericKey { descriptor_value, default_value, descriptor_key } = it;
    harmless!(Runtime; default_value);
    Action::GenericKey { key: key(descriptor_key, "generic_key"), value: value(at, descriptor_value) }
}

fn header_match(at: At<'_>, it: pb::HeaderValueMatch) -> Action {
    let pb::HeaderValueMatch { descriptor_value, default_value, descriptor_key, expect_match, headers } = it;
    harmless!(Runtime; default_value);
    if headers.is_empty() {
        at.field("headers").refuse("must not be empty");
    }
    Action::HeaderValueMatch {
        key: key(descriptor_key, "header_match"),
        value: value(at, descriptor_value),
        expect: wire::flag(expect_match, true),
        headers: matcher::headers(&at, "headers", headers),
    }
}

fn query_match(at: At<'_>, it: pb::QueryParameterValueMatch) -> Action {
    let pb::QueryParameterValueMatch {
        descriptor_value,
        default_value,
        descriptor_key,
        expect_match,
        query_parameters,
    } = it;
    harmless!(Runtime; default_value);
    if query_parameters.is_empty() {
        at.field("query_parameters").refuse("must not be empty");
    }
    let query_at = |(index, it)| route_match::query(at.index("query_parameters", index), it);
    Action::QueryParameterValueMatch {
        key: key(descriptor_key, "query_match"),
        value: value(at, descriptor_value),
        expect: wire::flag(expect_match, true),
        parameters: query_parameters.into_iter().enumerate().map(query_at).collect(),
    }
}

fn key(key: String, default: &str) -> Str {
    if key.is_empty() { default.into() } else { key.into() }
}

/// As it is: Envoy reads a format, and what stands in for its value, where its runtime says so.
fn value(at: At<'_>, value: String) -> Str {
    wire::required(at.field("descriptor_value"), value)
}
