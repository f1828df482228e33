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
    #[inline]
    pub fn is_empty(&self) -> bool {
        let HeaderEdits { request_add, request_remove, response_add, response_remove } = self;
        request_add.is_empty()
            && request_remove.is_empty()
            && response_add.is_empty()
            && response_remove.is_empty()
    }
}

/// A header to write.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeaderValue {
    /// Lower case.
    pub name: Str,
    pub value: HeaderText,
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

/// The value of a header to write.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HeaderText {
    /// As it stands.
    Literal(Str),
    /// With at least one of Envoy's `%COMMAND%` operators; `%%` is a percent sign. See
    /// <https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/advanced/substitution_formatter>.
    Format {
        text: Str,
        /// A value that turns out empty is written; else the header is left out.
        keep_empty: bool,
    },
}

impl HeaderText {
    /// What Envoy reads: a format, if there is an operator in it.
    pub fn read(text: Str, keep_empty: bool) -> Self {
        if !text.contains('%') {
            return HeaderText::Literal(text);
        }
        match text.replace("%%", "").contains('%') {
            true => HeaderText::Format { text, keep_empty },
            false => HeaderText::Literal(text.replace("%%", "%").into()),
        }
    }

    pub fn is_format(&self) -> bool {
        matches!(self, HeaderText::Format { .. })
    }
}

impl std::fmt::Display for HeaderText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (HeaderText::Literal(text) | HeaderText::Format { text, .. }) = self;
        f.write_str(text)
    }
}

impl<T: Into<Str>> From<T> for HeaderText {
    fn from(text: T) -> Self {
        HeaderText::Literal(text.into())
    }
}
