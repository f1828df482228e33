//! Compressing requests and responses.

use stdx::Str;

use crate::StringMatcher;

/// `envoy.extensions.filters.http.compressor.v3.Compressor`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Compressor {
    pub library: CompressorLibrary,
    /// It is preferred among those that the client likes as well.
    pub choose_first: bool,
    /// `None`: requests go on as they came.
    pub request: Option<Direction>,
    pub response: Direction,
    /// There is no `response_direction_config`: names of statistics of responses have no `response.` in them.
    pub plain_stats: bool,
    pub disable_on_etag_header: bool,
    /// A strong tag becomes a weak one, and is neither dropped nor in the way.
    pub weaken_etag: bool,
    pub remove_accept_encoding_header: bool,
    pub uncompressible_status_codes: Vec<u16>,
    /// `status_header_enabled`: clients are told in `x-envoy-compression-status`.
    pub status_header: bool,
}

/// What requests and responses have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Direction {
    /// Off: only routes that override it have it.
    pub enabled: bool,
    /// Bytes. `None` is Envoy's 30. Less is not compressed, where the length is known.
    pub min_content_length: Option<u32>,
    /// Of types without their parameters; empty: Envoy's list.
    pub content_types: Vec<StringMatcher>,
}

impl Default for Direction {
    fn default() -> Self {
        Direction { enabled: true, min_content_length: None, content_types: Vec::new() }
    }
}

/// `compressor_library`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CompressorLibrary {
    /// A part of the names of statistics.
    pub name: Str,
    pub codec: Codec,
}

/// How bytes are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Codec {
    /// 1 to 9. `None` is zlib's 6.
    Gzip {
        level: Option<u32>,
    },
    Brotli(Brotli),
}

/// `envoy.extensions.compression.brotli.compressor.v3.Brotli`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Brotli {
    /// 0 to 11. `None` is Envoy's 3.
    pub quality: Option<u32>,
    /// 10 to 24. `None` is Envoy's 18.
    pub window_bits: Option<u32>,
    pub mode: BrotliMode,
    pub disable_literal_context_modeling: bool,
}

/// What the text is like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BrotliMode {
    #[default]
    Generic,
    Text,
    Font,
}

/// `envoy.extensions.filters.http.compressor.v3.CompressorPerRoute`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CompressorOverride {
    Disabled,
    Overrides {
        response: Option<ResponseOverride>,
        /// In place of the filter's, whose statistics stay.
        codec: Option<Codec>,
    },
}

/// Switches it on where the filter is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResponseOverride {
    pub remove_accept_encoding_header: Option<bool>,
}

impl CompressorOverride {
    pub fn codec(&self) -> Option<Codec> {
        match self {
            CompressorOverride::Overrides { codec, .. } => *codec,
            CompressorOverride::Disabled => None,
        }
    }
}
