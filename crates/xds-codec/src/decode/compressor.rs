//! Compressing requests and responses.

use ir::compressor::{
    Brotli, BrotliMode, Codec, CompressorLibrary, CompressorOverride, Direction, ResponseOverride,
};
use ir::{Compressor, StringMatcher};

use super::at::At;
use super::strict::harmless;
use super::{matcher, wire};
use crate::Any;
use crate::pb::compressor::compressor::{
    CommonDirectionConfig, RequestDirectionConfig, ResponseDirectionConfig,
};
use crate::pb::compressor::{self as pb, compressor_per_route::Override};
use crate::pb::gzip::{Gzip, gzip::CompressionLevel};
use crate::pb::{brotli, core, google};

pub(super) fn compressor(at: At<'_>, it: pb::Compressor) -> Compressor {
    let pb::Compressor {
        content_length,
        content_type,
        disable_on_etag_header,
        remove_accept_encoding_header,
        runtime_enabled,
        compressor_library,
        request_direction_config,
        response_direction_config,
        choose_first,
    } = it;
    // The older places say the same as the newer one, which wins where it is.
    let old = ResponseDirectionConfig {
        common_config: Some(CommonDirectionConfig {
            enabled: runtime_enabled,
            min_content_length: content_length,
            content_type,
            content_type_matcher: Vec::new(),
        }),
        disable_on_etag_header,
        remove_accept_encoding_header,
        ..ResponseDirectionConfig::default()
    };
    let plain_stats = response_direction_config.is_none();
    let library = library(at.field("compressor_library"), compressor_library);
    let request = request_direction_config.map(|it| request(at.field("request_direction_config"), it));
    let at_response = at.field("response_direction_config");
    let of_responses = response(at_response, response_direction_config.unwrap_or(old));
    Compressor { library, choose_first, request, plain_stats, ..of_responses }
}

fn request(at: At<'_>, it: RequestDirectionConfig) -> Direction {
    let RequestDirectionConfig { common_config } = it;
    direction(at.field("common_config"), common_config.unwrap_or_default())
}

fn response(at: At<'_>, it: ResponseDirectionConfig) -> Compressor {
    let ResponseDirectionConfig {
        common_config,
        disable_on_etag_header,
        weaken_etag_on_compress,
        remove_accept_encoding_header,
        uncompressible_response_codes,
        status_header_enabled,
    } = it;
    let mut codes = Vec::new();
    for (index, code) in uncompressible_response_codes.into_iter().enumerate() {
        match u16::try_from(code) {
            Ok(code @ 200..600) => codes.push(code),
            _ => at.index("uncompressible_response_codes", index).refuse(format!("{code} is not a status")),
        }
    }
    Compressor {
        library: nothing(),
        choose_first: false,
        request: None,
        response: direction(at.field("common_config"), common_config.unwrap_or_default()),
        plain_stats: false,
        disable_on_etag_header,
        weaken_etag: weaken_etag_on_compress,
        remove_accept_encoding_header,
        uncompressible_status_codes: codes,
        status_header: status_header_enabled,
    }
}

fn direction(at: At<'_>, it: CommonDirectionConfig) -> Direction {
    let CommonDirectionConfig { enabled, min_content_length, content_type, content_type_matcher } = it;
    // The older field says the same by whole names.
    let exact = |name: String| StringMatcher { ignore_case: true, ..StringMatcher::exact(name) };
    let mut content_types = matcher::texts(&at, "content_type_matcher", content_type_matcher);
    content_types.extend(content_type.into_iter().map(exact));
    Direction {
        enabled: enabled.is_none_or(|core::RuntimeFeatureFlag { default_value, runtime_key }| {
            harmless!(Runtime; runtime_key);
            wire::flag(default_value, true)
        }),
        min_content_length: wire::optional_number(min_content_length),
        content_types,
    }
}

fn nothing() -> CompressorLibrary {
    CompressorLibrary { name: Default::default(), codec: Codec::Gzip { level: None } }
}

fn library(at: At<'_>, it: Option<core::TypedExtensionConfig>) -> CompressorLibrary {
    let Some(core::TypedExtensionConfig { name, typed_config: Some(any) }) = it else {
        at.refuse("is required");
        return nothing();
    };
    let at = at.field("typed_config");
    let codec = if wire::is::<Gzip>(&any) {
        gzip(at, &any)
    } else if wire::is::<brotli::Brotli>(&any) {
        Codec::Brotli(self::brotli(at, &any))
    } else {
        wire::unknown_type(at, &any);
        return nothing();
    };
    CompressorLibrary { name: name.into(), codec }
}

fn gzip(at: At<'_>, any: &Any) -> Codec {
    let Gzip { memory_level, compression_level, compression_strategy, window_bits, chunk_size } =
        wire::unpack(at, any);
    // What is decompressed is the same.
    harmless!(Tuning; memory_level, compression_strategy, chunk_size);
    at_most(at, "window_bits", window_bits, 9, 15);
    let level = match wire::enumeration(at.field("compression_level"), compression_level) {
        CompressionLevel::DefaultCompression => None,
        level => u32::try_from(level as i32).ok(),
    };
    Codec::Gzip { level }
}

fn brotli(at: At<'_>, any: &Any) -> Brotli {
    let brotli::Brotli {
        quality,
        encoder_mode,
        window_bits,
        input_block_bits,
        chunk_size,
        disable_literal_context_modeling,
    } = wire::unpack(at, any);
    harmless!(Tuning; chunk_size);
    // Blocks are as large as the quality wants them: Envoy's take 48 MiB of a stream.
    at_most(at, "input_block_bits", input_block_bits, 16, 24);
    let mode = wire::enumeration(at.field("encoder_mode"), encoder_mode);
    Brotli {
        quality: at_most(at, "quality", quality, 0, 11),
        window_bits: at_most(at, "window_bits", window_bits, 10, 24),
        mode: match mode {
            brotli::brotli::EncoderMode::Default | brotli::brotli::EncoderMode::Generic => {
                BrotliMode::Generic
            }
            brotli::brotli::EncoderMode::Text => BrotliMode::Text,
            brotli::brotli::EncoderMode::Font => BrotliMode::Font,
        },
        disable_literal_context_modeling,
    }
}

/// A number, which is within bounds.
fn at_most(at: At<'_>, name: &str, it: Option<google::UInt32Value>, least: u32, most: u32) -> Option<u32> {
    let google::UInt32Value { value } = it?;
    if !(least..=most).contains(&value) {
        at.field(name).refuse(format!("is not from {least} to {most}"));
    }
    Some(value)
}

pub(super) fn per_route(at: At<'_>, it: pb::CompressorPerRoute) -> CompressorOverride {
    match it.r#override {
        Some(Override::Disabled(true)) => CompressorOverride::Disabled,
        Some(Override::Overrides(it)) => {
            let pb::CompressorOverrides { response_direction_config, compressor_library } = it;
            let at_library = at.field("overrides");
            let at_library = at_library.field("compressor_library");
            CompressorOverride::Overrides {
                response: response_direction_config.map(
                    |pb::ResponseDirectionOverrides { remove_accept_encoding_header: it }| ResponseOverride {
                        remove_accept_encoding_header: it.map(|it| it.value),
                    },
                ),
                codec: compressor_library.map(|it| library(at_library, Some(it)).codec),
            }
        }
        Some(Override::Disabled(false)) | None => {
            at.refuse("disabled: true or overrides is required");
            CompressorOverride::Disabled
        }
    }
}
