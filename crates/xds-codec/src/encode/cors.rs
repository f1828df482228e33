//! Cross-origin resource sharing.

use ir::{CorsPolicy, Fraction};

use super::{matcher, wire};
use crate::pb::cors;

pub(super) fn policy(it: &CorsPolicy) -> cors::CorsPolicy {
    let share = |it: Fraction, default| (it != default).then(|| matcher::runtime_fraction(it));
    cors::CorsPolicy {
        allow_origin_string_match: matcher::texts(&it.allow_origins),
        allow_methods: wire::optional_text(&it.allow_methods),
        allow_headers: wire::optional_text(&it.allow_headers),
        expose_headers: wire::optional_text(&it.expose_headers),
        max_age: wire::optional_text(&it.max_age),
        allow_credentials: it.allow_credentials.and_then(wire::boolean),
        filter_enabled: share(it.enabled, Fraction::ALL),
        shadow_enabled: share(it.shadow_enabled, Fraction::NONE),
        allow_private_network_access: it.allow_private_network_access.and_then(wire::boolean),
        forward_not_matching_preflights: it.forward_not_matching_preflights.and_then(wire::boolean),
    }
}
