//! Edits of headers.

use ir::route::{AppendAction, HeaderEdits, HeaderText, HeaderValue};

use super::wire;
use crate::pb::core::{self, header_value_option::HeaderAppendAction};

pub(super) struct Edits {
    pub request_add: Vec<core::HeaderValueOption>,
    pub request_remove: Vec<String>,
    pub response_add: Vec<core::HeaderValueOption>,
    pub response_remove: Vec<String>,
}

pub(super) fn edits(it: &HeaderEdits) -> Edits {
    Edits {
        request_add: it.request_add.iter().map(header_value).collect(),
        request_remove: wire::texts(&it.request_remove),
        response_add: it.response_add.iter().map(header_value).collect(),
        response_remove: wire::texts(&it.response_remove),
    }
}

pub(super) fn header_value(it: &HeaderValue) -> core::HeaderValueOption {
    let action = match it.action {
        AppendAction::AppendIfExistsOrAdd => HeaderAppendAction::AppendIfExistsOrAdd,
        AppendAction::AddIfAbsent => HeaderAppendAction::AddIfAbsent,
        AppendAction::OverwriteIfExistsOrAdd => HeaderAppendAction::OverwriteIfExistsOrAdd,
        AppendAction::OverwriteIfExists => HeaderAppendAction::OverwriteIfExists,
    };
    let (value, keep_empty_value) = match &it.value {
        // Without it Envoy leaves a header with an empty value out.
        HeaderText::Literal(text) => (wire::literal(text), text.is_empty()),
        HeaderText::Format { text, keep_empty } => (text.to_string(), *keep_empty),
    };
    core::HeaderValueOption {
        header: Some(core::HeaderValue { key: it.name.to_string(), value, ..Default::default() }),
        append_action: action.into(),
        keep_empty_value,
        ..Default::default()
    }
}
