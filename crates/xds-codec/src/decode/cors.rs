//! Cross-origin resource sharing.

use ir::{CorsPolicy, Fraction};

use super::at::At;
use super::{matcher, wire};
use crate::pb::route::{self, cors_policy::EnabledSpecifier};
use crate::pb::{core, cors};

pub(super) fn policy(at: At<'_>, it: cors::CorsPolicy) -> CorsPolicy {
    let cors::CorsPolicy {
        allow_origin_string_match,
        allow_methods,
        allow_headers,
        expose_headers,
        max_age,
        allow_credentials,
        filter_enabled,
        shadow_enabled,
        allow_private_network_access,
        forward_not_matching_preflights,
    } = it;
    let share = |name, it: Option<core::RuntimeFractionalPercent>, default| {
        it.map_or(default, |it| matcher::runtime_fraction(at.field(name), it))
    };
    CorsPolicy {
        allow_origins: matcher::texts(&at, "allow_origin_string_match", allow_origin_string_match),
        allow_methods: wire::optional_text(allow_methods),
        allow_headers: wire::optional_text(allow_headers),
        expose_headers: wire::optional_text(expose_headers),
        max_age: wire::optional_text(max_age),
        allow_credentials: allow_credentials.map(|it| it.value),
        allow_private_network_access: allow_private_network_access.map(|it| it.value),
        forward_not_matching_preflights: forward_not_matching_preflights.map(|it| it.value),
        enabled: share("filter_enabled", filter_enabled, Fraction::ALL),
        shadow_enabled: share("shadow_enabled", shadow_enabled, Fraction::NONE),
    }
}

/// The older place for the same, in the route itself.
pub(super) fn of_route(at: At<'_>, it: route::CorsPolicy) -> CorsPolicy {
    let route::CorsPolicy {
        allow_origin_string_match,
        allow_methods,
        allow_headers,
        expose_headers,
        max_age,
        allow_credentials,
        shadow_enabled,
        allow_private_network_access,
        forward_not_matching_preflights,
        enabled_specifier,
    } = it;
    let filter_enabled = enabled_specifier.map(|EnabledSpecifier::FilterEnabled(it)| it);
    let same = cors::CorsPolicy {
        allow_origin_string_match,
        allow_methods,
        allow_headers,
        expose_headers,
        max_age,
        allow_credentials,
        filter_enabled,
        shadow_enabled,
        allow_private_network_access,
        forward_not_matching_preflights,
    };
    policy(at, same)
}
