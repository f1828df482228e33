//! Edits of headers.

use stdx::Str;

/// Edits of the headers of requests and responses.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeaderEdits {
    pub request_add: Vec<HeaderValue>,
    /// Lower case. Removed before the additions.
    pub request_remove: Vec<Str>,
    pub response_add: Vec<HeaderValue>,
    pub response_remove: Vec<Str>,
}

impl HeaderEdits {
    pub fn is_empty(&self) -> bool {
        *self == HeaderEdits::default()
    }
}

/// A header to write. Values are literal: Envoy's `%COMMAND%` operators are refused, save `%%`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeaderValue {
    /// Lower case.
    pub name: Str,
    pub value: Str,
    pub action: AppendAction,
}

/// `envoy.config.core.v3.HeaderValueOption.HeaderAppendAction`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AppendAction {
    #[default]
    AppendIfExistsOrAdd,
    AddIfAbsent,
    OverwriteIfExistsOrAdd,
    OverwriteIfExists,
}
