//! Delays and aborts that a route asks for.

use crate::access_log::Flag;
use crate::http::context::Context;
use crate::http::respond::Stop;

/// Waits, then maybe answers in the upstream's place.
pub async fn inject(ctx: &mut Context) -> Result<(), Stop> {
    let Some(fault) = ctx.route.as_ref().and_then(|chosen| chosen.route().fault.as_ref()) else {
        return Ok(());
    };
    let plan = ctx.conn.worker.with_dice(|dice| engine::fault::decide(fault, dice));
    if let Some(delay) = plan.delay {
        ctx.record.flag(Flag::DI);
        ctx.conn.stats.delays_injected.inc();
        tokio::time::sleep(delay).await;
    }
    match plan.abort {
        None => Ok(()),
        Some(status) => {
            ctx.conn.stats.aborts_injected.inc();
            Err(Stop::Aborted { status })
        }
    }
}
