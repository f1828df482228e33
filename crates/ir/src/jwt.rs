//! JSON web tokens.

use std::collections::BTreeMap;
use std::time::Duration;

use stdx::Str;

use crate::StringMatcher;
use crate::route::RouteMatch;

/// `envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct JwtAuthn {
    pub providers: BTreeMap<Str, JwtProvider>,
    /// The first that matches says what is required; without one nothing is.
    pub rules: Vec<JwtRule>,
    /// For rules and routes, by name.
    pub requirements: BTreeMap<Str, JwtRequirement>,
    /// Preflights of CORS have no token.
    pub bypass_cors_preflight: bool,
    pub strip_failure_response: bool,
    pub stat_prefix: Str,
}

/// Where tokens of an issuer are, and how they are verified.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct JwtProvider {
    /// `iss`; `None`: any.
    pub issuer: Option<Str>,
    /// One of them has to be in `aud`; empty: any.
    pub audiences: Vec<Str>,
    /// `sub`.
    pub subjects: Option<StringMatcher>,
    pub require_expiration: bool,
    /// Of `exp` from now at most.
    pub max_lifetime: Option<Duration>,
    pub jwks: Jwks,
    /// The token goes on to the upstream.
    pub forward: bool,
    /// With none of the three: `Authorization: Bearer` and the query's `access_token`.
    pub from_headers: Vec<JwtHeader>,
    pub from_params: Vec<Str>,
    pub from_cookies: Vec<Str>,
    /// The payload goes on in this header, as base64url.
    pub forward_payload_header: Option<Str>,
    pub pad_forward_payload_header: bool,
    /// Key of the payload in dynamic metadata.
    pub payload_in_metadata: Option<Str>,
    /// Of the payload in metadata, claims whose text becomes a list of its words.
    pub space_delimited_claims: Vec<Str>,
    /// Key of the token's header in dynamic metadata.
    pub header_in_metadata: Option<Str>,
    /// `None` is Envoy's 60 s.
    pub clock_skew: Option<Duration>,
    pub claim_to_headers: Vec<ClaimToHeader>,
}

/// `name: prefix token`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JwtHeader {
    /// Lower case.
    pub name: Str,
    pub prefix: Str,
}

/// A claim (`a.b` for one inside of another) that becomes a header of the request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClaimToHeader {
    pub header: Str,
    pub claim: Str,
}

/// Where the keys are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Jwks {
    Inline(Str),
    Remote(RemoteJwks),
}

/// `envoy.extensions.filters.http.jwt_authn.v3.RemoteJwks`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RemoteJwks {
    pub uri: Str,
    pub cluster: Str,
    pub timeout: Duration,
    /// `None` is Envoy's 10 min.
    pub cache_duration: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct JwtRule {
    pub matches: RouteMatch,
    /// `None`: no token is needed, and none is looked at.
    pub requires: Option<JwtRequirement>,
}

/// `envoy.extensions.filters.http.jwt_authn.v3.JwtRequirement`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum JwtRequirement {
    Provider(Str),
    /// With these audiences in place of the provider's.
    ProviderAndAudiences(Str, Vec<Str>),
    Any(Vec<JwtRequirement>),
    All(Vec<JwtRequirement>),
    /// A token that is there has to be good.
    AllowMissing,
    AllowMissingOrFailed,
    /// One of [`JwtAuthn::requirements`].
    Named(Str),
}

/// `envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum JwtOverride {
    Disabled,
    /// One of [`JwtAuthn::requirements`].
    Requirement(Str),
}
