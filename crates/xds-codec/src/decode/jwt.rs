//! JSON web tokens.

use std::time::Duration;

use ir::jwt::{
    ClaimToHeader, Jwks, JwtAuthn, JwtHeader, JwtOverride, JwtProvider, JwtRequirement, JwtRule, RemoteJwks,
};
use ir::{Str, StringMatcher};

use super::at::At;
use super::strict::{harmless, refuse};
use super::{ext_authz, headers, matcher, route_match, wire};
use crate::pb::core::{self, data_source::Specifier};
use crate::pb::jwt_authn::jwt_provider::JwksSourceSpecifier;
use crate::pb::jwt_authn::jwt_requirement::RequiresType;
use crate::pb::jwt_authn::per_route_config::RequirementSpecifier;
use crate::pb::jwt_authn::requirement_rule::RequirementType;
use crate::pb::{google, jwt_authn as pb, route as pb_route};

pub(super) fn filter(at: At<'_>, it: pb::JwtAuthentication) -> JwtAuthn {
    let pb::JwtAuthentication {
        providers,
        rules,
        filter_state_rules,
        bypass_cors_preflight,
        requirement_map,
        strip_failure_response,
        stat_prefix,
    } = it;
    if filter_state_rules.is_some() {
        at.unsupported("filter_state_rules");
    }
    let named = |(name, it): (String, _)| {
        let provider = provider(at.key("providers", &name), it);
        (Str::from(name), provider)
    };
    let required = |(name, it): (String, _)| {
        let requirement = requirement(at.key("requirement_map", &name), it);
        (Str::from(name), requirement.unwrap_or(JwtRequirement::All(Vec::new())))
    };
    let rule_at = |(index, it)| rule(at.index("rules", index), it);
    let found = JwtAuthn {
        providers: providers.into_iter().map(named).collect(),
        rules: rules.into_iter().enumerate().map(rule_at).collect(),
        requirements: requirement_map.into_iter().map(required).collect(),
        bypass_cors_preflight,
        strip_failure_response,
        stat_prefix: stat_prefix.into(),
    };
    let all = found.rules.iter().filter_map(|rule| rule.requires.as_ref()).chain(found.requirements.values());
    all.for_each(|requirement| known(at, &found, requirement));
    found
}

/// What requirements refer to has to be there: what cannot be verified must not pass.
fn known(at: At<'_>, it: &JwtAuthn, requirement: &JwtRequirement) {
    match requirement {
        JwtRequirement::Provider(name) | JwtRequirement::ProviderAndAudiences(name, _) => {
            if !it.providers.contains_key(name) {
                at.field("providers").refuse(format!("the provider {name:?} is required, but not there"));
            }
        }
        JwtRequirement::Any(all) | JwtRequirement::All(all) => {
            all.iter().for_each(|requirement| known(at, it, requirement));
        }
        JwtRequirement::Named(name) if !it.requirements.contains_key(name) => {
            at.field("requirement_map").refuse(format!("{name:?} is referred to, but not there"));
        }
        JwtRequirement::AllowMissing | JwtRequirement::AllowMissingOrFailed | JwtRequirement::Named(_) => {}
    }
}

fn provider(at: At<'_>, it: pb::JwtProvider) -> JwtProvider {
    let pb::JwtProvider {
        issuer,
        audiences,
        subjects,
        require_expiration,
        max_lifetime,
        forward,
        from_headers,
        from_params,
        from_cookies,
        forward_payload_header,
        pad_forward_payload_header,
        payload_in_metadata,
        normalize_payload_in_metadata,
        header_in_metadata,
        failed_status_in_metadata,
        clock_skew_seconds,
        jwt_cache_config,
        claim_to_headers,
        clear_route_cache,
        jwks_source_specifier,
    } = it;
    refuse!(at; clear_route_cache);
    refuse!(at; failed_status_in_metadata);
    let pb::jwt_provider::NormalizePayload { space_delimited_claims } =
        normalize_payload_in_metadata.unwrap_or_default();
    harmless!(Tuning; jwt_cache_config);
    let header_at = |(index, it)| {
        let pb::JwtHeader { name, value_prefix } = it;
        let name = wire::required(at.index("from_headers", index).field("name"), name.to_ascii_lowercase());
        JwtHeader { name, prefix: value_prefix.into() }
    };
    let claim_at = |(index, it)| claim(at.index("claim_to_headers", index), it);
    JwtProvider {
        issuer: wire::optional_text(issuer),
        audiences: wire::texts(audiences),
        subjects: subjects.map(|it| -> StringMatcher { matcher::text(at.field("subjects"), it) }),
        require_expiration,
        max_lifetime: wire::optional_duration(at.field("max_lifetime"), max_lifetime),
        jwks: jwks(at, jwks_source_specifier),
        forward,
        from_headers: from_headers.into_iter().enumerate().map(header_at).collect(),
        from_params: wire::texts(from_params),
        from_cookies: wire::texts(from_cookies),
        forward_payload_header: (!forward_payload_header.is_empty())
            .then(|| headers::header_name(at.field("forward_payload_header"), forward_payload_header)),
        pad_forward_payload_header,
        payload_in_metadata: wire::optional_text(payload_in_metadata),
        space_delimited_claims: wire::texts(space_delimited_claims),
        header_in_metadata: wire::optional_text(header_in_metadata),
        clock_skew: (clock_skew_seconds != 0).then(|| Duration::from_secs(clock_skew_seconds.into())),
        claim_to_headers: claim_to_headers.into_iter().enumerate().map(claim_at).collect(),
    }
}

fn claim(at: At<'_>, it: pb::JwtClaimToHeader) -> ClaimToHeader {
    let pb::JwtClaimToHeader { header_name, claim_name, claim_path } = it;
    if !claim_path.is_empty() {
        at.unsupported("claim_path");
    }
    ClaimToHeader {
        header: headers::header_name(at.field("header_name"), header_name),
        claim: wire::required(at.field("claim_name"), claim_name),
    }
}

fn jwks(at: At<'_>, it: Option<JwksSourceSpecifier>) -> Jwks {
    match it {
        Some(JwksSourceSpecifier::LocalJwks(it)) => Jwks::Inline(local(at.field("local_jwks"), it)),
        Some(JwksSourceSpecifier::RemoteJwks(it)) => {
            let at = at.field("remote_jwks");
            let pb::RemoteJwks { http_uri, cache_duration, async_fetch, retry_policy } = it;
            // How early they are fetched, and how often it is tried: never while a request can do without.
            harmless!(Tuning; async_fetch, retry_policy);
            let (uri, cluster, timeout) = ext_authz::http_uri(at.field("http_uri"), http_uri);
            let cache_duration = wire::optional_duration(at.field("cache_duration"), cache_duration);
            Jwks::Remote(RemoteJwks { uri, cluster, timeout, cache_duration })
        }
        None => {
            at.refuse("local_jwks or remote_jwks is required");
            Jwks::Inline(Str::default())
        }
    }
}

fn local(at: At<'_>, it: core::DataSource) -> Str {
    let core::DataSource { watched_directory, specifier } = it;
    refuse!(at; watched_directory);
    match specifier {
        Some(Specifier::InlineString(text)) => return text.into(),
        Some(Specifier::InlineBytes(bytes)) => match String::from_utf8(bytes) {
            Ok(text) => return text.into(),
            Err(_) => at.field("inline_bytes").refuse("only text is supported"),
        },
        Some(Specifier::Filename(_)) => at.unsupported("filename"),
        Some(Specifier::EnvironmentVariable(_)) => at.unsupported("environment_variable"),
        None => at.refuse("is empty"),
    }
    Str::default()
}

fn rule(at: At<'_>, it: pb::RequirementRule) -> JwtRule {
    let pb::RequirementRule { r#match: matches, requirement_type } = it;
    let matches = matches.unwrap_or_else(|| {
        at.field("match").refuse("is required");
        Default::default()
    });
    if matches.tls_context.is_some() {
        at.field("match").unsupported("tls_context");
    }
    JwtRule {
        matches: route_match::route_match(
            at.field("match"),
            pb_route::RouteMatch { tls_context: None, ..matches },
        ),
        requires: match requirement_type {
            Some(RequirementType::Requires(it)) => requirement(at.field("requires"), it),
            Some(RequirementType::RequirementName(name)) => {
                Some(JwtRequirement::Named(wire::required(at.field("requirement_name"), name)))
            }
            None => None,
        },
    }
}

/// One without a type requires nothing.
fn requirement(at: At<'_>, it: pb::JwtRequirement) -> Option<JwtRequirement> {
    let several = |name: &str, all: Vec<pb::JwtRequirement>| {
        if all.len() < 2 {
            at.field(name).refuse("needs two requirements or more");
        }
        let at = at.field(name);
        let one = |(index, it)| {
            let at = at.index("requirements", index);
            requirement(at, it).unwrap_or_else(|| {
                at.refuse("says nothing about what is required");
                JwtRequirement::All(Vec::new())
            })
        };
        all.into_iter().enumerate().map(one).collect()
    };
    Some(match it.requires_type? {
        RequiresType::ProviderName(name) => {
            JwtRequirement::Provider(wire::required(at.field("provider_name"), name))
        }
        RequiresType::ProviderAndAudiences(it) => {
            let pb::ProviderWithAudiences { provider_name, audiences } = it;
            let at = at.field("provider_and_audiences");
            let name = wire::required(at.field("provider_name"), provider_name);
            JwtRequirement::ProviderAndAudiences(name, wire::texts(audiences))
        }
        RequiresType::RequiresAny(it) => JwtRequirement::Any(several("requires_any", it.requirements)),
        RequiresType::RequiresAll(it) => JwtRequirement::All(several("requires_all", it.requirements)),
        RequiresType::AllowMissing(google::Empty {}) => JwtRequirement::AllowMissing,
        RequiresType::AllowMissingOrFailed(google::Empty {}) => JwtRequirement::AllowMissingOrFailed,
        RequiresType::ExtractOnlyWithoutValidation(_) => {
            at.unsupported("extract_only_without_validation");
            JwtRequirement::All(Vec::new())
        }
    })
}

pub(super) fn per_route(at: At<'_>, it: pb::PerRouteConfig) -> JwtOverride {
    match it.requirement_specifier {
        Some(RequirementSpecifier::Disabled(true)) => JwtOverride::Disabled,
        Some(RequirementSpecifier::RequirementName(name)) => {
            JwtOverride::Requirement(wire::required(at.field("requirement_name"), name))
        }
        Some(RequirementSpecifier::Disabled(false)) | None => {
            at.refuse("disabled: true or requirement_name is required");
            JwtOverride::Disabled
        }
    }
}
