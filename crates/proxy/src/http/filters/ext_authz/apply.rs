//! What an answer does to request and response.

use std::collections::BTreeMap;

use ir::metadata::Json;
use ir::route::{AppendAction, HeaderValue};
use stdx::Str;
use upstream::{RequestHead, ResponseHead};
use xds_codec::authz::{Allowed, Header};

use super::Context;
use crate::http::edits::{Level, apply_to_response};

/// Key of what the service said, in dynamic metadata.
const NAME: &str = "envoy.filters.http.ext_authz";

/// Changes the request, and remembers what the response has to carry.
pub fn allowed(ctx: &mut Context, it: Allowed) {
    for header in &it.request {
        set(&mut ctx.head, header);
    }
    for name in it.remove.iter().filter(|name| is_plain(name)) {
        ctx.head.remove(name);
    }
    if !it.set_query.is_empty() || !it.remove_query.is_empty() {
        let path = engine::request::with_query(ctx.head.path(), &it.set_query, &it.remove_query);
        ctx.head.set_path(path);
    }
    metadata(ctx, it.metadata);
    if !it.response.is_empty() {
        let edits = self::response(it.response);
        ctx.filter_state().authz.extend(edits);
    }
}

/// What filters after this one can read.
pub fn metadata(ctx: &mut Context, it: BTreeMap<Str, Json>) {
    if !it.is_empty() {
        ctx.filter_state().metadata.entry(NAME.into()).or_default().extend(it);
    }
}

/// Writes what the service wants the client to see.
pub fn encode(ctx: &mut Context, head: &mut ResponseHead) {
    let Some(state) = ctx.filters.as_mut() else { return };
    let edits = std::mem::take(&mut state.authz);
    apply_to_response(ctx, head, std::iter::once(Level::literal(&edits)));
}

/// No pseudo-header, and not the host.
fn is_plain(name: &str) -> bool {
    !name.starts_with(':') && name != "host"
}

fn set(head: &mut RequestHead, header: &Header) {
    let Header { name, value, action } = header;
    if !is_plain(name) {
        // Whoever may rewrite all else may rewrite these.
        match name.as_str() {
            ":path" => head.set_path(value),
            ":method" => head.set_method(&String::from_utf8_lossy(value)),
            ":authority" | "host" => head.set_authority(value),
            _ => {}
        }
        return;
    }
    let there = head.get(name).is_some();
    match action {
        AppendAction::AppendIfExistsOrAdd => head.append(name, value),
        AppendAction::AddIfAbsent if there => {}
        AppendAction::OverwriteIfExists if !there => {}
        _ => head.set(name, value),
    }
}

/// Headers of a denial: each replaces what we would say, those of one name stand together.
pub fn edits(headers: Vec<Header>) -> Vec<HeaderValue> {
    let mut edits: Vec<HeaderValue> = Vec::new();
    for mut edit in response(headers) {
        let seen = edits.iter().any(|other| other.name == edit.name);
        edit.action = match seen {
            true => AppendAction::AppendIfExistsOrAdd,
            false => AppendAction::OverwriteIfExistsOrAdd,
        };
        edits.push(edit);
    }
    edits
}

fn response(headers: Vec<Header>) -> Vec<HeaderValue> {
    let framing =
        |name: &str| matches!(name, "content-length" | "transfer-encoding" | "connection" | "trailer");
    let plain = headers.into_iter().filter(|it| is_plain(&it.name) && !framing(&it.name));
    plain
        .map(|it| HeaderValue {
            name: it.name.into(),
            value: (&*String::from_utf8_lossy(&it.value)).into(),
            action: it.action,
        })
        .collect()
}
