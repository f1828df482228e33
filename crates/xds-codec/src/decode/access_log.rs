//! Access logs.

use ir::access_log::{AccessLogFilter, Comparison, ComparisonOp, LogContent, LogFormat, LogType};
use ir::{AccessLog, AccessLogSink, Fraction};

use super::at::At;
use super::strict::{harmless, refuse};
use super::{matcher, metadata, wire};
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

fn sink(at: At<'_>, any: &Any) -> (AccessLogSink, Option<LogFormat>) {
    let log_format = |it| format(at.field("log_format"), it);
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

fn file(at: At<'_>, it: FileAccessLog) -> (AccessLogSink, Option<LogFormat>) {
    use file_access_log::AccessLogFormat;
    let FileAccessLog { path, access_log_format } = it;
    let format = match access_log_format {
        Some(AccessLogFormat::LogFormat(it)) => Some(format(at.field("log_format"), it)),
        Some(AccessLogFormat::Format(text)) => wire::optional_text(text).map(LogFormat::from),
        // Deprecated, and since Envoy 1.30 the same.
        Some(AccessLogFormat::JsonFormat(fields) | AccessLogFormat::TypedJsonFormat(fields)) => {
            let content = LogContent::Json(metadata::json_map(fields));
            Some(LogFormat { content, omit_empty_values: false })
        }
        None => None,
    };
    (AccessLogSink::File(wire::required(at.field("path"), path)), format)
}

/// A format of text or JSON.
pub(super) fn format(at: At<'_>, mut it: core::SubstitutionFormatString) -> LogFormat {
    use core::substitution_format_string::Format;
    let omit_empty_values = std::mem::take(&mut it.omit_empty_values);
    let Some(Format::JsonFormat(fields)) = it.format else {
        return LogFormat { content: wire::text_format(at, it), omit_empty_values };
    };
    let core::SubstitutionFormatString { content_type, formatters, json_format_options, .. } = it;
    refuse!(at; formatters);
    // It is for local replies. Fields are sorted in any case: the order is nobody's but ours.
    harmless!(NoSuchMechanism; content_type, json_format_options);
    LogFormat { content: LogContent::Json(metadata::json_map(fields)), omit_empty_values }
}

pub(super) fn filter(at: At<'_>, it: accesslog::AccessLogFilter) -> Option<AccessLogFilter> {
    let unsupported = |name| {
        at.unsupported(name);
        None
    };
    Some(match it.filter_specifier {
        Some(FilterSpecifier::ResponseFlagFilter(accesslog::ResponseFlagFilter { flags })) => {
            AccessLogFilter::ResponseFlags(wire::texts(flags))
        }
        Some(FilterSpecifier::StatusCodeFilter(accesslog::StatusCodeFilter { comparison: it })) => {
            AccessLogFilter::Status(comparison(at.field("status_code_filter"), it))
        }
        Some(FilterSpecifier::DurationFilter(accesslog::DurationFilter { comparison: it })) => {
            AccessLogFilter::Duration(comparison(at.field("duration_filter"), it))
        }
        Some(FilterSpecifier::NotHealthCheckFilter(_)) => AccessLogFilter::NotHealthCheck,
        Some(FilterSpecifier::TraceableFilter(_)) => AccessLogFilter::Traceable,
        Some(FilterSpecifier::RuntimeFilter(it)) => runtime(at.field("runtime_filter"), it),
        Some(FilterSpecifier::AndFilter(accesslog::AndFilter { filters: all })) => {
            AccessLogFilter::And(filters(at.field("and_filter"), all))
        }
        Some(FilterSpecifier::OrFilter(accesslog::OrFilter { filters: all })) => {
            AccessLogFilter::Or(filters(at.field("or_filter"), all))
        }
        Some(FilterSpecifier::HeaderFilter(accesslog::HeaderFilter { header })) => {
            let at = at.field("header_filter");
            let at = at.field("header");
            let Some(header) = header else {
                at.refuse("is required");
                return None;
            };
            AccessLogFilter::Header(Box::new(matcher::header(at, header)))
        }
        Some(FilterSpecifier::GrpcStatusFilter(it)) => grpc_status(at.field("grpc_status_filter"), it)?,
        Some(FilterSpecifier::LogTypeFilter(it)) => log_type(it),
        Some(FilterSpecifier::ExtensionFilter(_)) => return unsupported("extension_filter"),
        Some(FilterSpecifier::MetadataFilter(_)) => return unsupported("metadata_filter"),
        None => {
            at.refuse("names no filter");
            return None;
        }
    })
}

fn filters(at: At<'_>, all: Vec<accesslog::AccessLogFilter>) -> Vec<AccessLogFilter> {
    if all.len() < 2 {
        at.field("filters").refuse("at least two are required");
    }
    all.into_iter().enumerate().filter_map(|(index, it)| filter(at.index("filters", index), it)).collect()
}

fn comparison(at: At<'_>, it: Option<accesslog::ComparisonFilter>) -> Comparison {
    use accesslog::comparison_filter::Op;
    let at = at.field("comparison");
    let Some(accesslog::ComparisonFilter { op, value: Some(value) }) = it else {
        at.refuse("a value to compare with is required");
        return Comparison { op: ComparisonOp::Equal, value: 0 };
    };
    let op = match Op::try_from(op) {
        Ok(Op::Eq) => ComparisonOp::Equal,
        Ok(Op::Ge) => ComparisonOp::AtLeast,
        Ok(Op::Le) => ComparisonOp::AtMost,
        Ok(Op::Ne) => ComparisonOp::NotEqual,
        Err(_) => {
            at.field("op").refuse("is unknown");
            ComparisonOp::Equal
        }
    };
    let core::RuntimeUInt32 { default_value, runtime_key } = value;
    harmless!(Runtime; runtime_key);
    Comparison { op, value: default_value }
}

fn runtime(at: At<'_>, it: accesslog::RuntimeFilter) -> AccessLogFilter {
    let accesslog::RuntimeFilter { runtime_key, percent_sampled, use_independent_randomness } = it;
    harmless!(Runtime; runtime_key);
    // Without runtime and without a default nothing is sampled.
    let share = match percent_sampled {
        Some(share) => matcher::fraction(at.field("percent_sampled"), Some(share)),
        None => Fraction::NONE,
    };
    AccessLogFilter::Runtime { share, independent: use_independent_randomness }
}

fn grpc_status(at: At<'_>, it: accesslog::GrpcStatusFilter) -> Option<AccessLogFilter> {
    let accesslog::GrpcStatusFilter { statuses, exclude } = it;
    let statuses: Result<Vec<u32>, _> = statuses.into_iter().map(u32::try_from).collect();
    match statuses {
        Ok(statuses) => Some(AccessLogFilter::GrpcStatus { statuses, exclude }),
        Err(_) => {
            at.field("statuses").refuse("has an unknown status");
            None
        }
    }
}

/// Types that we never write match no record.
fn log_type(it: accesslog::LogTypeFilter) -> AccessLogFilter {
    use crate::pb::accesslog_data::AccessLogType;
    let accesslog::LogTypeFilter { types, exclude } = it;
    let ours = |ty| match AccessLogType::try_from(ty) {
        Ok(AccessLogType::NotSet) => Some(LogType::NotSet),
        Ok(AccessLogType::TcpConnectionEnd) => Some(LogType::TcpConnectionEnd),
        Ok(AccessLogType::DownstreamEnd) => Some(LogType::DownstreamEnd),
        _ => None,
    };
    AccessLogFilter::LogType { types: types.into_iter().filter_map(ours).collect(), exclude }
}
