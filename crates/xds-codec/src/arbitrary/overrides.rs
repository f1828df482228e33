//! Filters, and what routes say about them.

use std::time::Duration;

use ir::buffer::BufferOverride;
use ir::compressor::{
    Brotli, BrotliMode, Codec, CompressorLibrary, CompressorOverride, Direction, ResponseOverride,
};
use ir::fault::{AbortStatus, FaultAbort, FaultDelay, FaultRateLimit};
use ir::filter::HealthCheckFilter;
use ir::header_mutation::Mutation;
use ir::overrides::RbacOverride;
use ir::rate_limit::{Action, RateLimitDescriptor, RouteRateLimit, TokenBucket, VhostRateLimits};
use ir::{
    Compressor, CorsPolicy, Fault, FilterOverrides, HeaderMutation, LocalRateLimit, Str, StringMatcher,
};
use std::ops::Range;

use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;

use super::route::header_value;
use super::{authn, dns_cache, matcher, text};

pub(super) fn overrides() -> BoxedStrategy<FilterOverrides> {
    let buffer = prop_oneof![Just(BufferOverride::Disabled), (1u32..).prop_map(BufferOverride::Limit)];
    let compressor = prop_oneof![
        Just(CompressorOverride::Disabled),
        (option::of(option::of(any::<bool>())), option::of(codec())).prop_map(|(response, codec)| {
            let response = response
                .map(|remove_accept_encoding_header| ResponseOverride { remove_accept_encoding_header });
            CompressorOverride::Overrides { response, codec }
        }),
    ];
    let name = prop_oneof![Just(Str::from("envoy.filters.http.compressor")), "c[0-9]".prop_map(Str::from)];
    let compressors = btree_map(name, compressor, 0..3);
    let first = (option::of(fault()), option::of(cors()), option::of(rate_limit()), option::of(mutations()));
    let rbac = prop_oneof![
        Just(RbacOverride::Disabled),
        super::listener::rbac_filter().prop_map(RbacOverride::Rules)
    ];
    let off = btree_set("x\\.[a-z]{1,5}".prop_map(ir::Str::from), 0..2);
    let second = (
        option::of(authn::ext_authz_override()),
        option::of(authn::jwt_override()),
        option::of(rbac),
        option::of(dns_cache::per_route()),
        off,
    );
    let some = (first, second, option::of(buffer), compressors).prop_map(
        |((fault, cors, limit, mutation), (authz, jwt, rbac, host, off), buffer, compressors)| {
            FilterOverrides {
                fault: fault.map(Box::new),
                cors: cors.map(Box::new),
                local_rate_limit: limit.map(Box::new),
                ext_authz: authz.map(Box::new),
                jwt: jwt.map(Box::new),
                header_mutation: mutation.map(Box::new),
                buffer,
                compressors,
                rbac: rbac.map(Box::new),
                forward_proxy: host.map(Box::new),
                off,
            }
        },
    );
    prop_oneof![3 => Just(FilterOverrides::default()), 1 => some].boxed()
}

pub(super) fn fault() -> BoxedStrategy<Fault> {
    let delay = (option::of(text::duration()), matcher::fraction())
        .prop_map(|(fixed, fraction)| FaultDelay { fixed, fraction });
    let status = prop_oneof![
        (200u16..600).prop_map(AbortStatus::Http),
        (0u32..17).prop_map(AbortStatus::Grpc),
        Just(AbortStatus::Header),
    ];
    let abort = (status, matcher::fraction()).prop_map(|(status, fraction)| FaultAbort { status, fraction });
    let limit = (option::of(1u64..), matcher::fraction())
        .prop_map(|(fixed_kbps, fraction)| FaultRateLimit { fixed_kbps, fraction });
    let whom = (option::of(text::name()), vec(matcher::header(), 0..2), vec(text::name(), 0..2));
    (option::of(delay), option::of(abort), option::of(limit), whom, option::of(any::<u32>()))
        .prop_map(|(delay, abort, rate_limit, whom, max_active)| Fault {
            delay,
            abort,
            rate_limit,
            upstream_cluster: whom.0,
            headers: whom.1,
            downstream_nodes: whom.2,
            max_active,
        })
        .boxed()
}

fn cors() -> BoxedStrategy<CorsPolicy> {
    let name = || option::of(text::name());
    let texts = (name(), name(), name(), name());
    let shares = (matcher::fraction(), matcher::fraction());
    let flag = || option::of(any::<bool>());
    (vec(matcher::string(), 0..2), texts, (flag(), flag(), flag()), shares)
        .prop_map(|(allow_origins, texts, flags, shares)| CorsPolicy {
            allow_origins,
            allow_methods: texts.0,
            allow_headers: texts.1,
            expose_headers: texts.2,
            max_age: texts.3,
            allow_credentials: flags.0,
            allow_private_network_access: flags.1,
            forward_not_matching_preflights: flags.2,
            enabled: shares.0,
            shadow_enabled: shares.1,
        })
        .boxed()
}

pub(super) fn rate_limit() -> BoxedStrategy<LocalRateLimit> {
    let bucket = (1u32.., 1u32.., 50u64..1_000_000).prop_map(|(max_tokens, tokens_per_fill, millis)| {
        TokenBucket { max_tokens, tokens_per_fill, fill_interval: Duration::from_millis(millis) }
    });
    let bucket = bucket.boxed();
    let shares = (matcher::fraction(), matcher::fraction());
    let headers = (vec(header_value(), 0..2), vec(header_value(), 0..2));
    let value = prop_oneof![text::name(), Just(ir::Str::default())];
    let entries = vec((text::name(), value), 1..3);
    let descriptor = (entries, bucket.clone(), any::<bool>())
        .prop_map(|(entries, bucket, shadow)| RateLimitDescriptor { entries, bucket, shadow });
    let more = (vec(descriptor, 0..2), vec(route_rate_limit(0..5), 0..2), 0u32..=10);
    (text::name(), 400u16..600, option::of(bucket), shares, headers, any::<(bool, bool, bool)>(), more)
        .prop_map(|(stat_prefix, status, bucket, shares, headers, flags, more)| LocalRateLimit {
            stat_prefix,
            status,
            bucket,
            enabled: shares.0,
            enforced: shares.1,
            request_headers_when_not_enforced: headers.0,
            response_headers: headers.1,
            per_connection: flags.0,
            x_ratelimit_headers: flags.1,
            as_resource_exhausted: flags.2,
            always_consume_default: !flags.2,
            vhost_rate_limits: if flags.1 { VhostRateLimits::Include } else { VhostRateLimits::Override },
            stage: more.2,
            max_dynamic_descriptors: more.2 + 1,
            retry_after: flags.0,
            rate_limits: more.1,
            descriptors: more.0,
        })
        .boxed()
}

pub(super) fn route_rate_limit(hits: Range<u64>) -> BoxedStrategy<RouteRateLimit> {
    let header = (text::header(), text::name(), any::<bool>())
        .prop_map(|(name, key, skip_if_absent)| Action::RequestHeader { name, key, skip_if_absent });
    let query = (text::name(), text::name(), any::<bool>())
        .prop_map(|(name, key, skip_if_absent)| Action::QueryParameter { name, key, skip_if_absent });
    let header_match = (text::name(), text::any_text(), any::<bool>(), vec(matcher::header(), 1..3))
        .prop_map(|(key, value, expect, headers)| Action::HeaderValueMatch { key, value, expect, headers });
    let parameters = vec(super::route::query_matcher(), 1..3);
    let query_match = (text::name(), text::any_text(), any::<bool>(), parameters).prop_map(
        |(key, value, expect, parameters)| Action::QueryParameterValueMatch {
            key,
            value,
            expect,
            parameters,
        },
    );
    let action = prop_oneof![
        Just(Action::SourceCluster),
        Just(Action::DestinationCluster),
        Just(Action::RemoteAddress),
        (0u8..=32, 0u8..=128).prop_map(|(v4, v6)| Action::MaskedRemoteAddress { v4, v6 }),
        (text::name(), text::any_text()).prop_map(|(key, value)| Action::GenericKey { key, value }),
        header,
        query,
        header_match,
        query_match,
    ];
    (0u32..=10, hits, vec(action, 1..3))
        .prop_map(|(stage, hits, actions)| RouteRateLimit { stage, hits, actions })
        .boxed()
}

pub(super) fn mutations() -> BoxedStrategy<HeaderMutation> {
    let one =
        || prop_oneof![text::header().prop_map(Mutation::Remove), header_value().prop_map(Mutation::Set)];
    (vec(one(), 0..3), vec(one(), 0..3))
        .prop_map(|(request, response)| HeaderMutation { request, response, most_specific_wins: false })
        .boxed()
}

pub(super) fn compressor() -> BoxedStrategy<Compressor> {
    let library = (text::name(), codec()).prop_map(|(name, codec)| CompressorLibrary { name, codec });
    let flags = any::<(bool, bool, bool, bool, bool)>();
    (library, option::of(direction()), direction(), flags, vec(200u16..600, 0..2))
        .prop_map(|(library, request, response, flags, uncompressible_status_codes)| Compressor {
            library,
            choose_first: flags.3,
            request,
            response,
            plain_stats: false,
            disable_on_etag_header: flags.0,
            weaken_etag: flags.1,
            remove_accept_encoding_header: flags.2,
            uncompressible_status_codes,
            status_header: flags.4,
        })
        .prop_flat_map(|it| prop_oneof![Just(plain(it.clone())), Just(it)])
        .boxed()
}

/// As the older fields say it.
fn plain(it: Compressor) -> Compressor {
    let name = StringMatcher { ignore_case: true, ..StringMatcher::exact("text/plain") };
    let response = Direction { content_types: vec![name], ..it.response };
    let (weaken_etag, status_header, uncompressible_status_codes) = (false, false, Vec::new());
    Compressor { response, plain_stats: true, weaken_etag, uncompressible_status_codes, status_header, ..it }
}

fn direction() -> impl Strategy<Value = Direction> {
    (any::<bool>(), option::of(any::<u32>()), vec(matcher::string(), 0..2)).prop_map(
        |(enabled, min_content_length, content_types)| Direction {
            enabled,
            min_content_length,
            content_types,
        },
    )
}

fn codec() -> impl Strategy<Value = Codec> {
    let mode = prop_oneof![Just(BrotliMode::Generic), Just(BrotliMode::Text), Just(BrotliMode::Font)];
    let brotli = (option::of(0u32..12), option::of(10u32..25), mode, any::<bool>()).prop_map(
        |(quality, window_bits, mode, disable_literal_context_modeling)| {
            Codec::Brotli(Brotli { quality, window_bits, mode, disable_literal_context_modeling })
        },
    );
    prop_oneof![option::of(1u32..10).prop_map(|level| Codec::Gzip { level }), brotli]
}

pub(super) fn health_check() -> BoxedStrategy<HealthCheckFilter> {
    let shares = btree_map(text::name(), matcher::fraction(), 0..2);
    (any::<bool>(), option::of(text::duration()), shares, vec(matcher::header(), 0..2))
        .prop_map(|(pass_through, cache_time, cluster_min_healthy, headers)| HealthCheckFilter {
            pass_through,
            cache_time: cache_time.filter(|_| pass_through),
            cluster_min_healthy,
            headers,
        })
        .boxed()
}
