//! Where the body of an answer of ours comes from.

use std::sync::Arc;

use stdx::Str;

/// `envoy.config.core.v3.DataSource`, of a body.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BodySource {
    Inline(Arc<[u8]>),
    /// Read once, when the configuration takes effect.
    File(Str),
    /// A variable of the proxy's environment.
    Environment(Str),
}

impl BodySource {
    /// The bytes, where these are in the configuration itself.
    pub fn inline(&self) -> Option<&Arc<[u8]>> {
        match self {
            BodySource::Inline(bytes) => Some(bytes),
            BodySource::File(_) | BodySource::Environment(_) => None,
        }
    }
}

impl Default for BodySource {
    /// No body.
    fn default() -> Self {
        BodySource::Inline(Arc::default())
    }
}

impl<T: AsRef<str>> From<T> for BodySource {
    fn from(text: T) -> Self {
        BodySource::Inline(text.as_ref().as_bytes().into())
    }
}
