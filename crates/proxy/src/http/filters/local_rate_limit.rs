//! Local rate limits.

use std::collections::hash_map::RandomState;
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::{Duration, Instant};

use engine::rate_limit::{Buckets, Found, Limit, RateLimit, Subject};
use ir::rate_limit::VhostRateLimits;
use upstream::ResponseHead;

use crate::access_log::Flag;
use crate::format::Values;
use crate::http::context::Context;
use crate::http::edits::{self, Level};
use crate::http::respond::{LocalReply, Stop};

const RETRY_AFTER: &str = "retry-after";

/// Since the process began to limit: buckets need a moment that they agree on.
fn now() -> Duration {
    static BEGIN: OnceLock<Instant> = OnceLock::new();
    BEGIN.get_or_init(Instant::now).elapsed()
}

/// Takes a token; without one the request is refused.
pub fn decode(ctx: &mut Context, of_filter: &Arc<RateLimit>) -> Result<(), Stop> {
    let of_route = ctx.overrides().find_map(|it| it.local_rate_limit.as_ref());
    let limit = of_route.unwrap_or(of_filter).clone();
    let of_route = of_route.is_some();
    let config = &limit.config;
    let worker = ctx.conn.worker.clone();
    let happens = |share| worker.with_dice(|dice| engine::dice::happens(dice, share));
    if !limit.limits() || !happens(config.enabled) {
        return Ok(());
    }
    let stats = worker.stats.rate_limit(&config.stat_prefix);
    stats.enabled.inc();
    let own = config.per_connection.then(|| ctx.conn.own_buckets(&limit));
    let buckets = own.as_deref().unwrap_or(&limit.buckets);
    let now = now();
    let taken = limit.take(buckets, descriptors(ctx, &limit, buckets, now), now);
    if let Some(from) = taken.from.filter(|_| config.x_ratelimit_headers) {
        ctx.filter_state().rate_limit = Some((limit.clone(), from));
    }
    if taken.allowed {
        stats.ok.inc();
        return Ok(());
    }
    stats.rate_limited.inc();
    let (hcm, route) = (ctx.hcm.clone(), ctx.route.take());
    let values = route.as_ref().filter(|_| of_route).map_or(&hcm.values, |route| route.table.values());
    let refused = match !taken.shadow && happens(config.enforced) {
        true => {
            let wait = taken.from.and_then(|from| Some(buckets.get(from)?.next_token(now)));
            Err(refusal(ctx, &limit, wait, values))
        }
        false => {
            let add = &config.request_headers_when_not_enforced;
            let level = Level { remove: &[], add, values: Some(values) };
            edits::apply_to_request(ctx, std::iter::once(level));
            Ok(())
        }
    };
    ctx.route = route;
    if refused.is_err() {
        stats.enforced.inc();
    }
    refused
}

/// `wait`: until there is a token again.
fn refusal(ctx: &mut Context, limit: &RateLimit, wait: Option<Duration>, values: &Values) -> Stop {
    let config = &limit.config;
    let reply =
        LocalReply::new(config.status, Some(Flag::RL), "local_rate_limited").body("local_rate_limited");
    // RESOURCE_EXHAUSTED, UNAVAILABLE
    let grpc_status = if config.as_resource_exhausted { 8 } else { 14 };
    let edits = edits::settled(ctx, &config.response_headers, values);
    let mut headers = reply.headers;
    let said = config.response_headers.iter().any(|it| it.name.eq_ignore_ascii_case(RETRY_AFTER));
    if let Some(wait) = wait.filter(|_| config.retry_after && config.status == 429 && !said) {
        let seconds = wait.as_secs_f64().ceil().max(1.0);
        headers.push((RETRY_AFTER, seconds.to_string().into_bytes()));
    }
    Stop::Local(Box::new(LocalReply { edits, headers, grpc_status: Some(grpc_status), ..reply }))
}

/// The buckets of the request's descriptors. Without any in the configuration nothing is asked.
fn descriptors(ctx: &Context, limit: &RateLimit, buckets: &Buckets, now: Duration) -> Vec<Found> {
    /// Clients must not find values that share a bucket.
    static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    if limit.config.descriptors.is_empty() {
        return Vec::new();
    }
    let destination = ctx.record.cluster.as_deref().unwrap_or("");
    let subject = Subject {
        request: &ctx.head,
        remote: ctx.record.remote.unwrap_or(ctx.conn.info.remote).ip(),
        source_cluster: &ctx.conn.worker.shared.local.cluster,
        destination_cluster: destination,
    };
    let of = |limits: &mut dyn Iterator<Item = &Limit>| -> Vec<Found> {
        let one = |it: &Limit| {
            let which = limit.find(buckets, &it.descriptor(&subject)?, &*HASHER, now)?;
            Some(Found { which, hits: it.hits() })
        };
        limits.filter_map(one).collect()
    };
    if !limit.limits.is_empty() {
        return of(&mut limit.limits.iter());
    }
    // Of a route that does not forward nothing counts, as in Envoy.
    let Some(chosen) = &ctx.route else { return Vec::new() };
    let ir::RouteAction::Forward(forward) = &chosen.route().action else { return Vec::new() };
    let [of_route, of_vhost] = chosen.table.rate_limits(chosen.vhost, chosen.route);
    let stage = limit.config.stage;
    let with_vhost = match limit.config.vhost_rate_limits {
        _ if forward.include_vhost_rate_limits => true,
        VhostRateLimits::Include => true,
        VhostRateLimits::Override => of_route.is_empty(),
        VhostRateLimits::Ignore => false,
    };
    let of_vhost = of_vhost.iter().filter(|_| with_vhost);
    of(&mut of_route.iter().chain(of_vhost).filter(|it| it.stage() == stage))
}

/// Says how much is left.
pub fn encode(ctx: &mut Context, head: &mut ResponseHead) {
    let Some((limit, which)) = ctx.filters.as_mut().and_then(|state| state.rate_limit.take()) else { return };
    let own = limit.config.per_connection.then(|| ctx.conn.own_buckets(&limit));
    let Some(bucket) = own.as_deref().unwrap_or(&limit.buckets).get(which) else { return };
    let now = now();
    head.set("x-ratelimit-limit", bucket.max_tokens().to_string());
    head.set("x-ratelimit-remaining", bucket.remaining(now).to_string());
    // Whole seconds until there is a token, as Envoy says it: 0 while there are some.
    let wait = if bucket.remaining(now) > 0 { Duration::ZERO } else { bucket.next_token(now) };
    head.set("x-ratelimit-reset", wait.as_secs_f64().ceil().to_string());
}
