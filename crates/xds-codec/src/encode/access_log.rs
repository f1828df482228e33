//! Access logs.

use ir::access_log::AccessLogFilter;
use ir::{AccessLog, AccessLogSink};

use super::wire;
use crate::names;
use crate::pb::{accesslog, core, file_log, stream_log};

pub(super) fn access_logs(logs: &[AccessLog]) -> Vec<accesslog::AccessLog> {
    logs.iter().map(access_log).collect()
}

fn access_log(it: &AccessLog) -> accesslog::AccessLog {
    let format = it.format.as_ref().map(|format| wire::format_string(format.to_string()));
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

fn filter(it: &AccessLogFilter) -> accesslog::AccessLogFilter {
    use accesslog::access_log_filter::FilterSpecifier;
    let specifier = match it {
        AccessLogFilter::ResponseFlags(flags) => {
            FilterSpecifier::ResponseFlagFilter(accesslog::ResponseFlagFilter { flags: wire::texts(flags) })
        }
        AccessLogFilter::StatusAtLeast(status) => {
            // Envoys before 1.40 demand a runtime key, though nothing sets it.
            let value = core::RuntimeUInt32 {
                default_value: *status,
                runtime_key: "access_log.status_at_least".into(),
            };
            let comparison = accesslog::ComparisonFilter {
                op: accesslog::comparison_filter::Op::Ge.into(),
                value: Some(value),
            };
            FilterSpecifier::StatusCodeFilter(accesslog::StatusCodeFilter { comparison: Some(comparison) })
        }
    };
    accesslog::AccessLogFilter { filter_specifier: Some(specifier) }
}
