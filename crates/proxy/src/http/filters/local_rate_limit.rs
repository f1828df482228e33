//! Local rate limits.

use std::sync::Arc;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use engine::overrides::RateLimit;
use engine::rate_limit::Bucket;
use upstream::ResponseHead;

use crate::access_log::Flag;
use crate::http::context::Context;
use crate::http::headers;
use crate::http::respond::{LocalReply, Stop};

/// Since the process began to limit: buckets need a moment that they agree on.
fn now() -> Duration {
    static BEGIN: OnceLock<Instant> = OnceLock::new();
    BEGIN.get_or_init(Instant::now).elapsed()
}

/// Takes a token; without one the request is refused.
pub fn decode(ctx: &mut Context, of_filter: &Arc<RateLimit>) -> Result<(), Stop> {
    let limit = ctx.overrides().find_map(|it| it.local_rate_limit.as_ref()).unwrap_or(of_filter).clone();
    let config = &limit.config;
    let worker = ctx.conn.worker.clone();
    let happens = |share| worker.with_dice(|dice| engine::dice::happens(dice, share));
    let Some(bucket) = limit.bucket.as_ref().filter(|_| happens(config.enabled)) else { return Ok(()) };
    let stats = worker.stats.rate_limit(&config.stat_prefix);
    stats.enabled.inc();
    let taken = match config.per_connection {
        true => ctx.conn.own_bucket(&limit).is_some_and(|bucket| bucket.take(now())),
        false => bucket.take(now()),
    };
    if config.x_ratelimit_headers {
        ctx.filter_state().rate_limit = Some(limit.clone());
    }
    if taken {
        stats.ok.inc();
        return Ok(());
    }
    stats.rate_limited.inc();
    if !happens(config.enforced) {
        let edits = engine::headers::additions(&config.request_headers_when_not_enforced);
        headers::apply_to_request(&mut ctx.head, edits);
        return Ok(());
    }
    stats.enforced.inc();
    let reply =
        LocalReply::new(config.status, Some(Flag::RL), "local_rate_limited").body("local_rate_limited");
    // RESOURCE_EXHAUSTED, UNAVAILABLE
    let grpc_status = if config.as_resource_exhausted { 8 } else { 14 };
    let edits = config.response_headers.clone();
    Err(Stop::Local(Box::new(LocalReply { edits, grpc_status: Some(grpc_status), ..reply })))
}

/// Says how much is left.
pub fn encode(ctx: &mut Context, head: &mut ResponseHead) {
    let Some(limit) = ctx.filters.as_mut().and_then(|state| state.rate_limit.take()) else { return };
    let own = limit.config.per_connection.then(|| ctx.conn.own_bucket(&limit)).flatten();
    let Some(bucket): Option<&Bucket> = own.as_deref().or(limit.bucket.as_ref()) else { return };
    let now = now();
    head.set("x-ratelimit-limit", bucket.max_tokens().to_string());
    head.set("x-ratelimit-remaining", bucket.remaining(now).to_string());
    // Whole seconds until there is a token, as Envoy says it: 0 while there are some.
    let wait = if bucket.remaining(now) > 0 { Duration::ZERO } else { bucket.next_token(now) };
    head.set("x-ratelimit-reset", wait.as_secs_f64().ceil().to_string());
}
