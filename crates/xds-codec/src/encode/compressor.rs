//! Compressing bodies, waiting for whole requests, and answering questions about health.

use ir::buffer::BufferOverride;
use ir::compressor::{BrotliMode, Codec, CompressorLibrary, CompressorOverride, Direction};
use ir::filter::HealthCheckFilter;
use ir::{Compressor, StringMatch, StringMatcher};

use super::{matcher, wire};
use crate::pb::brotli::brotli::EncoderMode;
use crate::pb::buffer::{self, buffer_per_route};
use crate::pb::compressor::compressor::{
    CommonDirectionConfig, RequestDirectionConfig, ResponseDirectionConfig,
};
use crate::pb::compressor::{self as pb, compressor_per_route::Override};
use crate::pb::{brotli, core, envoy_type, gzip, health_check as pb_health};

pub(super) fn compressor(it: &Compressor) -> pb::Compressor {
    let common = direction(&it.response);
    let common_part = pb::Compressor {
        compressor_library: Some(library(&it.library)),
        request_direction_config: it
            .request
            .as_ref()
            .map(|it| RequestDirectionConfig { common_config: Some(direction(it)) }),
        choose_first: it.choose_first,
        ..Default::default()
    };
    if it.plain_stats {
        // Only the older fields make such names, and have their types by whole names.
        return pb::Compressor {
            content_length: common.min_content_length,
            content_type: it.response.content_types.iter().filter_map(whole_name).collect(),
            disable_on_etag_header: it.disable_on_etag_header,
            remove_accept_encoding_header: it.remove_accept_encoding_header,
            runtime_enabled: common.enabled,
            ..common_part
        };
    }
    pb::Compressor {
        response_direction_config: Some(ResponseDirectionConfig {
            common_config: Some(common),
            disable_on_etag_header: it.disable_on_etag_header,
            weaken_etag_on_compress: it.weaken_etag,
            remove_accept_encoding_header: it.remove_accept_encoding_header,
            uncompressible_response_codes: it
                .uncompressible_status_codes
                .iter()
                .map(|code| u32::from(*code))
                .collect(),
            status_header_enabled: it.status_header,
        }),
        ..common_part
    }
}

fn direction(it: &Direction) -> CommonDirectionConfig {
    // Envoy demands a runtime key beside a default.
    let off = || core::RuntimeFeatureFlag {
        default_value: wire::boolean(false),
        runtime_key: "compressor.enabled".into(),
    };
    CommonDirectionConfig {
        enabled: (!it.enabled).then(off),
        min_content_length: wire::optional_number(it.min_content_length),
        content_type_matcher: matcher::texts(&it.content_types),
        ..Default::default()
    }
}

fn whole_name(it: &StringMatcher) -> Option<String> {
    match &it.pattern {
        StringMatch::Exact(name) => Some(name.to_string()),
        _ => None,
    }
}

fn library(it: &CompressorLibrary) -> core::TypedExtensionConfig {
    let typed_config = match &it.codec {
        Codec::Gzip { level } => {
            let level = level.and_then(|level| i32::try_from(level).ok()).unwrap_or_default();
            wire::pack(&gzip::Gzip { compression_level: level, ..Default::default() })
        }
        Codec::Brotli(it) => wire::pack(&brotli::Brotli {
            quality: wire::optional_number(it.quality),
            encoder_mode: match it.mode {
                BrotliMode::Generic => EncoderMode::Default,
                BrotliMode::Text => EncoderMode::Text,
                BrotliMode::Font => EncoderMode::Font,
            }
            .into(),
            window_bits: wire::optional_number(it.window_bits),
            disable_literal_context_modeling: it.disable_literal_context_modeling,
            ..Default::default()
        }),
    };
    core::TypedExtensionConfig { name: it.name.to_string(), typed_config: Some(typed_config) }
}

pub(super) fn per_route(it: CompressorOverride) -> pb::CompressorPerRoute {
    let said = match it {
        CompressorOverride::Disabled => Override::Disabled(true),
        CompressorOverride::Overrides { response, codec } => Override::Overrides(pb::CompressorOverrides {
            response_direction_config: response.map(|it| pb::ResponseDirectionOverrides {
                remove_accept_encoding_header: it.remove_accept_encoding_header.and_then(wire::boolean),
            }),
            // Its name has no meaning, but Envoy wants one.
            compressor_library: codec
                .map(|codec| library(&CompressorLibrary { name: "route".into(), codec })),
        }),
    };
    pb::CompressorPerRoute { r#override: Some(said) }
}

pub(super) fn buffer(max_request_bytes: u32) -> buffer::Buffer {
    buffer::Buffer { max_request_bytes: Some(wire::number(max_request_bytes)) }
}

pub(super) fn buffer_per_route(it: BufferOverride) -> buffer::BufferPerRoute {
    let said = match it {
        BufferOverride::Disabled => buffer_per_route::Override::Disabled(true),
        BufferOverride::Limit(bytes) => buffer_per_route::Override::Buffer(buffer(bytes)),
    };
    buffer::BufferPerRoute { r#override: Some(said) }
}

pub(super) fn health_check(it: &HealthCheckFilter) -> pb_health::HealthCheck {
    let percent = |(name, share): (&ir::Str, &ir::Fraction)| {
        (name.to_string(), envoy_type::Percent { value: f64::from(share.parts_per_million) / 10_000.0 })
    };
    pb_health::HealthCheck {
        pass_through_mode: wire::boolean(it.pass_through),
        cache_time: wire::optional_duration(it.cache_time),
        cluster_min_healthy_percentages: it.cluster_min_healthy.iter().map(percent).collect(),
        headers: it.headers.iter().map(matcher::header).collect(),
    }
}
