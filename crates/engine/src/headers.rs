//! Edits of headers as values: who writes a head applies them.

use ir::header_mutation::Mutation;
use ir::route::{AppendAction, HeaderEdits, HeaderValue};
use stdx::Str;

/// One edit of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit<'a> {
    Remove(&'a Str),
    /// Adds another value.
    Append(&'a Str, &'a Str),
    /// Replaces all values.
    Set(&'a Str, &'a Str),
    SetIfPresent(&'a Str, &'a Str),
    AddIfAbsent(&'a Str, &'a Str),
}

/// The edits of a request, in the order of application: the most specific level first
/// (weighted cluster, route, virtual host, configuration), removals before additions within
/// a level, as Envoy does.
pub fn of_request<'a>(levels: impl IntoIterator<Item = &'a HeaderEdits>) -> impl Iterator<Item = Edit<'a>> {
    levels.into_iter().flat_map(|edits| edits_of(&edits.request_add, &edits.request_remove))
}

/// The edits of a response, in the same order.
pub fn of_response<'a>(levels: impl IntoIterator<Item = &'a HeaderEdits>) -> impl Iterator<Item = Edit<'a>> {
    levels.into_iter().flat_map(|edits| edits_of(&edits.response_add, &edits.response_remove))
}

/// Edits that only add.
pub fn additions(all: &[HeaderValue]) -> impl Iterator<Item = Edit<'_>> {
    all.iter().map(addition)
}

/// The edits of the header mutation filter.
pub fn mutations(all: &[Mutation]) -> impl Iterator<Item = Edit<'_>> {
    all.iter().map(|mutation| match mutation {
        Mutation::Remove(name) => Edit::Remove(name),
        Mutation::Set(header) => addition(header),
    })
}

fn edits_of<'a>(add: &'a [HeaderValue], remove: &'a [Str]) -> impl Iterator<Item = Edit<'a>> {
    // Envoy removes first, so that a value set at the same level stays.
    remove.iter().map(Edit::Remove).chain(additions(add))
}

fn addition(header: &HeaderValue) -> Edit<'_> {
    match header.action {
        AppendAction::AppendIfExistsOrAdd => Edit::Append(&header.name, &header.value),
        AppendAction::AddIfAbsent => Edit::AddIfAbsent(&header.name, &header.value),
        AppendAction::OverwriteIfExistsOrAdd => Edit::Set(&header.name, &header.value),
        AppendAction::OverwriteIfExists => Edit::SetIfPresent(&header.name, &header.value),
    }
}
