//! Access logs.

use stdx::Str;

/// One access log of a listener, connection manager or TCP proxy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccessLog {
    pub sink: AccessLogSink,
    /// Envoy's text format with a newline at its end; `None` is Envoy's default format.
    pub format: Option<Str>,
    pub filter: Option<AccessLogFilter>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AccessLogSink {
    File(Str),
    Stdout,
    Stderr,
}

/// Which records are written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AccessLogFilter {
    /// Those with one of these flags; empty: with any flag.
    ResponseFlags(Vec<Str>),
    /// Those whose status is at least this.
    StatusAtLeast(u32),
}
