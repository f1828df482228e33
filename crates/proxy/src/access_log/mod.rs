//! Access logs: what happened to a request or connection, in Envoy's format language.

pub mod format;
mod operator;
pub mod record;
pub mod sink;
pub mod time;

use std::borrow::Cow;
use std::sync::Arc;

use ir::access_log::{AccessLogFilter, AccessLogSink};

pub use format::Format;
pub use record::{Flag, Flags, Record};
pub use sink::{LogBuffers, LogReopener, LogWriter};

use crate::connection::ConnInfo;

/// One compiled access log.
#[derive(Debug)]
pub struct AccessLog {
    pub sink: AccessLogSink,
    pub format: Format,
    pub filter: LogFilter,
}

/// Which records are written.
#[derive(Debug)]
pub enum LogFilter {
    All,
    Flags(Flags),
    StatusAtLeast(u32),
}

impl LogFilter {
    /// Whether a response with that status may be written, whatever else comes of it.
    pub fn may_pass(&self, status: u16) -> bool {
        match self {
            LogFilter::All | LogFilter::Flags(_) => true,
            LogFilter::StatusAtLeast(least) => u32::from(status) >= *least,
        }
    }
}

/// Header values at the time of logging.
pub trait Headers {
    /// The value of a request header or pseudo-header, by lower-case name.
    fn request(&self, name: &str) -> Option<Cow<'_, [u8]>>;
    fn response(&self, name: &str) -> Option<Cow<'_, [u8]>>;
    fn trailer(&self, name: &str) -> Option<Cow<'_, [u8]>>;
}

/// A connection without requests has no headers.
pub struct NoHeaders;

impl Headers for NoHeaders {
    fn request(&self, _: &str) -> Option<Cow<'_, [u8]>> {
        None
    }
    fn response(&self, _: &str) -> Option<Cow<'_, [u8]>> {
        None
    }
    fn trailer(&self, _: &str) -> Option<Cow<'_, [u8]>> {
        None
    }
}

/// Everything an access log may say.
pub struct Entry<'a> {
    pub record: &'a Record,
    pub conn: &'a ConnInfo,
    pub headers: &'a dyn Headers,
}

/// Compiles the access logs of a listener, connection manager or TCP proxy.
///
/// # Errors
/// An operator or flag that is not known, by field.
pub fn compile(logs: &[ir::AccessLog]) -> Result<Arc<[AccessLog]>, engine::Problem> {
    let one = |(i, log): (usize, &ir::AccessLog)| -> Result<AccessLog, engine::Problem> {
        let problem =
            |field: &str, message: String| engine::Problem::new(format!("access_log[{i}].{field}"), message);
        let format = match &log.format {
            Some(text) => Format::parse(text).map_err(|m| problem("format", m))?,
            None => Format::envoy_default(),
        };
        let filter = match &log.filter {
            None => LogFilter::All,
            Some(AccessLogFilter::StatusAtLeast(status)) => LogFilter::StatusAtLeast(*status),
            Some(AccessLogFilter::ResponseFlags(names)) if names.is_empty() => LogFilter::Flags(Flags::ALL),
            Some(AccessLogFilter::ResponseFlags(names)) => LogFilter::Flags(
                Flags::by_names(names).map_err(|m| problem("filter.response_flag_filter", m))?,
            ),
        };
        Ok(AccessLog { sink: log.sink.clone(), format, filter })
    };
    logs.iter().enumerate().map(one).collect()
}

/// Writes an entry to every log whose filter lets it pass.
pub fn write(logs: &[AccessLog], entry: &Entry<'_>, buffers: &LogBuffers) {
    for log in logs {
        let wanted = match &log.filter {
            LogFilter::All => true,
            LogFilter::Flags(flags) => entry.record.flags.intersects(*flags),
            LogFilter::StatusAtLeast(status) => u32::from(entry.record.status) >= *status,
        };
        if wanted {
            buffers.append(&log.sink, |out| log.format.write(entry, out));
        }
    }
}
