//! Access logs.

use std::collections::BTreeMap;

use stdx::Str;

use crate::bootstrap::Json;
use crate::matcher::{Fraction, HeaderMatcher};

/// One access log of a listener, connection manager or TCP proxy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AccessLog {
    pub sink: AccessLogSink,
    /// `None` is Envoy's default format.
    pub format: Option<LogFormat>,
    pub filter: Option<AccessLogFilter>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AccessLogSink {
    File(Str),
    Stdout,
    Stderr,
}

/// `envoy.config.core.v3.SubstitutionFormatString`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LogFormat {
    pub content: LogContent,
    /// A value that is missing is nothing, where else it is `-` (in JSON: `null`).
    pub omit_empty_values: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LogContent {
    /// Text with operators, its newline included.
    Text(Str),
    /// The same in a file, which is read when the configuration takes effect.
    File(Str),
    /// The same in a variable of the environment.
    Environment(Str),
    /// An object whose texts have operators. A newline follows.
    Json(BTreeMap<Str, Json>),
}

impl<T: Into<Str>> From<T> for LogFormat {
    fn from(text: T) -> Self {
        LogFormat { content: LogContent::Text(text.into()), omit_empty_values: false }
    }
}

/// Which records are written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AccessLogFilter {
    /// Those with one of these flags; empty: with any flag.
    ResponseFlags(Vec<Str>),
    Status(Comparison),
    /// Milliseconds.
    Duration(Comparison),
    NotHealthCheck,
    /// Those of requests that are traced.
    Traceable,
    /// A share of them.
    Runtime {
        share: Fraction,
        /// Else by the request's id, so that all proxies choose the same requests.
        independent: bool,
    },
    And(Vec<AccessLogFilter>),
    Or(Vec<AccessLogFilter>),
    /// By a request header.
    Header(Box<HeaderMatcher>),
    GrpcStatus {
        /// Numbers.
        statuses: Vec<u32>,
        exclude: bool,
    },
    LogType {
        types: Vec<LogType>,
        exclude: bool,
    },
}

/// `envoy.config.accesslog.v3.ComparisonFilter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Comparison {
    pub op: ComparisonOp,
    pub value: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ComparisonOp {
    Equal,
    AtLeast,
    AtMost,
    NotEqual,
}

impl Comparison {
    pub fn holds(&self, found: u64) -> bool {
        let value = u64::from(self.value);
        match self.op {
            ComparisonOp::Equal => found == value,
            ComparisonOp::AtLeast => found >= value,
            ComparisonOp::AtMost => found <= value,
            ComparisonOp::NotEqual => found != value,
        }
    }
}

/// `envoy.data.accesslog.v3.AccessLogType`: what a record is about, as far as we write such.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LogType {
    /// A connection that no filter chain served.
    #[default]
    NotSet,
    /// A TCP connection's end.
    TcpConnectionEnd,
    /// A request's end.
    DownstreamEnd,
}
