//! Compressing responses.

use ir::compressor::CompressorOverride;
use ir::{Compressor, StringMatcher};

use super::at::At;
use super::strict::{harmless, refuse};
use super::{matcher, wire};
use crate::pb::compressor::compressor::{CommonDirectionConfig, ResponseDirectionConfig};
use crate::pb::compressor::{self as pb, compressor_per_route::Override};
use crate::pb::gzip::{Gzip, gzip::CompressionLevel};
use crate::pb::{core, google};

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
    if request_direction_config.is_some() {
        at.unsupported("request_direction_config");
    }
    // There is one library only.
    harmless!(NoSuchMechanism; choose_first);
    let name = compressor_library.as_ref().map(|it| it.name.as_str().into()).unwrap_or_default();
    let level = library(at.field("compressor_library"), compressor_library);
    let at_response = at.field("response_direction_config");
    Compressor { library: name, level, ..response(at_response, response_direction_config.unwrap_or(old)) }
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
    refuse!(at; status_header_enabled);
    let CommonDirectionConfig { enabled, min_content_length, content_type, content_type_matcher } =
        common_config.unwrap_or_default();
    // The older field says the same by whole names.
    let exact = |name: String| StringMatcher { ignore_case: true, ..StringMatcher::exact(name) };
    let mut content_types =
        matcher::texts(&at.field("common_config"), "content_type_matcher", content_type_matcher);
    content_types.extend(content_type.into_iter().map(exact));
    let mut codes = Vec::new();
    for (index, code) in uncompressible_response_codes.into_iter().enumerate() {
        match u16::try_from(code) {
            Ok(code @ 200..600) => codes.push(code),
            _ => at.index("uncompressible_response_codes", index).refuse(format!("{code} is not a status")),
        }
    }
    Compressor {
        library: Default::default(),
        level: None,
        enabled: enabled.is_none_or(|core::RuntimeFeatureFlag { default_value, runtime_key }| {
            harmless!(Runtime; runtime_key);
            wire::flag(default_value, true)
        }),
        min_content_length: wire::optional_number(min_content_length),
        content_types,
        disable_on_etag_header,
        weaken_etag: weaken_etag_on_compress,
        remove_accept_encoding_header,
        uncompressible_status_codes: codes,
    }
}

fn library(at: At<'_>, it: Option<core::TypedExtensionConfig>) -> Option<u32> {
    let Some(core::TypedExtensionConfig { name: _, typed_config: Some(any) }) = it else {
        at.refuse("is required");
        return None;
    };
    let at = at.field("typed_config");
    if !wire::is::<Gzip>(&any) {
        wire::unknown_type(at, &any);
        return None;
    }
    let Gzip { memory_level, compression_level, compression_strategy, window_bits, chunk_size } =
        wire::unpack(at, &any);
    // What is decompressed is the same.
    harmless!(Tuning; memory_level, compression_strategy, chunk_size);
    if window_bits.is_some_and(|google::UInt32Value { value }| !(9..=15).contains(&value)) {
        at.field("window_bits").refuse("is not from 9 to 15");
    }
    match wire::enumeration(at.field("compression_level"), compression_level) {
        CompressionLevel::DefaultCompression => None,
        level => u32::try_from(level as i32).ok(),
    }
}

pub(super) fn per_route(at: At<'_>, it: pb::CompressorPerRoute) -> CompressorOverride {
    match it.r#override {
        Some(Override::Disabled(true)) => CompressorOverride::Disabled,
        Some(Override::Overrides(it)) => {
            let pb::CompressorOverrides { response_direction_config, compressor_library } = it;
            refuse!(at; compressor_library);
            let pb::ResponseDirectionOverrides { remove_accept_encoding_header } =
                response_direction_config.unwrap_or_default();
            CompressorOverride::Enabled {
                remove_accept_encoding_header: remove_accept_encoding_header.map(|it| it.value),
            }
        }
        Some(Override::Disabled(false)) | None => {
            at.refuse("disabled: true or overrides is required");
            CompressorOverride::Disabled
        }
    }
}
