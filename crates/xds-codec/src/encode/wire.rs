//! Small pieces that every message needs.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use ir::ConfigSource;
use ir::bootstrap::{AdsConfig, Json};
use prost::{Message, Name};
use stdx::Str;

use crate::Any;
use crate::pb::{core, google};

/// The longest duration that protobuf allows, in seconds (about 10,000 years).
const MAX_SECONDS: u64 = 315_576_000_000;

pub(super) fn pack<T: Name + Message>(message: &T) -> Any {
    // Not `T::type_url()`: prost leaves the authority out of it by default.
    Any { type_url: format!("type.googleapis.com/{}", T::full_name()), value: message.encode_to_vec() }
}

pub(super) fn duration(it: Duration) -> google::Duration {
    google::Duration { seconds: it.as_secs().min(MAX_SECONDS) as i64, nanos: it.subsec_nanos() as i32 }
}

pub(super) fn optional_duration(it: Option<Duration>) -> Option<google::Duration> {
    it.map(duration)
}

pub(super) fn boolean(value: bool) -> Option<google::BoolValue> {
    Some(google::BoolValue { value })
}

/// Unset instead of `false`.
pub(super) fn truth(value: bool) -> Option<google::BoolValue> {
    value.then_some(google::BoolValue { value })
}

pub(super) fn number(value: u32) -> google::UInt32Value {
    google::UInt32Value { value }
}

pub(super) fn optional_number(value: Option<u32>) -> Option<google::UInt32Value> {
    value.map(number)
}

/// Unset and empty are the same on the wire.
pub(super) fn optional_text(text: &Option<Str>) -> String {
    text.as_ref().map(|text| text.to_string()).unwrap_or_default()
}

pub(super) fn texts(texts: &[Str]) -> Vec<String> {
    texts.iter().map(|text| text.to_string()).collect()
}

/// Where Envoy expands `%COMMAND%`: a literal percent sign is doubled.
pub(super) fn literal(text: &str) -> String {
    text.replace('%', "%%")
}

pub(super) fn text_value(text: &str) -> google::Value {
    google::Value { kind: Some(google::value::Kind::StringValue(text.to_owned())) }
}

pub(super) fn struct_value(fields: google::Struct) -> google::Value {
    google::Value { kind: Some(google::value::Kind::StructValue(fields)) }
}

pub(super) fn list_value(values: Vec<google::Value>) -> google::Value {
    google::Value { kind: Some(google::value::Kind::ListValue(google::ListValue { values })) }
}

pub(super) fn text_struct<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> google::Struct {
    let fields: HashMap<_, _> = pairs.into_iter().map(|(k, v)| (k.to_owned(), text_value(v))).collect();
    google::Struct { fields }
}

/// "Over ADS", without a limit for the first answer, as Istio says it: a listener that became
/// active without its routes or secrets would fail requests.
pub(super) fn ads() -> core::ConfigSource {
    core::ConfigSource {
        initial_fetch_timeout: Some(google::Duration::default()),
        config_source_specifier: Some(core::config_source::ConfigSourceSpecifier::Ads(
            core::AggregatedConfigSource {},
        )),
        resource_api_version: core::ApiVersion::V3.into(),
        ..Default::default()
    }
}

/// Where discovered resources come from.
pub(super) fn config_source(it: &ConfigSource) -> core::ConfigSource {
    use core::config_source::ConfigSourceSpecifier;
    let specifier = match it {
        ConfigSource::Ads => return ads(),
        ConfigSource::Path(it) => {
            let watched = it.watched_directory.as_ref();
            ConfigSourceSpecifier::PathConfigSource(core::PathConfigSource {
                path: it.path.to_string(),
                watched_directory: watched
                    .map(|path| core::WatchedDirectory { path: path.to_string(), ..Default::default() }),
                ..Default::default()
            })
        }
        ConfigSource::Api(it) => ConfigSourceSpecifier::ApiConfigSource(api_config_source(it)),
    };
    core::ConfigSource { config_source_specifier: Some(specifier), ..ads() }
}

/// A management server behind a cluster.
pub(super) fn api_config_source(it: &AdsConfig) -> core::ApiConfigSource {
    use core::api_config_source::ApiType;
    core::ApiConfigSource {
        api_type: if it.delta { ApiType::DeltaGrpc } else { ApiType::Grpc }.into(),
        transport_api_version: core::ApiVersion::V3.into(),
        grpc_services: vec![envoy_grpc(&it.cluster, &it.metadata)],
        set_node_on_first_message_only: true,
        ..Default::default()
    }
}

/// A text as a format string.
pub(super) fn format_string(text: String) -> core::SubstitutionFormatString {
    format_source(core::data_source::Specifier::InlineString(text))
}

/// A format string from somewhere.
pub(super) fn format_source(it: core::data_source::Specifier) -> core::SubstitutionFormatString {
    let source = core::DataSource { specifier: Some(it), ..Default::default() };
    core::SubstitutionFormatString {
        format: Some(core::substitution_format_string::Format::TextFormatSource(source)),
        ..Default::default()
    }
}

/// A gRPC service behind a cluster.
pub(super) fn envoy_grpc(cluster: &str, metadata: &[(Str, Str)]) -> core::GrpcService {
    use core::grpc_service::{EnvoyGrpc, TargetSpecifier};
    let header = |(key, value): &(Str, Str)| core::HeaderValue {
        key: key.to_string(),
        value: value.to_string(),
        ..Default::default()
    };
    core::GrpcService {
        initial_metadata: metadata.iter().map(header).collect(),
        target_specifier: Some(TargetSpecifier::EnvoyGrpc(EnvoyGrpc {
            cluster_name: cluster.to_owned(),
            ..Default::default()
        })),
        ..Default::default()
    }
}

pub(super) fn json_struct(it: &BTreeMap<Str, Json>) -> google::Struct {
    google::Struct { fields: it.iter().map(|(key, value)| (key.to_string(), json(value))).collect() }
}

fn json(it: &Json) -> google::Value {
    use google::value::Kind;
    let kind = match it {
        Json::Null => Kind::NullValue(0),
        Json::Bool(it) => Kind::BoolValue(*it),
        // What is no number cannot have come from a file; it stays readable as text.
        Json::Number(it) => match it.parse::<f64>() {
            Ok(number) if number.is_finite() => Kind::NumberValue(number),
            _ => Kind::StringValue(it.to_string()),
        },
        Json::Text(it) => Kind::StringValue(it.to_string()),
        Json::List(all) => Kind::ListValue(google::ListValue { values: all.iter().map(json).collect() }),
        Json::Map(all) => Kind::StructValue(json_struct(all)),
    };
    google::Value { kind: Some(kind) }
}
