//! Sending a request on: pick → pool → send → retry?

use std::time::{Duration, SystemTime};

use engine::retry::{self, Decision, GIVEN_UP, Last, Retries};
use engine::retry_priority::PreviousPriorities;
use engine::timeouts;
use ir::Address;
use ir::route::Forward;
use stdx::{boxed, turn};
use upstream::{Body as _, BodyKind, Limits as BreakerLimits, Response};

use super::attempt::{Ended, Sent, attempt, outcome_of};
use super::body::{Attempt, RequestBody, number};
use super::context::{ChosenRoute, Context};
use super::outgoing::Outgoing;
use super::pick::{self, pick};
use super::plan::{Plan, plan};
use super::respond::{Answer, Stop};
use super::{filters, headers, mirror, redirect, upgrade};
use crate::access_log::{Flag, Told};
use crate::telemetry::{Counter, RouteStats};

/// How often a request is sent again that an endpoint refused to look at (`REFUSED_STREAM`, or left
/// out of its GOAWAY): that is no retry, and no policy is asked.
const REPLAYS: u32 = 2;

/// What became of a request.
pub enum Outcome {
    Answer(Box<Answer>),
    /// The upstream sent it elsewhere, and we go there.
    Redirected,
}

/// Sends a request to the cluster that its route names.
pub async fn forward(
    ctx: &mut Context,
    chosen: &ChosenRoute,
    forward: &Forward,
    body: RequestBody,
) -> Result<Outcome, Stop> {
    if chosen.table.asks().exchange {
        ctx.record.told = Some(Told::keep(&ctx.progress));
    }
    let mut plan = plan(ctx, forward, body)?;
    let policy = forward.retry.as_ref().or(chosen.vhost().retry.as_ref());
    let conditions = chosen.table.retry(chosen.vhost, chosen.route);
    let policy = policy.filter(|_| conditions.is_none_or(|conditions| conditions.allow(&ctx.head)));
    let limits = BreakerLimits::of(&plan.cluster.config, plan.priority);
    let mut retries = Retries::new(policy, limits.have_retry_budget());
    let safe = upstream::is_idempotent(ctx.head.method());
    if retries.possible() || plan.may_be_refused || safe || forward.internal_redirect.is_some() {
        let limit = chosen.route().request_body_buffer_limit.or(chosen.vhost().request_body_buffer_limit);
        plan.body.keep(&ctx.conn.kept, limit);
    }
    mirror::send(ctx, forward, &plan.body);
    let (mut replays, mut retrying) = (0, None);
    let mut tried: Vec<Address> = Vec::new();
    let every = policy.and_then(|policy| policy.previous_priorities);
    // In a box that is made for the first retry.
    let mut previous: Option<Box<PreviousPriorities>> = None;
    loop {
        ctx.record.attempts += 1;
        let picked = match plan.cluster.forward_proxy.is_some() {
            false => {
                let left = previous.as_mut().zip(every);
                let left = left.map(|(it, every)| it.avoid(every, |these| plan.cluster.has_others(these)));
                pick(ctx, &plan, &tried, left.unwrap_or_default())
            }
            // In a box: few clusters are such, and no request to others shall have room for it.
            true => Some(Box::pin(pick::of_name(ctx, &plan)).await?),
        };
        let Some(to) = picked.as_ref().and_then(|picked| picked.destination(&plan.cluster)) else {
            plan.stats.cx_none_healthy.inc();
            return Err(Stop::NoHealthyUpstream);
        };
        let sent = attempt(ctx, &plan, to).await;
        let outcome = match &sent {
            Ok(response) => policy.map(|_| outcome_of(response, conditions)),
            Err(Ended::Failed(error)) => error.outcome(),
            Err(Ended::PerTryTimeout { .. }) => Some(retry::Outcome::PerTryTimeout),
            Err(Ended::Final(_)) => None,
        };
        if matches!(outcome, Some(retry::Outcome::RefusedStream)) && replays < REPLAYS && plan.body.is_kept()
        {
            replays += 1;
            continue;
        }
        let lost = match &sent {
            Err(Ended::Failed(error)) if !plan.options.fresh && plan.body.is_kept() => {
                error.may_be_sent_again(ctx.head.method()).then_some(error.reused)
            }
            _ => None,
        };
        if lost == Some(true) {
            plan.options.fresh = true;
            continue;
        }
        let decision = match outcome {
            Some(outcome) if plan.body.replayable() => {
                ctx.conn.worker.with_dice(|dice| retries.decide(outcome, dice))
            }
            _ => Decision::Final,
        };
        if let Decision::Retry { after } = decision {
            // Until the next decision: the one before has ended.
            drop(retrying.take());
            retrying = plan.cluster.state.start_retry(&limits);
            if retrying.is_none() {
                plan.stats.rq_retry_overflow.inc();
                of_route(ctx, |route| &route.rq_retry_overflow);
                ctx.record.flag(Flag::UO);
                plan.body.forget();
                return settle(ctx, &plan, sent, &retries, Last::Overflow);
            }
            plan.stats.rq_retry.inc();
            of_route(ctx, |route| &route.rq_retry);
            let asked = asked_to_wait(policy, &sent);
            match asked {
                Some(_) => plan.stats.rq_retry_backoff_ratelimited.inc(),
                None => plan.stats.rq_retry_backoff_exponential.inc(),
            }
            if policy.is_some_and(|policy| policy.avoid_previous_hosts) {
                tried.push(to.endpoint.address.clone());
            }
            if let (Some(_), Some(picked)) = (every, &picked) {
                previous.get_or_insert_default().note(picked.priority(&plan.cluster));
            }
            drop(sent);
            if let Err(stop) = wait(&plan, asked.unwrap_or(after)).await {
                ctx.given_up = retries.gives_up(Last::TimeOver);
                return Err(stop);
            }
            tell_time(ctx, &plan);
            continue;
        }
        // A new connection was closed: the policy's retries come first, as they wait and are counted.
        if lost.is_some() && decision == Decision::Final {
            plan.options.fresh = true;
            continue;
        }
        if let Ok(response) = &sent
            && redirect::follow(ctx, forward, &plan.body, &response.head)
        {
            return Ok(Outcome::Redirected);
        }
        plan.body.forget();
        let last = match (decision, &sent) {
            (Decision::Exhausted, _) => Last::Exhausted,
            (_, Err(Ended::Final(Stop::Timeout))) => Last::TimeOver,
            _ => Last::Stands,
        };
        return settle(ctx, &plan, sent, &retries, last);
    }
}

/// How long the response that is thrown away asks us to stay away.
fn asked_to_wait(policy: Option<&ir::RetryPolicy>, sent: &Sent) -> Option<Duration> {
    let (limited, Ok(response)) = (policy?.rate_limited.as_ref()?, sent) else { return None };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let header = |name: &str| response.head.get(name).and_then(number).map(u64::from);
    engine::retry::reset_time(limited, header, now)
}

/// Counts for the route, where it has numbers of its own.
pub(super) fn of_route(ctx: &Context, counter: fn(&RouteStats) -> &Counter) {
    if let Some(stats) = &ctx.route_stats {
        counter(stats).inc();
    }
}

async fn wait(plan: &Plan, after: Duration) -> Result<(), Stop> {
    tokio::time::sleep(after).await;
    match plan.body.time_is_over(plan.limits.response) {
        true => Err(Stop::Timeout),
        false => Ok(()),
    }
}

/// Another attempt has no more time than is left of the whole.
fn tell_time(ctx: &mut Context, plan: &Plan) {
    if ctx.hcm.config.suppress_envoy_headers {
        return;
    }
    let Some(expected) = timeouts::expected(plan.limits.response, plan.limits.per_try, plan.body.elapsed())
    else {
        return;
    };
    let name = "x-envoy-expected-rq-timeout-ms";
    ctx.head.set(name, itoa::Buffer::new().format(expected.as_millis() as u64));
}

/// The last attempt's end becomes the answer.
fn settle(
    ctx: &mut Context,
    plan: &Plan,
    sent: Sent,
    retries: &Retries<'_>,
    last: Last,
) -> Result<Outcome, Stop> {
    ctx.given_up = retries.gives_up(last);
    // The retry that was one too many was not made.
    let retried = retries.done() > u32::from(last == Last::Overflow);
    if last == Last::Exhausted {
        ctx.record.flag(Flag::URX);
        plan.stats.rq_retry_limit_exceeded.inc();
        of_route(ctx, |route| &route.rq_retry_limit_exceeded);
    }
    match sent {
        Ok(response) => {
            if retried && last != Last::Exhausted {
                plan.stats.rq_retry_success.inc();
                of_route(ctx, |route| &route.rq_retry_success);
            }
            Ok(Outcome::Answer(answer(ctx, plan, response)))
        }
        Err(Ended::Failed(error)) => Err(Stop::Upstream { error, retried }),
        Err(Ended::PerTryTimeout { idle }) => Err(Stop::PerTryTimeout { idle }),
        Err(Ended::Final(stop)) => Err(stop),
    }
}

/// The upstream's response as the client gets it.
fn answer(ctx: &mut Context, plan: &Plan, response: Box<Response<Attempt>>) -> Box<Answer> {
    let Response { mut head, body, facts, .. } = *response;
    ctx.record.details = "via_upstream".into();
    ctx.upstream_stats = Some(plan.stats.clone());
    let now = turn::now();
    ctx.record.response_begin = Some(now.saturating_duration_since(ctx.record.started));
    let tls = facts.tls.as_deref();
    let principal = tls.and_then(|tls| tls.peer.as_ref());
    ctx.upstream_principal = principal.and_then(|peer| peer.uri_sans.first().cloned());
    let local = tls.and_then(|tls| tls.local.as_ref());
    ctx.local_principal = local.and_then(|local| local.uri_sans.first().cloned());
    let switching = upgrade::is_granted(&ctx.head, head.status());
    head.strip_hop_by_hop(head.status() == 101);
    filters::peer_metadata::of_response(ctx, &mut head, tls);
    ctx.record.upstream = Some(facts);
    let begin = ctx.progress.request_end.get().unwrap_or(ctx.record.started);
    let service_time = now.saturating_duration_since(begin).as_millis() as u64;
    let quiet = ctx.hcm.config.suppress_envoy_headers;
    // A request that is not over has no end to count from.
    if !quiet && !switching && !ctx.head.is_connect() {
        head.set("x-envoy-upstream-service-time", itoa::Buffer::new().format(service_time));
    }
    ctx.record.status = head.status();
    if ctx.given_up && !quiet {
        head.set(GIVEN_UP.0, GIVEN_UP.1);
    }
    headers::of_route(ctx, &mut head);
    let empty = body.kind() == BodyKind::None || ctx.head.method() == b"HEAD";
    filters::encode(ctx, &mut head, empty);
    headers::of_response(ctx, &mut head, true);
    for cookie in std::mem::take(&mut ctx.sticky) {
        head.append("set-cookie", cookie);
    }
    ctx.note_response(&head);
    if switching {
        return upgrade::answer(head, body);
    }
    let outgoing = Outgoing::new(body, ctx.progress.clone(), &plan.limits);
    let body = filters::encode_body(ctx, Box::new(outgoing));
    boxed(|| Answer { head, body, upgrade: None })
}
