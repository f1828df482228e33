//! Access logs.

use ir::access_log::AccessLogFilter;
use ir::{AccessLog, AccessLogSink};
use stdx::Str;

use super::at::At;
use super::strict::harmless;
use super::wire;
use crate::pb::accesslog::{self, access_log::ConfigType, access_log_filter::FilterSpecifier};
use crate::pb::file_log::{FileAccessLog, file_access_log};
use crate::pb::stream_log::{StderrAccessLog, StdoutAccessLog, stderr_access_log, stdout_access_log};
use crate::{Any, pb::core};

pub(super) fn access_logs(at: &At<'_>, all: Vec<accesslog::AccessLog>) -> Vec<AccessLog> {
    all.into_iter().enumerate().map(|(index, it)| access_log(at.index("access_log", index), it)).collect()
}

fn access_log(at: At<'_>, it: accesslog::AccessLog) -> AccessLog {
    let accesslog::AccessLog { name, filter: when, config_type } = it;
    harmless!(Label; name);
    let filter = when.and_then(|it| filter(at.field("filter"), it));
    let (sink, format) = match config_type {
        Some(ConfigType::TypedConfig(any)) => sink(at.field("typed_config"), &any),
        None => {
            at.field("typed_config").refuse("is required");
            (AccessLogSink::Stdout, None)
        }
    };
    AccessLog { sink, format, filter }
}

fn sink(at: At<'_>, any: &Any) -> (AccessLogSink, Option<Str>) {
    let log_format = |it| wire::format_string(at.field("log_format"), it);
    if wire::is::<FileAccessLog>(any) {
        file(at, wire::unpack(at, any))
    } else if wire::is::<StdoutAccessLog>(any) {
        let StdoutAccessLog { access_log_format } = wire::unpack(at, any);
        let format =
            access_log_format.map(|stdout_access_log::AccessLogFormat::LogFormat(it)| log_format(it));
        (AccessLogSink::Stdout, format)
    } else if wire::is::<StderrAccessLog>(any) {
        let StderrAccessLog { access_log_format } = wire::unpack(at, any);
        let format =
            access_log_format.map(|stderr_access_log::AccessLogFormat::LogFormat(it)| log_format(it));
        (AccessLogSink::Stderr, format)
    } else {
        wire::unknown_type(at, any);
        (AccessLogSink::Stdout, None)
    }
}

fn file(at: At<'_>, it: FileAccessLog) -> (AccessLogSink, Option<Str>) {
    use file_access_log::AccessLogFormat;
    let FileAccessLog { path, access_log_format } = it;
    let format = match access_log_format {
        Some(AccessLogFormat::LogFormat(it)) => Some(wire::format_string(at.field("log_format"), it)),
        Some(AccessLogFormat::Format(text)) => wire::optional_text(text),
        Some(AccessLogFormat::JsonFormat(_)) => {
            at.unsupported("json_format");
            None
        }
        Some(AccessLogFormat::TypedJsonFormat(_)) => {
            at.unsupported("typed_json_format");
            None
        }
        None => None,
    };
    (AccessLogSink::File(wire::required(at.field("path"), path)), format)
}

fn filter(at: At<'_>, it: accesslog::AccessLogFilter) -> Option<AccessLogFilter> {
    let name = match it.filter_specifier {
        Some(FilterSpecifier::ResponseFlagFilter(accesslog::ResponseFlagFilter { flags })) => {
            return Some(AccessLogFilter::ResponseFlags(wire::texts(flags)));
        }
        Some(FilterSpecifier::StatusCodeFilter(it)) => {
            return Some(AccessLogFilter::StatusAtLeast(status(at.field("status_code_filter"), it)));
        }
        Some(FilterSpecifier::DurationFilter(_)) => "duration_filter",
        Some(FilterSpecifier::NotHealthCheckFilter(_)) => "not_health_check_filter",
        Some(FilterSpecifier::TraceableFilter(_)) => "traceable_filter",
        Some(FilterSpecifier::RuntimeFilter(_)) => "runtime_filter",
        Some(FilterSpecifier::AndFilter(_)) => "and_filter",
        Some(FilterSpecifier::OrFilter(_)) => "or_filter",
        Some(FilterSpecifier::HeaderFilter(_)) => "header_filter",
        Some(FilterSpecifier::GrpcStatusFilter(_)) => "grpc_status_filter",
        Some(FilterSpecifier::ExtensionFilter(_)) => "extension_filter",
        Some(FilterSpecifier::MetadataFilter(_)) => "metadata_filter",
        Some(FilterSpecifier::LogTypeFilter(_)) => "log_type_filter",
        None => {
            at.refuse("names no filter");
            return None;
        }
    };
    at.unsupported(name);
    None
}

fn status(at: At<'_>, it: accesslog::StatusCodeFilter) -> u32 {
    use accesslog::comparison_filter::Op;
    let at = at.field("comparison");
    let Some(accesslog::ComparisonFilter { op, value: Some(value) }) = it.comparison else {
        at.refuse("a value to compare with is required");
        return 0;
    };
    if op != Op::Ge as i32 {
        at.field("op").refuse("only GE is supported");
    }
    let core::RuntimeUInt32 { default_value, runtime_key } = value;
    harmless!(Runtime; runtime_key);
    default_value
}
