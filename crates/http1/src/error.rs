//! What can go wrong on a connection, typed so that it can become a status and a response flag.

use std::fmt;
use std::io;

/// Why bytes are not the HTTP/1.1 that we accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The request line or status line is malformed.
    StartLine,
    /// The method is no token.
    Method,
    /// The request target has forbidden bytes or no form of RFC 9112, section 3.2.
    Target,
    /// Neither HTTP/1.0 nor HTTP/1.1.
    Version,
    /// A field name is no token, or white space stands before the colon.
    FieldName,
    /// A field value has CR, LF, NUL or another control character.
    FieldValue,
    /// A field value goes on in the next line (`obs-fold`).
    LineFolding,
    /// A line ends in a bare LF.
    BareLineFeed,
    /// More bytes than [`crate::Limits::max_headers_kb`].
    HeadTooLarge,
    /// More lines than [`crate::Limits::max_headers_count`].
    TooManyHeaders,
    /// HTTP/1.1 without Host.
    HostMissing,
    /// More than one Host.
    HostDuplicate,
    /// Host is no `uri-host [":" port]`.
    HostInvalid,
    /// Content-Length is no plain number, a list, or too large.
    ContentLengthInvalid,
    /// More than one Content-Length.
    ContentLengthDuplicate,
    /// Both Content-Length and Transfer-Encoding.
    LengthAndEncoding,
    /// A transfer coding other than `chunked`.
    TransferEncodingUnknown,
    /// `chunked` more than once.
    TransferEncodingDuplicate,
    /// Transfer-Encoding in an HTTP/1.0 message.
    TransferEncodingInHttp10,
    /// An expectation other than `100-continue`.
    Expectation,
    /// CONNECT with a body.
    ConnectWithBody,
    /// A chunk's size is missing, no hexadecimal number or too large.
    ChunkSize,
    /// A chunk extension is malformed or too long.
    ChunkExtension,
    /// A chunk's data is not followed by CRLF.
    ChunkEnd,
    /// The trailer section is malformed or has a field that must not be in one.
    Trailers,
    /// Bytes where none may be: after a response, before a request.
    Unexpected,
}

impl Refusal {
    /// The status that a server answers with.
    pub fn status(self) -> u16 {
        match self {
            Refusal::HeadTooLarge | Refusal::TooManyHeaders => 431,
            Refusal::TransferEncodingUnknown => 501,
            Refusal::Version => 505,
            Refusal::Expectation => 417,
            _ => 400,
        }
    }

    /// A detail for logs, in the manner of Envoy's `http1.…` response code details.
    pub fn as_str(self) -> &'static str {
        match self {
            Refusal::StartLine => "http1.invalid_start_line",
            Refusal::Method => "http1.invalid_method",
            Refusal::Target => "http1.invalid_url",
            Refusal::Version => "http1.unsupported_version",
            Refusal::FieldName => "http1.invalid_header_name",
            Refusal::FieldValue => "http1.invalid_characters",
            Refusal::LineFolding => "http1.line_folding",
            Refusal::BareLineFeed => "http1.bare_line_feed",
            Refusal::HeadTooLarge => "http1.headers_too_large",
            Refusal::TooManyHeaders => "http1.too_many_headers",
            Refusal::HostMissing => "http1.missing_host",
            Refusal::HostDuplicate => "http1.duplicate_host",
            Refusal::HostInvalid => "http1.invalid_host",
            Refusal::ContentLengthInvalid => "http1.invalid_content_length",
            Refusal::ContentLengthDuplicate => "http1.duplicate_content_length",
            Refusal::LengthAndEncoding => "http1.content_length_and_chunked_not_allowed",
            Refusal::TransferEncodingUnknown => "http1.invalid_transfer_encoding",
            Refusal::TransferEncodingDuplicate => "http1.duplicate_transfer_encoding",
            Refusal::TransferEncodingInHttp10 => "http1.transfer_encoding_in_http10",
            Refusal::Expectation => "http1.unknown_expectation",
            Refusal::ConnectWithBody => "http1.body_disallowed",
            Refusal::ChunkSize => "http1.invalid_chunk_size",
            Refusal::ChunkExtension => "http1.invalid_chunk_extension",
            Refusal::ChunkEnd => "http1.invalid_chunk_end",
            Refusal::Trailers => "http1.invalid_trailers",
            Refusal::Unexpected => "http1.unexpected_bytes",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::error::Error for Refusal {}

/// Why a head could not be read.
#[derive(Debug)]
pub enum ReadError {
    /// The socket failed.
    Io(io::Error),
    /// The peer sent something that we do not accept.
    Refused(Refusal),
    /// The peer closed the connection in the middle of a head, or (client side) before any of it.
    Closed,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Io(error) => error.fmt(f),
            ReadError::Refused(refusal) => refusal.fmt(f),
            ReadError::Closed => f.write_str("connection closed before the end of a head"),
        }
    }
}

impl std::error::Error for ReadError {}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        ReadError::Io(error)
    }
}

impl From<Refusal> for ReadError {
    fn from(refusal: Refusal) -> Self {
        ReadError::Refused(refusal)
    }
}

/// Why a body ended early. For bodies of either protocol.
#[derive(Debug)]
pub enum BodyError {
    /// The socket failed.
    Io(io::Error),
    /// The framing is malformed.
    Refused(Refusal),
    /// The peer closed the connection before the body's end.
    Incomplete,
    /// An HTTP/2 stream was reset, with this error code.
    Reset(u32),
    /// Whoever gives the body stopped it (a timeout, a limit), and why.
    Stopped(&'static str),
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BodyError::Io(error) => error.fmt(f),
            BodyError::Refused(refusal) => refusal.fmt(f),
            BodyError::Incomplete => f.write_str("connection closed before the end of a body"),
            BodyError::Reset(code) => write!(f, "stream reset with code {code}"),
            BodyError::Stopped(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for BodyError {}

impl From<io::Error> for BodyError {
    fn from(error: io::Error) -> Self {
        BodyError::Io(error)
    }
}

impl From<Refusal> for BodyError {
    fn from(refusal: Refusal) -> Self {
        BodyError::Refused(refusal)
    }
}
