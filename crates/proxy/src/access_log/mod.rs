//! Access logs: what happened to a request or connection, in Envoy's format language.

mod filter;
pub mod record;
pub mod sink;
mod told;

use std::sync::Arc;

use ir::access_log::AccessLogSink;

pub use filter::LogFilter;
pub use record::{Flag, Flags, Record};
pub use sink::{LogBuffers, LogReopener, LogWriter};
pub use told::{Told, Tried};

use crate::format::{Asks, Entry, Format};

/// One compiled access log.
#[derive(Debug)]
pub struct AccessLog {
    pub sink: AccessLogSink,
    pub format: Format,
    pub filter: LogFilter,
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
            Some(format) => Format::compile(format).map_err(|wrong| problem("format", wrong))?,
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

/// What logs tell of certificates and exchanges.
pub fn asks(logs: &[AccessLog]) -> Asks {
    let mut asks = Asks::default();
    logs.iter().for_each(|log| asks |= log.format.asks());
    asks
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
