//! Access logs: what happened to a request or connection, in Envoy's format language.

mod filter;
pub mod format;
mod json;
mod operator;
pub mod record;
pub mod sink;
pub mod time;

use std::borrow::Cow;
use std::sync::Arc;

use ir::access_log::AccessLogSink;

pub use filter::LogFilter;
pub use format::{Format, Template};
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

/// Header values at the time of logging.
pub trait Headers {
    /// The value of a request header or pseudo-header, by lower-case name.
    fn request(&self, name: &str) -> Option<Cow<'_, [u8]>>;
    fn response(&self, name: &str) -> Option<Cow<'_, [u8]>>;
    fn trailer(&self, name: &str) -> Option<Cow<'_, [u8]>>;
    /// The request as filters judge it.
    fn head(&self) -> Option<&upstream::RequestHead> {
        None
    }
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
            Some(format) => Format::compile(format).map_err(|wrong| problem("format", wrong.to_string()))?,
            None => Format::envoy_default(),
        };
        let filter = match &log.filter {
            None => LogFilter::All,
            Some(filter) => LogFilter::compile(filter)
                .map_err(|problem| problem.inside(format!("access_log[{i}].filter")))?,
        };
        Ok(AccessLog { sink: log.sink.clone(), format, filter })
    };
    logs.iter().enumerate().map(one).collect()
}

/// Writes an entry to every log whose filter lets it pass.
pub fn write(logs: &[AccessLog], entry: &Entry<'_>, buffers: &LogBuffers) {
    let roll = || buffers.roll();
    for log in logs {
        if log.filter.passes(entry, &roll) {
            buffers.append(&log.sink, |out| log.format.write(entry, out));
        }
    }
}
