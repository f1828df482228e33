//! Edits of headers by a filter.

use ir::HeaderMutation;
use ir::header_mutation::Mutation;
use upstream::ResponseHead;

use crate::format::Values;
use crate::http::context::{ChosenRoute, Context};
use crate::http::edits::{self, Level};

pub fn decode(ctx: &mut Context, of_filter: &HeaderMutation) {
    let (hcm, route) = (ctx.hcm.clone(), ctx.route.take());
    let levels = levels(of_filter, &hcm.values, route.as_ref(), ctx.weighted, |it| &it.request);
    edits::apply_to_request(ctx, levels);
    ctx.route = route;
}

pub fn encode(ctx: &mut Context, of_filter: &HeaderMutation, head: &mut ResponseHead) {
    let (hcm, route) = (ctx.hcm.clone(), ctx.route.take());
    let levels = levels(of_filter, &hcm.values, route.as_ref(), ctx.weighted, |it| &it.response);
    edits::apply_to_response(ctx, head, levels);
    ctx.route = route;
}

/// The filter's own come first; of the route's levels the last that speaks wins.
fn levels<'a>(
    of_filter: &'a HeaderMutation,
    values: &'a Values,
    route: Option<&'a ChosenRoute>,
    weighted: Option<usize>,
    which: fn(&HeaderMutation) -> &Vec<Mutation>,
) -> impl Iterator<Item = Level<'a>> {
    let overrides = route.into_iter().flat_map(move |route| route.overrides(weighted));
    let mut of_routes: Vec<&HeaderMutation> =
        overrides.filter_map(|it| it.config.header_mutation.as_deref()).collect();
    if of_filter.most_specific_wins {
        of_routes.reverse();
    }
    let of_routes = route.into_iter().flat_map(move |route| {
        let all = std::mem::take(&mut of_routes);
        all.into_iter().flat_map(move |it| Level::mutations(which(it), route.table.values()))
    });
    Level::mutations(which(of_filter), values).chain(of_routes)
}
