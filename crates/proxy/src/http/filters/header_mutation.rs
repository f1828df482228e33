//! Edits of headers by a filter.

use engine::headers::{Edit, mutations};
use ir::HeaderMutation;
use upstream::ResponseHead;

use crate::http::context::Context;
use crate::http::headers;

pub fn decode(ctx: &mut Context, of_filter: &HeaderMutation) {
    let mut head = std::mem::replace(&mut ctx.head, upstream::RequestHead::new("GET", "http", "", "/"));
    headers::apply_to_request(&mut head, edits(ctx, of_filter, |it| &it.request));
    ctx.head = head;
}

pub fn encode(ctx: &mut Context, of_filter: &HeaderMutation, head: &mut ResponseHead) {
    headers::apply_to_response(head, edits(ctx, of_filter, |it| &it.response));
}

/// The filter's own come first; of the route's levels the last that speaks wins.
fn edits<'a>(
    ctx: &'a Context,
    of_filter: &'a HeaderMutation,
    which: impl Fn(&'a HeaderMutation) -> &'a Vec<ir::header_mutation::Mutation>,
) -> impl Iterator<Item = Edit<'a>> {
    let mut levels: Vec<&HeaderMutation> =
        ctx.overrides().filter_map(|it| it.config.header_mutation.as_deref()).collect();
    if of_filter.most_specific_wins {
        levels.reverse();
    }
    let all: Vec<Edit<'a>> =
        std::iter::once(of_filter).chain(levels).flat_map(|it| mutations(which(it))).collect();
    all.into_iter()
}
