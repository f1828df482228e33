//! Edits of headers.

use ir::route::{AppendAction, HeaderEdits, HeaderText, HeaderValue};
use stdx::Str;

use super::at::At;
use super::strict::refuse;
use super::wire;
use crate::pb::core::{self, header_value_option::HeaderAppendAction};

/// The four fields that a route configuration, a virtual host, a route and a weighted cluster have.
pub(super) struct Edits {
    pub request_add: Vec<core::HeaderValueOption>,
    pub request_remove: Vec<String>,
    pub response_add: Vec<core::HeaderValueOption>,
    pub response_remove: Vec<String>,
}

pub(super) fn edits(at: At<'_>, it: Edits) -> HeaderEdits {
    HeaderEdits {
        request_add: additions(at, "request_headers_to_add", it.request_add),
        request_remove: removals(at, "request_headers_to_remove", it.request_remove),
        response_add: additions(at, "response_headers_to_add", it.response_add),
        response_remove: removals(at, "response_headers_to_remove", it.response_remove),
    }
}

pub(super) fn additions(at: At<'_>, name: &str, all: Vec<core::HeaderValueOption>) -> Vec<HeaderValue> {
    wire::exact(all.into_iter().enumerate().map(|(index, it)| header_value(at.index(name, index), it)))
}

pub(super) fn removals(at: At<'_>, name: &str, all: Vec<String>) -> Vec<Str> {
    wire::exact(all.into_iter().enumerate().map(|(index, it)| header_name(at.index(name, index), it)))
}

pub(super) fn header_value(at: At<'_>, it: core::HeaderValueOption) -> HeaderValue {
    let core::HeaderValueOption { header, append, append_action, keep_empty_value } = it;
    let core::HeaderValue { key, value, raw_value } = header.unwrap_or_default();
    let header_at = at.field("header");
    {
        let at = header_at;
        refuse!(at; raw_value);
    }
    if value.is_empty() && !keep_empty_value {
        at.field("keep_empty_value").refuse("an empty value has no effect without it");
    }
    if !value.bytes().all(|b| b == b'\t' || (b >= b' ' && b != 0x7f)) {
        header_at.field("value").refuse("has control characters");
    }
    let action = match wire::enumeration(at.field("append_action"), append_action) {
        HeaderAppendAction::AppendIfExistsOrAdd => AppendAction::AppendIfExistsOrAdd,
        HeaderAppendAction::AddIfAbsent => AppendAction::AddIfAbsent,
        HeaderAppendAction::OverwriteIfExistsOrAdd => AppendAction::OverwriteIfExistsOrAdd,
        HeaderAppendAction::OverwriteIfExists => AppendAction::OverwriteIfExists,
    };
    HeaderValue {
        name: header_name(header_at.field("key"), key),
        value: HeaderText::read(value.into(), keep_empty_value),
        action: match append.map(|it| it.value) {
            // The older way to say it; Envoy refuses both at once.
            Some(_) if action != AppendAction::default() => {
                at.field("append").refuse("append and append_action must not both be set");
                action
            }
            Some(false) => AppendAction::OverwriteIfExistsOrAdd,
            Some(true) | None => action,
        },
    }
}

/// A header that is looked at, pseudo-headers included.
pub(super) fn read_name(at: At<'_>, name: String) -> Str {
    wire::required(at, name.to_ascii_lowercase())
}

/// A header that may be edited: routing has already looked at `host` and the pseudo-headers.
pub(super) fn header_name(at: At<'_>, name: String) -> Str {
    let name = name.to_ascii_lowercase();
    if name.is_empty() || !name.bytes().all(is_token) {
        at.refuse(format!("{name:?} is not a header that can be edited"));
    } else if name == "host" {
        at.refuse("host cannot be edited, only rewritten by host_rewrite_literal");
    }
    name.into()
}

/// `tchar` of RFC 9110; a pseudo-header's colon is none.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
