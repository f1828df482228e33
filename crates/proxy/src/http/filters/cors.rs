//! Cross-origin resource sharing.

use engine::cors::{self, Verdict};
use upstream::ResponseHead;

use crate::http::context::Context;
use crate::http::respond::{LocalReply, Stop};

/// Answers preflights, and remembers what the response has to tell. As in Envoy, routes that do not
/// forward have no policy.
pub fn decode(ctx: &mut Context) -> Result<(), Stop> {
    let forwards = |route: &ir::Route| matches!(route.action, ir::RouteAction::Forward(_));
    if !ctx.route.as_ref().is_some_and(|chosen| forwards(chosen.route())) {
        return Ok(());
    }
    // Without a policy nothing is allocated.
    let levels: Vec<_> = ctx.overrides().filter_map(|it| it.cors.as_ref()).collect();
    let verdict = ctx.conn.worker.with_dice(|dice| cors::decide(&levels, &ctx.head, dice));
    drop(levels);
    let stats = &ctx.conn.stats;
    match &verdict {
        Verdict::Pass => {}
        Verdict::Allow(_) | Verdict::Preflight { allowed: true, .. } => stats.cors_origin_valid.inc(),
        Verdict::Unknown | Verdict::Preflight { allowed: false, .. } => stats.cors_origin_invalid.inc(),
    }
    match verdict {
        Verdict::Pass | Verdict::Unknown => Ok(()),
        Verdict::Allow(told) => {
            ctx.filter_state().cors = told;
            Ok(())
        }
        Verdict::Preflight { told, .. } => {
            let reply = LocalReply { headers: told, ..LocalReply::new(200, None, "cors_response") };
            Err(Stop::Local(Box::new(reply)))
        }
    }
}

/// Tells the browser what the origin may do.
pub fn encode(ctx: &mut Context, head: &mut ResponseHead) {
    let Some(state) = ctx.filters.as_mut() else { return };
    for (name, value) in std::mem::take(&mut state.cors) {
        head.set(name, value);
    }
}
