//! Filters of every kind.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ir::buffer::BufferOverride;
use ir::compressor::{
    Brotli, BrotliMode, Codec, CompressorLibrary, CompressorOverride, Direction, ResponseOverride,
};
use ir::dns::DnsFamily;
use ir::dns_cache::ForwardProxyOverride;
use ir::ext_authz::{AuthzBody, AuthzService, ExtAuthzOverride, GrpcAuthz, HttpAuthz};
use ir::filter::HealthCheckFilter;
use ir::header_mutation::Mutation;
use ir::jwt::{
    ClaimToHeader, Jwks, JwtHeader, JwtOverride, JwtProvider, JwtRequirement, JwtRule, RemoteJwks,
};
use ir::matcher::HeaderMatch;
use ir::overrides::RbacOverride;
use ir::rate_limit::{Action, RateLimitDescriptor, RouteRateLimit, TokenBucket, VhostRateLimits};
use ir::route::{AppendAction, HeaderValue, RouteMatch};
use ir::*;

use super::sidecar::header;

/// The filters that routes may override, and what else is no part of a sidecar.
pub fn all() -> Vec<HttpFilter> {
    let health = HealthCheckFilter {
        pass_through: true,
        cache_time: Some(Duration::from_secs(1)),
        cluster_min_healthy: BTreeMap::new(),
        headers: vec![header(":path", HeaderMatch::Value(StringMatcher::exact("/healthz")))],
    };
    let direction = Direction {
        enabled: true,
        min_content_length: Some(100),
        content_types: vec![StringMatcher::exact("text/plain")],
    };
    let brotli = Brotli {
        quality: Some(5),
        window_bits: Some(20),
        mode: BrotliMode::Text,
        disable_literal_context_modeling: true,
    };
    let compressor = Compressor {
        library: CompressorLibrary { name: "gzip".into(), codec: Codec::Gzip { level: Some(9) } },
        choose_first: true,
        request: Some(Direction { enabled: false, ..direction.clone() }),
        response: direction,
        plain_stats: false,
        disable_on_etag_header: true,
        weaken_etag: true,
        remove_accept_encoding_header: true,
        uncompressible_status_codes: vec![206],
        status_header: true,
    };
    vec![
        HttpFilter::HealthCheck(Box::new(health)),
        HttpFilter::Fault(Box::default()),
        HttpFilter::Cors,
        HttpFilter::JwtAuthn(Box::new(jwt())),
        HttpFilter::ExtAuthz(Box::new(authz(grpc()))),
        HttpFilter::ExtAuthz(Box::new(authz(http()))),
        HttpFilter::LocalRateLimit(Box::new(rate_limit())),
        HttpFilter::Buffer { max_request_bytes: 1000 },
        HttpFilter::HeaderMutation(Box::new(HeaderMutation { most_specific_wins: true, ..mutation() })),
        HttpFilter::Compressor(Box::new(Compressor {
            library: CompressorLibrary { name: "br".into(), codec: Codec::Brotli(brotli) },
            ..compressor.clone()
        })),
        HttpFilter::Compressor(Box::new(compressor)),
        HttpFilter::DynamicForwardProxy(Box::new(cache())),
    ]
}

/// The cache of a dynamic forward proxy, with all that can be said of it.
pub fn cache() -> DnsCache {
    let dns = Dns {
        refresh_rate: Some(Duration::from_secs(30)),
        failure_refresh: Some((Duration::from_secs(2), Some(Duration::from_secs(9)))),
        family: DnsFamily::V4Only,
        resolvers: vec!["127.0.0.1:15053".parse().unwrap()],
        use_tcp: true,
        ..Dns::default()
    };
    DnsCache {
        name: "names".into(),
        dns,
        min_refresh_rate: Some(Duration::from_secs(3)),
        host_ttl: Some(Duration::from_secs(60)),
        max_hosts: Some(10),
        max_pending_requests: Some(5),
        query_timeout: Some(Duration::from_secs(4)),
        preresolve: vec![("127.0.0.1".into(), 80)],
    }
}

pub fn overrides() -> FilterOverrides {
    // A dump of Envoy hides context_extensions.
    let check = ExtAuthzOverride::Check {
        context_extensions: BTreeMap::new(),
        disable_request_body_buffering: false,
        with_request_body: Some(AuthzBody { max_bytes: 10, allow_partial: true, pack_as_bytes: false }),
    };
    let cors = CorsPolicy {
        allow_origins: vec![StringMatcher::suffix(".example")],
        allow_methods: Some("GET".into()),
        allow_headers: Some("x-a".into()),
        expose_headers: Some("x-b".into()),
        max_age: Some("60".into()),
        allow_credentials: Some(true),
        allow_private_network_access: Some(true),
        forward_not_matching_preflights: Some(false),
        enabled: Fraction { parts_per_million: 500_000 },
        shadow_enabled: Fraction::ALL,
    };
    FilterOverrides {
        fault: None,
        cors: Some(Box::new(cors)),
        local_rate_limit: Some(Box::new(rate_limit())),
        ext_authz: Some(Box::new(check)),
        jwt: Some(Box::new(JwtOverride::Requirement("r".into()))),
        header_mutation: Some(Box::new(mutation())),
        buffer: Some(BufferOverride::Limit(10)),
        compressors: BTreeMap::from([(
            "envoy.filters.http.compressor".into(),
            CompressorOverride::Overrides {
                response: Some(ResponseOverride { remove_accept_encoding_header: Some(true) }),
                codec: Some(Codec::Brotli(Brotli::default())),
            },
        )]),
        rbac: Some(Box::new(RbacOverride::Disabled)),
        forward_proxy: Some(Box::new(ForwardProxyOverride::HostRewrite("a.example:8080".into()))),
        off: BTreeSet::from(["envoy.filters.http.health_check".into()]),
    }
}

fn rate_limit() -> LocalRateLimit {
    let bucket = TokenBucket { max_tokens: 10, tokens_per_fill: 5, fill_interval: Duration::from_millis(50) };
    LocalRateLimit {
        stat_prefix: "limit".into(),
        status: 503,
        bucket: Some(bucket),
        enabled: Fraction::ALL,
        enforced: Fraction::ALL,
        request_headers_when_not_enforced: vec![value("x-too-many")],
        response_headers: vec![value("x-limited")],
        per_connection: false,
        x_ratelimit_headers: true,
        as_resource_exhausted: true,
        descriptors: vec![RateLimitDescriptor {
            entries: vec![("user".into(), "joe".into())],
            bucket: TokenBucket { max_tokens: 1, tokens_per_fill: 1, fill_interval: Duration::from_secs(1) },
            shadow: true,
        }],
        rate_limits: vec![RouteRateLimit {
            stage: 0,
            hits: 3,
            actions: vec![Action::RequestHeader {
                name: "x-user".into(),
                key: "user".into(),
                skip_if_absent: false,
            }],
        }],
        stage: 0,
        vhost_rate_limits: VhostRateLimits::Include,
        always_consume_default: false,
        max_dynamic_descriptors: 30,
        retry_after: true,
    }
}

fn value(name: &str) -> HeaderValue {
    HeaderValue { name: name.into(), value: "1".into(), action: AppendAction::AddIfAbsent }
}

fn mutation() -> HeaderMutation {
    HeaderMutation {
        request: vec![Mutation::Remove("x-r".into()), Mutation::Set(value("x-s"))],
        response: vec![Mutation::Set(value("x-t"))],
        most_specific_wins: false,
    }
}

/// The public key of RFC 7517, appendix A.1: Envoy wants one that is a key.
const JWKS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","kid":"1",
    "x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#;

fn jwt() -> JwtAuthn {
    let provider = |jwks| JwtProvider {
        issuer: Some("https://issuer".into()),
        audiences: vec!["a".into()],
        subjects: Some(StringMatcher::prefix("spiffe://")),
        require_expiration: true,
        max_lifetime: Some(Duration::from_secs(3600)),
        jwks,
        forward: true,
        from_headers: vec![JwtHeader { name: "x-token".into(), prefix: "T ".into() }],
        from_params: vec!["token".into()],
        from_cookies: vec!["token".into()],
        forward_payload_header: Some("x-payload".into()),
        pad_forward_payload_header: true,
        payload_in_metadata: Some("payload".into()),
        space_delimited_claims: vec!["scope".into()],
        header_in_metadata: Some("header".into()),
        clock_skew: Some(Duration::from_secs(5)),
        claim_to_headers: vec![ClaimToHeader { header: "x-sub".into(), claim: "sub".into() }],
    };
    let remote = RemoteJwks {
        uri: "https://issuer/jwks".into(),
        cluster: "a".into(),
        timeout: Duration::from_secs(1),
        cache_duration: Some(Duration::from_secs(60)),
    };
    let required = JwtRequirement::Any(vec![
        JwtRequirement::ProviderAndAudiences("local".into(), vec!["b".into()]),
        JwtRequirement::All(vec![JwtRequirement::Provider("remote".into()), JwtRequirement::AllowMissing]),
    ]);
    let rule = |path: &str, requires| JwtRule { matches: RouteMatch::prefix(path), requires };
    JwtAuthn {
        providers: BTreeMap::from([
            ("local".into(), provider(Jwks::Inline(JWKS.into()))),
            ("remote".into(), provider(Jwks::Remote(remote))),
        ]),
        rules: vec![
            rule("/none", None),
            rule("/named", Some(JwtRequirement::Named("r".into()))),
            rule("/", Some(required)),
        ],
        requirements: BTreeMap::from([("r".into(), JwtRequirement::AllowMissingOrFailed)]),
        bypass_cors_preflight: true,
        strip_failure_response: true,
        stat_prefix: "j".into(),
    }
}

fn grpc() -> AuthzService {
    AuthzService::Grpc(GrpcAuthz {
        cluster: "a".into(),
        authority: Some("authz".into()),
        timeout: Some(Duration::from_secs(1)),
        // A dump hides what is said to be secret.
        metadata: Vec::new(),
    })
}

fn http() -> AuthzService {
    let some = || vec![StringMatcher::prefix("x-")];
    AuthzService::Http(HttpAuthz {
        uri: "http://authz:80".into(),
        cluster: "a".into(),
        timeout: Duration::from_secs(1),
        path_prefix: "/check".into(),
        path_override: None,
        headers_to_add: vec![("x-a".into(), "b".into())],
        allowed_upstream_headers: some(),
        allowed_upstream_headers_to_append: some(),
        allowed_client_headers: some(),
        allowed_client_headers_on_success: some(),
        metadata_from_headers: some(),
    })
}

fn authz(service: AuthzService) -> ExtAuthz {
    ExtAuthz {
        service,
        failure_mode_allow: true,
        failure_mode_allow_header_add: true,
        with_request_body: Some(AuthzBody { max_bytes: 100, allow_partial: true, pack_as_bytes: true }),
        status_on_error: 500,
        enabled: Fraction { parts_per_million: 1 },
        include_peer_certificate: true,
        allowed_headers: vec![StringMatcher::exact("x-a")],
        disallowed_headers: vec![StringMatcher::exact("x-b")],
        stat_prefix: "authz".into(),
    }
}
