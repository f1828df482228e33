//! Access logs.

use ir::access_log::{AccessLogFilter, Comparison, ComparisonOp, LogContent, LogFormat, LogType};
use ir::{AccessLog, AccessLogSink};

use super::{matcher, wire};
use crate::names;
use crate::pb::accesslog_data::AccessLogType;
use crate::pb::{accesslog, core, file_log, stream_log};

pub(super) fn access_logs(logs: &[AccessLog]) -> Vec<accesslog::AccessLog> {
    logs.iter().map(access_log).collect()
}

fn access_log(it: &AccessLog) -> accesslog::AccessLog {
    let format = it.format.as_ref().map(format);
    let (name, config) = match &it.sink {
        AccessLogSink::File(path) => {
            let access_log_format = format.map(file_log::file_access_log::AccessLogFormat::LogFormat);
            let log = file_log::FileAccessLog { path: path.to_string(), access_log_format };
            (names::FILE_ACCESS_LOG, wire::pack(&log))
        }
        AccessLogSink::Stdout => {
            let access_log_format = format.map(stream_log::stdout_access_log::AccessLogFormat::LogFormat);
            (names::STDOUT_ACCESS_LOG, wire::pack(&stream_log::StdoutAccessLog { access_log_format }))
        }
        AccessLogSink::Stderr => {
            let access_log_format = format.map(stream_log::stderr_access_log::AccessLogFormat::LogFormat);
            (names::STDERR_ACCESS_LOG, wire::pack(&stream_log::StderrAccessLog { access_log_format }))
        }
    };
    accesslog::AccessLog {
        name: name.into(),
        filter: it.filter.as_ref().map(filter),
        config_type: Some(accesslog::access_log::ConfigType::TypedConfig(config)),
    }
}

pub(super) fn format(it: &LogFormat) -> core::SubstitutionFormatString {
    use core::data_source::Specifier;
    use core::substitution_format_string::Format;
    let mut format = match &it.content {
        LogContent::Text(text) => wire::format_string(text.to_string()),
        LogContent::File(path) => wire::format_source(Specifier::Filename(path.to_string())),
        LogContent::Environment(name) => {
            wire::format_source(Specifier::EnvironmentVariable(name.to_string()))
        }
        LogContent::Json(fields) => core::SubstitutionFormatString {
            format: Some(Format::JsonFormat(wire::json_struct(fields))),
            // A line that is the same from one proxy to the next.
            json_format_options: Some(core::JsonFormatOptions { sort_properties: true }),
            ..Default::default()
        },
    };
    format.omit_empty_values = it.omit_empty_values;
    format
}

pub(super) fn filter(it: &AccessLogFilter) -> accesslog::AccessLogFilter {
    use accesslog::access_log_filter::FilterSpecifier;
    let all = |filters: &[AccessLogFilter]| filters.iter().map(filter).collect();
    let specifier = match it {
        AccessLogFilter::ResponseFlags(flags) => {
            FilterSpecifier::ResponseFlagFilter(accesslog::ResponseFlagFilter { flags: wire::texts(flags) })
        }
        AccessLogFilter::Status(it) => FilterSpecifier::StatusCodeFilter(accesslog::StatusCodeFilter {
            comparison: Some(comparison(*it, "access_log.status")),
        }),
        AccessLogFilter::Duration(it) => FilterSpecifier::DurationFilter(accesslog::DurationFilter {
            comparison: Some(comparison(*it, "access_log.duration")),
        }),
        AccessLogFilter::NotHealthCheck => FilterSpecifier::NotHealthCheckFilter(Default::default()),
        AccessLogFilter::Traceable => FilterSpecifier::TraceableFilter(Default::default()),
        AccessLogFilter::Runtime { share, independent } => {
            FilterSpecifier::RuntimeFilter(accesslog::RuntimeFilter {
                // Required, though nothing sets it.
                runtime_key: "access_log.sampled".into(),
                percent_sampled: Some(matcher::fraction(*share)),
                use_independent_randomness: *independent,
            })
        }
        AccessLogFilter::And(filters) => {
            FilterSpecifier::AndFilter(accesslog::AndFilter { filters: all(filters) })
        }
        AccessLogFilter::Or(filters) => {
            FilterSpecifier::OrFilter(accesslog::OrFilter { filters: all(filters) })
        }
        AccessLogFilter::Header(header) => {
            FilterSpecifier::HeaderFilter(accesslog::HeaderFilter { header: Some(matcher::header(header)) })
        }
        AccessLogFilter::GrpcStatus { statuses, exclude } => {
            // Decoded from what fits.
            let statuses = statuses.iter().filter_map(|status| i32::try_from(*status).ok()).collect();
            FilterSpecifier::GrpcStatusFilter(accesslog::GrpcStatusFilter { statuses, exclude: *exclude })
        }
        AccessLogFilter::LogType { types, exclude } => {
            let ty = |ty: &LogType| {
                i32::from(match ty {
                    LogType::NotSet => AccessLogType::NotSet,
                    LogType::TcpConnectionEnd => AccessLogType::TcpConnectionEnd,
                    LogType::DownstreamEnd => AccessLogType::DownstreamEnd,
                })
            };
            let types = types.iter().map(ty).collect();
            FilterSpecifier::LogTypeFilter(accesslog::LogTypeFilter { types, exclude: *exclude })
        }
    };
    accesslog::AccessLogFilter { filter_specifier: Some(specifier) }
}

fn comparison(it: Comparison, runtime_key: &str) -> accesslog::ComparisonFilter {
    use accesslog::comparison_filter::Op;
    let op = match it.op {
        ComparisonOp::Equal => Op::Eq,
        ComparisonOp::AtLeast => Op::Ge,
        ComparisonOp::AtMost => Op::Le,
        ComparisonOp::NotEqual => Op::Ne,
    };
    // Envoys before 1.40 demand a runtime key, though nothing sets it.
    let value = core::RuntimeUInt32 { default_value: it.value, runtime_key: runtime_key.into() };
    accesslog::ComparisonFilter { op: op.into(), value: Some(value) }
}
