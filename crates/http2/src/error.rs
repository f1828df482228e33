//! Why streams and connections end.

use std::fmt;
use std::io;
use std::rc::Rc;

/// An error code of RFC 9113, section 7. Codes that are not known there are kept as they came.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Reason(pub u32);

macro_rules! reasons {
    ($($name:ident = $code:literal)*) => {
        #[allow(missing_docs)]
        impl Reason {
            $(pub const $name: Reason = Reason($code);)*

            /// The name that the RFC has for it.
            pub fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($code => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

reasons! {
    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "error code {}", self.0),
        }
    }
}

impl fmt::Debug for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a stream, or with it the whole connection, is over.
#[derive(Clone, Debug)]
pub enum Error {
    /// The stream: by the peer's RST_STREAM.
    Reset(Reason),
    /// The stream: by us, because of what the peer sent on it.
    Refused(Reason),
    /// The connection: the peer's GOAWAY says that it did not look at this stream, or takes no more.
    GoneAway(Reason),
    /// The connection: by us, because of what the peer sent.
    Violation(Reason, &'static str),
    /// The connection: by us, for reasons of our own.
    ShutDown(Reason),
    /// The connection: the socket failed.
    Io(Rc<io::Error>),
    /// The connection: the peer closed it in the middle of this.
    Closed,
}

impl Error {
    /// The code that was told, or is to be told.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Error::Reset(reason)
            | Error::Refused(reason)
            | Error::GoneAway(reason)
            | Error::Violation(reason, _)
            | Error::ShutDown(reason) => Some(*reason),
            Error::Io(_) | Error::Closed => None,
        }
    }

    /// Other streams of the connection are over, too, or will be.
    pub fn is_of_connection(&self) -> bool {
        !matches!(self, Error::Reset(_) | Error::Refused(_))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Reset(reason) => write!(f, "stream reset by the peer: {reason}"),
            Error::Refused(reason) => write!(f, "stream reset: {reason}"),
            Error::GoneAway(reason) => write!(f, "the peer goes away: {reason}"),
            Error::Violation(reason, why) => write!(f, "the peer broke the protocol: {why} ({reason})"),
            Error::ShutDown(reason) => write!(f, "connection shut down: {reason}"),
            Error::Io(error) => error.fmt(f),
            Error::Closed => f.write_str("connection closed by the peer"),
        }
    }
}

impl std::error::Error for Error {}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Error::Io(Rc::new(error))
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Io(error) => io::Error::new(error.kind(), error.to_string()),
            Error::Closed => io::ErrorKind::ConnectionReset.into(),
            // The text only: what is of one thread cannot be in it.
            other => io::Error::new(io::ErrorKind::ConnectionReset, other.to_string()),
        }
    }
}

/// What a bad frame costs: its stream, or the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Stream(u32, Reason),
    Connection(Reason, &'static str),
}

/// A fault of the connection.
pub(crate) fn broken<T>(reason: Reason, why: &'static str) -> Result<T, Fault> {
    Err(Fault::Connection(reason, why))
}
