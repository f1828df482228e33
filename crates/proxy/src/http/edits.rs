//! Edits of headers, in Envoy's order: level by level, and in a level first what is removed.

use std::borrow::Cow;

use ir::header_mutation::Mutation;
use ir::route::{AppendAction, HeaderEdits, HeaderText, HeaderValue};
use stdx::Str;
use upstream::{RequestHead, ResponseHead};

use super::context::Context;
use super::seen::Seen;
use crate::format::{Entry, Values};

/// Edits that belong together: their values are formatted from what stood there before them.
#[derive(Clone, Copy)]
pub struct Level<'a> {
    pub remove: &'a [Str],
    pub add: &'a [HeaderValue],
    /// What is compiled of the formats; `None`: there are none.
    pub values: Option<&'a Values>,
}

impl<'a> Level<'a> {
    pub fn of_request(edits: &'a HeaderEdits, values: &'a Values) -> Self {
        Level { remove: &edits.request_remove, add: &edits.request_add, values: Some(values) }
    }

    pub fn of_response(edits: &'a HeaderEdits, values: &'a Values) -> Self {
        Level { remove: &edits.response_remove, add: &edits.response_add, values: Some(values) }
    }

    /// Values as they stand.
    pub fn literal(add: &'a [HeaderValue]) -> Self {
        Level { remove: &[], add, values: None }
    }

    /// Of the filter that edits headers each edit is a level of its own.
    pub fn mutations(all: &'a [Mutation], values: &'a Values) -> impl Iterator<Item = Self> + use<'a> {
        let values = Some(values);
        all.iter().map(move |mutation| match mutation {
            Mutation::Remove(name) => Level { remove: std::slice::from_ref(name), add: &[], values },
            Mutation::Set(value) => Level { remove: &[], add: std::slice::from_ref(value), values },
        })
    }

    fn has_formats(&self) -> bool {
        self.add.iter().any(|it| it.value.is_format())
    }

    /// What the formats among the values say, in their order.
    fn formatted(&self, ctx: &mut Context, response: Option<&ResponseHead>) -> Vec<Vec<u8>> {
        let Some(values) = self.values.filter(|_| self.has_formats()) else { return Vec::new() };
        ctx.measure();
        let seen = Seen { response, ..Seen::new(ctx) };
        let entry = Entry { record: &ctx.record, conn: &ctx.conn.info, headers: &seen };
        let formats = self.add.iter().filter_map(|it| match &it.value {
            HeaderText::Format { text, .. } => Some(values.format(text, &entry)),
            HeaderText::Literal(_) => None,
        });
        formats.collect()
    }
}

/// A header with the value that it is to have. Envoy adds none that turns out empty.
fn settle<'a>(
    add: &'a [HeaderValue],
    formatted: Vec<Vec<u8>>,
) -> impl Iterator<Item = (&'a Str, Cow<'a, [u8]>, AppendAction)> {
    let mut formatted = formatted.into_iter();
    add.iter().filter_map(move |it| {
        let value = match &it.value {
            HeaderText::Literal(text) => Cow::Borrowed(text.as_bytes()),
            HeaderText::Format { keep_empty, .. } => {
                Cow::Owned(formatted.next().filter(|value| *keep_empty || !value.is_empty())?)
            }
        };
        Some((&it.name, value, it.action))
    })
}

enum Edit {
    Append,
    Set,
    Nothing,
}

/// What an action comes to; `exists` is asked only where that matters.
fn edit(action: AppendAction, exists: impl FnOnce() -> bool) -> Edit {
    let sets = match action {
        AppendAction::AppendIfExistsOrAdd => return Edit::Append,
        AppendAction::OverwriteIfExistsOrAdd => true,
        AppendAction::OverwriteIfExists => exists(),
        AppendAction::AddIfAbsent => !exists(),
    };
    if sets { Edit::Set } else { Edit::Nothing }
}

/// Edits the request.
pub fn apply_to_request<'a>(ctx: &mut Context, levels: impl Iterator<Item = Level<'a>>) {
    for level in levels {
        for name in level.remove {
            ctx.head.remove(name);
        }
        let formatted = level.formatted(ctx, None);
        for (name, value, action) in settle(level.add, formatted) {
            add_to_request(&mut ctx.head, name, &value, action);
        }
    }
}

fn add_to_request(head: &mut RequestHead, name: &Str, value: &[u8], action: AppendAction) {
    // The host is no header like others.
    if matches!(name.as_str(), "host" | ":authority") {
        if action != AppendAction::AddIfAbsent {
            head.set_authority(value);
        }
        return;
    }
    if name.as_str() == ":path" && action == AppendAction::OverwriteIfExistsOrAdd {
        return head.set_path(value);
    }
    match edit(action, || head.get(name).is_some()) {
        Edit::Append => head.append(name, value),
        Edit::Set => head.set(name, value),
        Edit::Nothing => {}
    }
}

/// Edits a response.
pub fn apply_to_response<'a>(
    ctx: &mut Context,
    head: &mut ResponseHead,
    levels: impl Iterator<Item = Level<'a>>,
) {
    for level in levels {
        for name in level.remove {
            head.remove(name);
        }
        let formatted = level.formatted(ctx, Some(head));
        for (name, value, action) in settle(level.add, formatted) {
            match edit(action, || head.get(name).is_some()) {
                Edit::Append => head.append(name, value),
                Edit::Set => head.set(name, value),
                Edit::Nothing => {}
            }
        }
    }
}

/// The values as they are now, for an answer that comes later.
pub fn settled(ctx: &mut Context, add: &[HeaderValue], values: &Values) -> Vec<HeaderValue> {
    let formatted = Level { remove: &[], add, values: Some(values) }.formatted(ctx, None);
    let literal = |(name, value, action): (&Str, Cow<'_, [u8]>, AppendAction)| HeaderValue {
        name: name.clone(),
        value: HeaderText::from(&*String::from_utf8_lossy(&value)),
        action,
    };
    settle(add, formatted).map(literal).collect()
}
