//! Small pieces that every message has.

use std::time::Duration;

use ir::access_log::LogContent;
use ir::bootstrap::AdsConfig;
use ir::{ConfigSource, PathSource};
use prost::{Message, Name};
use stdx::Str;

use super::at::At;
use super::strict::{harmless, refuse};
use crate::Any;
use crate::pb::core::{self, api_config_source::ApiType, config_source::ConfigSourceSpecifier};
use crate::pb::google;

/// The longest duration that protobuf allows, in seconds (about 10,000 years).
const MAX_SECONDS: i64 = 315_576_000_000;

pub(super) fn duration(at: At<'_>, it: google::Duration) -> Duration {
    let google::Duration { seconds, nanos } = it;
    let valid = (0..=MAX_SECONDS).contains(&seconds) && (0..1_000_000_000).contains(&nanos);
    match (valid, u64::try_from(seconds), u32::try_from(nanos)) {
        (true, Ok(seconds), Ok(nanos)) => Duration::new(seconds, nanos),
        _ => {
            at.refuse(format!("{seconds} s and {nanos} ns is not a duration from 0 to 10,000 years"));
            Duration::ZERO
        }
    }
}

pub(super) fn optional_duration(at: At<'_>, it: Option<google::Duration>) -> Option<Duration> {
    it.map(|it| duration(at, it))
}

pub(super) fn flag(it: Option<google::BoolValue>, default: bool) -> bool {
    it.map_or(default, |it| it.value)
}

pub(super) fn optional_number(it: Option<google::UInt32Value>) -> Option<u32> {
    it.map(|it| it.value)
}

pub(super) fn optional_text(text: String) -> Option<Str> {
    (!text.is_empty()).then(|| text.into())
}

pub(super) fn texts(texts: Vec<String>) -> Vec<Str> {
    exact(texts.into_iter().map(Str::from))
}

/// A list that is as long as it has to be. `collect` from a `Vec` of messages would build the list
/// within that: memory of Envoy's messages, which have some KiB each, for as long as it lives.
pub(super) fn exact<T>(all: impl ExactSizeIterator<Item = T>) -> Vec<T> {
    // Most lists of a message are empty.
    if all.len() == 0 {
        return Vec::new();
    }
    let mut list = Vec::with_capacity(all.len());
    list.extend(all);
    list
}

/// A name that must be there.
pub(super) fn required(at: At<'_>, text: String) -> Str {
    if text.is_empty() {
        at.refuse("is required");
    }
    text.into()
}

pub(super) fn lower(text: String) -> Str {
    if text.bytes().any(|b| b.is_ascii_uppercase()) { text.to_ascii_lowercase().into() } else { text.into() }
}

pub(super) fn port(at: At<'_>, port: u32) -> u16 {
    u16::try_from(port).unwrap_or_else(|_| {
        at.refuse(format!("{port} is not a port"));
        0
    })
}

/// An enumeration's value, or a problem. `T`'s own default is the placeholder.
pub(super) fn enumeration<T: TryFrom<i32> + Default>(at: At<'_>, value: i32) -> T {
    T::try_from(value).unwrap_or_else(|_| {
        at.refuse(format!("{value} is an unknown value"));
        T::default()
    })
}

/// The last part of a type URL.
pub(super) fn type_name(any: &Any) -> &str {
    any.type_url.rsplit('/').next().unwrap_or_default()
}

/// Whether `any` says that it holds a `T`.
pub(super) fn is<T: Name>(any: &Any) -> bool {
    type_name(any) == T::full_name()
}

/// Reads the message in `any`, which [`is`] a `T`.
pub(super) fn unpack<T: Message + Default>(at: At<'_>, any: &Any) -> T {
    T::decode(any.value.as_slice()).unwrap_or_else(|error| {
        at.refuse(format!("cannot be read as {}: {error}", type_name(any)));
        T::default()
    })
}

/// Refuses an extension whose type we do not know.
pub(super) fn unknown_type(at: At<'_>, any: &Any) {
    at.refuse(format!("{} is not supported", type_name(any)));
}

/// Where discovered resources come from. `None` was refused.
pub(super) fn config_source(at: At<'_>, it: Option<core::ConfigSource>) -> Option<ConfigSource> {
    let Some(it) = it else {
        at.refuse("is required");
        return None;
    };
    let core::ConfigSource {
        authorities,
        initial_fetch_timeout,
        resource_api_version,
        config_source_specifier,
    } = it;
    refuse!(at; authorities);
    harmless!(InitialFetch; initial_fetch_timeout);
    api_version(at.field("resource_api_version"), resource_api_version);
    let path = |at, path, watched_directory: Option<core::WatchedDirectory>| {
        let watched_directory = watched_directory.map(|core::WatchedDirectory { path, watch_modify }| {
            harmless!(Watched; watch_modify);
            path.into()
        });
        ConfigSource::Path(Box::new(PathSource { path: required(at, path), watched_directory }))
    };
    match config_source_specifier {
        Some(ConfigSourceSpecifier::Ads(core::AggregatedConfigSource {})) => Some(ConfigSource::Ads),
        Some(ConfigSourceSpecifier::Path(it)) => Some(path(at.field("path"), it, None)),
        Some(ConfigSourceSpecifier::PathConfigSource(it)) => {
            let core::PathConfigSource { path: file, watched_directory, poll_interval } = it;
            harmless!(Watched; poll_interval);
            Some(path(at.field("path_config_source").field("path"), file, watched_directory))
        }
        Some(ConfigSourceSpecifier::ApiConfigSource(it)) => {
            Some(ConfigSource::Api(Box::new(api_config_source(at.field("api_config_source"), it))))
        }
        Some(ConfigSourceSpecifier::Self_(_)) => {
            at.unsupported("self");
            None
        }
        None => {
            at.refuse("says nothing about where it is");
            None
        }
    }
}

pub(super) fn api_version(at: At<'_>, version: i32) {
    if ![core::ApiVersion::Auto as i32, core::ApiVersion::V3 as i32].contains(&version) {
        at.refuse("only V3 is supported");
    }
}

/// The cluster behind a gRPC service, and the metadata to send.
pub(super) fn envoy_grpc(at: At<'_>, mut services: Vec<core::GrpcService>) -> (Str, Vec<(Str, Str)>) {
    use core::grpc_service::TargetSpecifier;
    let (1, Some(service)) = (services.len(), services.pop()) else {
        at.field("grpc_services").refuse("exactly one is needed");
        return Default::default();
    };
    let at = at.index("grpc_services", 0);
    let core::GrpcService { timeout, initial_metadata, retry_policy, target_specifier } = service;
    refuse!(at; timeout, retry_policy);
    let mut metadata = Vec::new();
    for (index, core::HeaderValue { key, value, raw_value }) in initial_metadata.into_iter().enumerate() {
        let at = at.index("initial_metadata", index);
        refuse!(at; raw_value);
        metadata.push((required(at.field("key"), key), value.into()));
    }
    let cluster = match target_specifier {
        Some(TargetSpecifier::EnvoyGrpc(it)) => {
            let at = at.field("envoy_grpc");
            let core::grpc_service::EnvoyGrpc {
                cluster_name,
                authority,
                retry_policy,
                max_receive_message_length,
                skip_envoy_headers,
            } = it;
            refuse!(at; authority, retry_policy, max_receive_message_length, skip_envoy_headers);
            required(at.field("cluster_name"), cluster_name)
        }
        Some(TargetSpecifier::GoogleGrpc(_)) => {
            at.unsupported("google_grpc");
            Str::default()
        }
        None => {
            at.field("envoy_grpc").refuse("is required");
            Str::default()
        }
    };
    (cluster, metadata)
}

/// A literal text where Envoy expands `%COMMAND%`.
pub(super) fn literal(at: At<'_>, text: String) -> Str {
    if !text.contains('%') {
        return text.into();
    }
    let doubled = text.replace("%%", "");
    if doubled.contains('%') {
        at.refuse("%COMMAND% operators are not supported here (write %% for a percent sign)");
    }
    text.replace("%%", "%").into()
}

/// A text format that stands where it is used, not JSON.
pub(super) fn format_string(at: At<'_>, it: core::SubstitutionFormatString) -> Str {
    match text_format(at, it) {
        LogContent::Text(text) => text,
        _ => {
            at.field("text_format_source").refuse("only inline_string is supported here");
            Str::default()
        }
    }
}

/// A text format, not JSON.
pub(super) fn text_format(at: At<'_>, it: core::SubstitutionFormatString) -> LogContent {
    use core::substitution_format_string::Format;
    let core::SubstitutionFormatString {
        omit_empty_values,
        content_type,
        formatters,
        json_format_options,
        format,
    } = it;
    refuse!(at; omit_empty_values, content_type, formatters, json_format_options);
    match format {
        Some(Format::TextFormat(text)) => return LogContent::Text(text.into()),
        Some(Format::TextFormatSource(it)) => return text_source(at.field("text_format_source"), it),
        Some(Format::JsonFormat(_)) => at.unsupported("json_format"),
        None => at.field("text_format_source").refuse("is required"),
    }
    LogContent::Text(Str::default())
}

fn text_source(at: At<'_>, it: core::DataSource) -> LogContent {
    use core::data_source::Specifier;
    let core::DataSource { watched_directory, specifier } = it;
    refuse!(at; watched_directory);
    match specifier {
        Some(Specifier::InlineString(text)) => return LogContent::Text(text.into()),
        Some(Specifier::InlineBytes(bytes)) => match String::from_utf8(bytes) {
            Ok(text) => return LogContent::Text(text.into()),
            Err(_) => at.field("inline_bytes").refuse("only text is supported"),
        },
        Some(Specifier::Filename(path)) => return LogContent::File(required(at.field("filename"), path)),
        Some(Specifier::EnvironmentVariable(name)) => {
            return LogContent::Environment(required(at.field("environment_variable"), name));
        }
        None => at.refuse("is empty"),
    }
    LogContent::Text(Str::default())
}

/// How to reach a management server.
pub(super) fn api_config_source(at: At<'_>, it: core::ApiConfigSource) -> AdsConfig {
    let core::ApiConfigSource {
        api_type,
        transport_api_version,
        cluster_names,
        grpc_services,
        refresh_delay,
        request_timeout,
        rate_limit_settings,
        set_node_on_first_message_only,
        config_validators,
    } = it;
    refuse!(at; cluster_names, refresh_delay, request_timeout, rate_limit_settings, config_validators);
    // We always send the node in the first message only, which every server must accept.
    harmless!(NoSuchMechanism; set_node_on_first_message_only);
    api_version(at.field("transport_api_version"), transport_api_version);
    let api_type = enumeration(at.field("api_type"), api_type);
    if !matches!(api_type, ApiType::Grpc | ApiType::DeltaGrpc) {
        at.field("api_type").refuse("only GRPC and DELTA_GRPC are supported");
    }
    let (cluster, metadata) = envoy_grpc(at, grpc_services);
    AdsConfig { cluster, delta: api_type == ApiType::DeltaGrpc, metadata }
}
