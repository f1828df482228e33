//! What rate limits count requests by.

use ir::rate_limit::{Action, RouteRateLimit};

use super::{matcher, route, wire};
use crate::pb::matcher::AddressMatcher;
use crate::pb::route::rate_limit::action::{self as pb, ActionSpecifier};
use crate::pb::route::{RateLimit, rate_limit};
use crate::pb::{google, xds};

pub(super) fn rate_limits(all: &[RouteRateLimit]) -> Vec<RateLimit> {
    let one = |it: &RouteRateLimit| RateLimit {
        stage: (it.stage != 0).then(|| wire::number(it.stage)),
        actions: it.actions.iter().map(action).collect(),
        hits_addend: (it.hits != 1).then(|| rate_limit::HitsAddend {
            number: Some(google::UInt64Value { value: it.hits }),
            ..Default::default()
        }),
        ..Default::default()
    };
    all.iter().map(one).collect()
}

fn action(it: &Action) -> rate_limit::Action {
    let expected = |expect: bool| (!expect).then_some(google::BoolValue { value: false });
    let specifier = match it {
        Action::SourceCluster => ActionSpecifier::SourceCluster(pb::SourceCluster {}),
        Action::DestinationCluster => ActionSpecifier::DestinationCluster(pb::DestinationCluster {}),
        Action::RemoteAddress => ActionSpecifier::RemoteAddress(pb::RemoteAddress {}),
        Action::MaskedRemoteAddress { v4, v6 } => {
            ActionSpecifier::MaskedRemoteAddress(pb::MaskedRemoteAddress {
                v4_prefix_mask_len: Some(wire::number((*v4).into())),
                v6_prefix_mask_len: Some(wire::number((*v6).into())),
            })
        }
        Action::GenericKey { key, value } => ActionSpecifier::GenericKey(pb::GenericKey {
            descriptor_key: key.to_string(),
            descriptor_value: value.to_string(),
            ..Default::default()
        }),
        Action::RemoteAddressMatch { key, value, ranges, invert } => {
            let range = |it: &ir::Cidr| xds::CidrRange {
                address_prefix: it.address.to_string(),
                prefix_len: Some(wire::number(it.prefix_len.into())),
            };
            ActionSpecifier::RemoteAddressMatch(pb::RemoteAddressMatch {
                descriptor_key: key.to_string(),
                descriptor_value: wire::literal(value),
                address_matcher: Some(AddressMatcher {
                    ranges: ranges.iter().map(range).collect(),
                    invert_match: *invert,
                }),
                ..Default::default()
            })
        }
        Action::RequestHeader { name, key, skip_if_absent } => {
            ActionSpecifier::RequestHeaders(pb::RequestHeaders {
                header_name: name.to_string(),
                descriptor_key: key.to_string(),
                skip_if_absent: *skip_if_absent,
            })
        }
        Action::QueryParameter { name, key, skip_if_absent } => {
            ActionSpecifier::QueryParameters(pb::QueryParameters {
                query_parameter_name: name.to_string(),
                descriptor_key: key.to_string(),
                skip_if_absent: *skip_if_absent,
            })
        }
        Action::HeaderValueMatch { key, value, expect, headers } => {
            ActionSpecifier::HeaderValueMatch(pb::HeaderValueMatch {
                descriptor_key: key.to_string(),
                descriptor_value: value.to_string(),
                expect_match: expected(*expect),
                headers: headers.iter().map(matcher::header).collect(),
                ..Default::default()
            })
        }
        Action::QueryParameterValueMatch { key, value, expect, parameters } => {
            ActionSpecifier::QueryParameterValueMatch(pb::QueryParameterValueMatch {
                descriptor_key: key.to_string(),
                descriptor_value: value.to_string(),
                expect_match: expected(*expect),
                query_parameters: parameters.iter().map(route::query).collect(),
                ..Default::default()
            })
        }
    };
    rate_limit::Action { action_specifier: Some(specifier) }
}
