//! The filter that waits for whole requests.

/// `envoy.extensions.filters.http.buffer.v3.BufferPerRoute`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BufferOverride {
    Disabled,
    /// Bytes, at least 1.
    Limit(u32),
}
