//! Cross-origin resource sharing.

use stdx::Str;

use crate::{Fraction, StringMatcher};

/// `envoy.extensions.filters.http.cors.v3.CorsPolicy`, in effect where the chain has the filter, for
/// routes that forward. What a level leaves out is as the next level has it: weighted cluster, route,
/// virtual host, configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CorsPolicy {
    /// An origin is allowed if one of them matches.
    pub allow_origins: Vec<StringMatcher>,
    /// As the headers of the response to a preflight say it; `None`: left out.
    pub allow_methods: Option<Str>,
    pub allow_headers: Option<Str>,
    pub expose_headers: Option<Str>,
    /// Seconds.
    pub max_age: Option<Str>,
    pub allow_credentials: Option<bool>,
    /// Answer requests for private network access.
    pub allow_private_network_access: Option<bool>,
    /// Preflights of origins that no matcher knows go to the upstream, or are answered here. `None`: true.
    pub forward_not_matching_preflights: Option<bool>,
    /// The share of requests that the policy is for.
    pub enabled: Fraction,
    /// Of the rest, the share that is only counted.
    pub shadow_enabled: Fraction,
}

impl Default for CorsPolicy {
    /// Envoy's defaults.
    fn default() -> Self {
        CorsPolicy {
            allow_origins: Vec::new(),
            allow_methods: None,
            allow_headers: None,
            expose_headers: None,
            max_age: None,
            allow_credentials: None,
            allow_private_network_access: None,
            forward_not_matching_preflights: None,
            enabled: Fraction::ALL,
            shadow_enabled: Fraction::NONE,
        }
    }
}
