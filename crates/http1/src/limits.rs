//! Bounds on what a peer can make us keep. Named and defaulted as Envoy's.

/// Bounds of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a head or trailer section, in KiB (`max_request_headers_kb`,
    /// `max_response_headers_kb`). More is [`crate::Refusal::HeadTooLarge`].
    pub max_headers_kb: u32,
    /// Header lines of a head or trailer section (`max_headers_count`).
    pub max_headers_count: u32,
}

impl Limits {
    /// Of a head or trailer section, in bytes.
    pub fn max_head_bytes(&self) -> usize {
        (self.max_headers_kb as usize).saturating_mul(1024)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits { max_headers_kb: 60, max_headers_count: 100 }
    }
}
