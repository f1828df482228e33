//! JSON web tokens.

use ir::jwt::{Jwks, JwtAuthn, JwtOverride, JwtProvider, JwtRequirement, JwtRule, RemoteJwks};

use super::{ext_authz, matcher, route, wire};
use crate::pb::jwt_authn::jwt_provider::JwksSourceSpecifier;
use crate::pb::jwt_authn::jwt_requirement::RequiresType;
use crate::pb::jwt_authn::per_route_config::RequirementSpecifier;
use crate::pb::jwt_authn::requirement_rule::RequirementType;
use crate::pb::{core, google, jwt_authn as pb};

pub(super) fn filter(it: &JwtAuthn) -> pb::JwtAuthentication {
    pb::JwtAuthentication {
        providers: it.providers.iter().map(|(name, it)| (name.to_string(), provider(it))).collect(),
        rules: it.rules.iter().map(rule).collect(),
        bypass_cors_preflight: it.bypass_cors_preflight,
        requirement_map: it
            .requirements
            .iter()
            .map(|(name, it)| (name.to_string(), requirement(it)))
            .collect(),
        strip_failure_response: it.strip_failure_response,
        stat_prefix: it.stat_prefix.to_string(),
        ..Default::default()
    }
}

fn provider(it: &JwtProvider) -> pb::JwtProvider {
    let header = |it: &ir::jwt::JwtHeader| pb::JwtHeader {
        name: it.name.to_string(),
        value_prefix: it.prefix.to_string(),
    };
    let claim = |it: &ir::jwt::ClaimToHeader| pb::JwtClaimToHeader {
        header_name: it.header.to_string(),
        claim_name: it.claim.to_string(),
        ..Default::default()
    };
    let skew = it.clock_skew.map_or(0, |skew| u32::try_from(skew.as_secs()).unwrap_or(u32::MAX));
    pb::JwtProvider {
        issuer: wire::optional_text(&it.issuer),
        audiences: wire::texts(&it.audiences),
        subjects: it.subjects.as_ref().map(matcher::text),
        require_expiration: it.require_expiration,
        max_lifetime: wire::optional_duration(it.max_lifetime),
        forward: it.forward,
        from_headers: it.from_headers.iter().map(header).collect(),
        from_params: wire::texts(&it.from_params),
        from_cookies: wire::texts(&it.from_cookies),
        forward_payload_header: wire::optional_text(&it.forward_payload_header),
        pad_forward_payload_header: it.pad_forward_payload_header,
        payload_in_metadata: wire::optional_text(&it.payload_in_metadata),
        normalize_payload_in_metadata: (!it.space_delimited_claims.is_empty()).then(|| {
            pb::jwt_provider::NormalizePayload {
                space_delimited_claims: wire::texts(&it.space_delimited_claims),
            }
        }),
        header_in_metadata: wire::optional_text(&it.header_in_metadata),
        clock_skew_seconds: skew,
        claim_to_headers: it.claim_to_headers.iter().map(claim).collect(),
        jwks_source_specifier: Some(jwks(&it.jwks)),
        ..Default::default()
    }
}

fn jwks(it: &Jwks) -> JwksSourceSpecifier {
    match it {
        Jwks::Inline(text) => JwksSourceSpecifier::LocalJwks(core::DataSource {
            specifier: Some(core::data_source::Specifier::InlineString(text.to_string())),
            ..Default::default()
        }),
        Jwks::Remote(RemoteJwks { uri, cluster, timeout, cache_duration }) => {
            JwksSourceSpecifier::RemoteJwks(pb::RemoteJwks {
                http_uri: Some(ext_authz::http_uri(uri, cluster, *timeout)),
                cache_duration: wire::optional_duration(*cache_duration),
                ..Default::default()
            })
        }
    }
}

fn rule(it: &JwtRule) -> pb::RequirementRule {
    pb::RequirementRule {
        r#match: Some(route::route_match(&it.matches)),
        requirement_type: it.requires.as_ref().map(|it| match it {
            JwtRequirement::Named(name) => RequirementType::RequirementName(name.to_string()),
            other => RequirementType::Requires(requirement(other)),
        }),
    }
}

fn requirement(it: &JwtRequirement) -> pb::JwtRequirement {
    let all = |all: &[JwtRequirement]| all.iter().map(requirement).collect();
    let said = match it {
        JwtRequirement::Provider(name) => RequiresType::ProviderName(name.to_string()),
        JwtRequirement::ProviderAndAudiences(name, audiences) => {
            RequiresType::ProviderAndAudiences(pb::ProviderWithAudiences {
                provider_name: name.to_string(),
                audiences: wire::texts(audiences),
            })
        }
        JwtRequirement::Any(any) => {
            RequiresType::RequiresAny(pb::JwtRequirementOrList { requirements: all(any) })
        }
        // As it came: a list of none would be refused.
        JwtRequirement::All(every) if every.is_empty() => return pb::JwtRequirement::default(),
        JwtRequirement::All(every) => {
            RequiresType::RequiresAll(pb::JwtRequirementAndList { requirements: all(every) })
        }
        JwtRequirement::AllowMissing => RequiresType::AllowMissing(google::Empty {}),
        JwtRequirement::AllowMissingOrFailed => RequiresType::AllowMissingOrFailed(google::Empty {}),
        // Inside of another requirement Envoy knows no names: nobody passes.
        JwtRequirement::Named(name) => RequiresType::ProviderName(name.to_string()),
    };
    pb::JwtRequirement { requires_type: Some(said) }
}

pub(super) fn per_route(it: &JwtOverride) -> pb::PerRouteConfig {
    let said = match it {
        JwtOverride::Disabled => RequirementSpecifier::Disabled(true),
        JwtOverride::Requirement(name) => RequirementSpecifier::RequirementName(name.to_string()),
    };
    pb::PerRouteConfig { requirement_specifier: Some(said) }
}
