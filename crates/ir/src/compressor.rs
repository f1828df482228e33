//! Compressing responses.

use stdx::Str;

use crate::StringMatcher;

/// `envoy.extensions.filters.http.compressor.v3.Compressor` with gzip, for responses.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Compressor {
    /// The name of `compressor_library`, which is in the names of statistics.
    pub library: Str,
    /// 1 to 9. `None` is zlib's 6.
    pub level: Option<u32>,
    /// Off: only routes that override it have it.
    pub enabled: bool,
    /// Bytes. `None` is Envoy's 30. Less is not compressed, where the length is known.
    pub min_content_length: Option<u32>,
    /// Of types without their parameters; empty: Envoy's list.
    pub content_types: Vec<StringMatcher>,
    pub disable_on_etag_header: bool,
    /// A strong tag becomes a weak one, and is neither dropped nor in the way.
    pub weaken_etag: bool,
    pub remove_accept_encoding_header: bool,
    pub uncompressible_status_codes: Vec<u16>,
}

/// `envoy.extensions.filters.http.compressor.v3.CompressorPerRoute`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CompressorOverride {
    Disabled,
    /// Switches it on where the filter is off.
    Enabled {
        remove_accept_encoding_header: Option<bool>,
    },
}
