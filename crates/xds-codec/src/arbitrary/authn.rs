//! Filters that ask who somebody is, and whether he may.

use std::time::Duration;

use ir::ext_authz::{AuthzBody, AuthzService, ExtAuthzOverride, GrpcAuthz, HttpAuthz};
use ir::jwt::{
    ClaimToHeader, Jwks, JwtAuthn, JwtHeader, JwtOverride, JwtProvider, JwtRequirement, JwtRule, RemoteJwks,
};
use ir::{ExtAuthz, Str};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

use super::route::route_match;
use super::{matcher, text};

pub(super) fn ext_authz_override() -> BoxedStrategy<ExtAuthzOverride> {
    let check = (btree_map(text::name(), text::any_text(), 0..2), any::<bool>(), option::of(body()))
        .prop_map(|(context_extensions, disable_request_body_buffering, with_request_body)| {
            ExtAuthzOverride::Check { context_extensions, disable_request_body_buffering, with_request_body }
        });
    prop_oneof![Just(ExtAuthzOverride::Disabled), check].boxed()
}

pub(super) fn jwt_override() -> BoxedStrategy<JwtOverride> {
    prop_oneof![Just(JwtOverride::Disabled), text::name().prop_map(JwtOverride::Requirement)].boxed()
}

fn body() -> impl Strategy<Value = AuthzBody> {
    (1u32.., any::<bool>(), any::<bool>()).prop_map(|(max_bytes, allow_partial, pack_as_bytes)| AuthzBody {
        max_bytes,
        allow_partial,
        pack_as_bytes,
    })
}

pub(super) fn ext_authz() -> BoxedStrategy<ExtAuthz> {
    let pairs = || vec((text::header(), text::any_text()), 0..2);
    let list = || vec(matcher::string(), 0..2);
    let grpc = (text::name(), option::of(text::name()), option::of(text::duration()), pairs()).prop_map(
        |(cluster, authority, timeout, metadata)| {
            AuthzService::Grpc(GrpcAuthz { cluster, authority, timeout, metadata })
        },
    );
    let target = (text::name(), text::name(), text::duration());
    let path = (text::maybe_empty(), option::of(text::path()));
    let http = (target, path, pairs(), list(), list(), list(), list(), list()).prop_map(
        |((uri, cluster, timeout), (path_prefix, path_override), headers_to_add, a, b, c, d, e)| {
            AuthzService::Http(HttpAuthz {
                uri,
                cluster,
                timeout,
                path_prefix,
                path_override,
                headers_to_add,
                allowed_upstream_headers: a,
                allowed_upstream_headers_to_append: b,
                allowed_client_headers: c,
                allowed_client_headers_on_success: d,
                metadata_from_headers: e,
            })
        },
    );
    let rest = (option::of(body()), 200u16..600, matcher::fraction(), text::maybe_empty());
    (prop_oneof![grpc, http], any::<(bool, bool, bool)>(), rest, list(), list())
        .prop_map(|(service, flags, rest, allowed_headers, disallowed_headers)| ExtAuthz {
            service,
            failure_mode_allow: flags.0,
            failure_mode_allow_header_add: flags.1,
            with_request_body: rest.0,
            status_on_error: rest.1,
            enabled: rest.2,
            include_peer_certificate: flags.2,
            allowed_headers,
            disallowed_headers,
            stat_prefix: rest.3,
        })
        .boxed()
}

/// Requirements name the providers `a` and `b`, and the requirement `r`.
pub(super) fn jwt() -> BoxedStrategy<JwtAuthn> {
    let named = prop_oneof![Just(JwtRequirement::Named("r".into())), requirement()];
    let rule =
        (route_match(), option::of(named)).prop_map(|(matches, requires)| JwtRule { matches, requires });
    let flags = any::<(bool, bool)>();
    (provider(), provider(), vec(rule, 0..2), requirement(), flags, text::maybe_empty())
        .prop_map(|(a, b, rules, required, flags, stat_prefix)| JwtAuthn {
            providers: [("a".into(), a), ("b".into(), b)].into(),
            rules,
            requirements: [("r".into(), required)].into(),
            bypass_cors_preflight: flags.0,
            strip_failure_response: flags.1,
            stat_prefix,
        })
        .boxed()
}

fn requirement() -> BoxedStrategy<JwtRequirement> {
    let provider = || prop::sample::select(vec![Str::from("a"), Str::from("b")]);
    let leaf = prop_oneof![
        provider().prop_map(JwtRequirement::Provider),
        (provider(), vec(text::name(), 0..2))
            .prop_map(|(name, audiences)| JwtRequirement::ProviderAndAudiences(name, audiences)),
        Just(JwtRequirement::AllowMissing),
        Just(JwtRequirement::AllowMissingOrFailed),
    ];
    leaf.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 2..4).prop_map(JwtRequirement::Any),
            vec(inner, 2..4).prop_map(JwtRequirement::All),
        ]
    })
    .boxed()
}

fn provider() -> BoxedStrategy<JwtProvider> {
    let remote = (text::name(), text::name(), text::duration(), option::of(text::duration()));
    let remote = remote.prop_map(|(uri, cluster, timeout, cache_duration)| {
        Jwks::Remote(RemoteJwks { uri, cluster, timeout, cache_duration })
    });
    let jwks = prop_oneof![text::any_text().prop_map(Jwks::Inline), remote];
    let header = (text::header(), text::maybe_empty()).prop_map(|(name, prefix)| JwtHeader { name, prefix });
    let claim = (text::header(), text::name()).prop_map(|(header, claim)| ClaimToHeader { header, claim });
    let wanted = (option::of(text::name()), vec(text::name(), 0..2), option::of(matcher::string()));
    let times = (option::of(text::duration()), option::of((1u64..9999).prop_map(Duration::from_secs)));
    let places = (vec(header, 0..2), vec(text::name(), 0..2), vec(text::name(), 0..2));
    let metadata = (option::of(text::name()), vec(text::name(), 0..2), option::of(text::name()));
    let told = (option::of(text::header()), metadata, vec(claim, 0..2));
    (wanted, times, jwks, places, told, any::<(bool, bool, bool)>())
        .prop_map(|(wanted, times, jwks, places, told, flags)| JwtProvider {
            issuer: wanted.0,
            audiences: wanted.1,
            subjects: wanted.2,
            require_expiration: flags.0,
            max_lifetime: times.0,
            jwks,
            forward: flags.1,
            from_headers: places.0,
            from_params: places.1,
            from_cookies: places.2,
            forward_payload_header: told.0,
            pad_forward_payload_header: flags.2,
            payload_in_metadata: told.1.0,
            space_delimited_claims: told.1.1,
            header_in_metadata: told.1.2,
            clock_skew: times.1,
            claim_to_headers: told.2,
        })
        .boxed()
}
