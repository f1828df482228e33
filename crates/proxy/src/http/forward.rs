//! Sending a request on: pick → pool → send → retry?

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use engine::balance::Criteria;
use engine::grpc;
use engine::retry::{self, Decision, GIVEN_UP, Last, Retries};
use engine::retry_priority::PreviousPriorities;
use engine::timeouts::{self, Timeouts};
use engine::tls_names::TlsNames;
use engine::upgrade::ends_connect;
use ir::route::{Forward, RouteClusters, RoutingPriority};
use ir::{Address, HttpProtocol};
use stdx::{boxed, turn};
use upstream::{
    Body as _, BodyKind, Interim, Left, Limits as BreakerLimits, RequestHead, Response, SendOptions, Watch,
};

use super::attempt::{Ended, Sent, attempt, outcome_of};
use super::body::{Attempt, RequestBody, number};
use super::context::{ChosenRoute, Context};
use super::limits::Limits;
use super::outgoing::Outgoing;
use super::pick::{self, pick};
use super::respond::{Answer, Stop};
use super::{filters, headers, mirror, redirect, upgrade};
use crate::access_log::{Flag, Told};
use crate::config::snapshot::Cluster;
use crate::telemetry::{ClusterStats, Counter, Own, RouteStats};

/// How often a request is sent again that an endpoint refused to look at (`REFUSED_STREAM`, or left
/// out of its GOAWAY): that is no retry, and no policy is asked.
const REPLAYS: u32 = 2;

/// What became of a request.
pub enum Outcome {
    Answer(Box<Answer>),
    /// The upstream sent it elsewhere, and we go there.
    Redirected,
}

/// What does not change between the attempts of a request.
pub(super) struct Plan {
    pub(super) cluster: Arc<Cluster>,
    pub(super) stats: Own<ClusterStats>,
    pub(super) body: RequestBody,
    pub(super) options: SendOptions,
    /// Of the request, for balancers that hash.
    pub(super) hash: Option<u64>,
    /// What its route asks of endpoints, for clusters with subsets.
    pub(super) criteria: Option<Criteria>,
    /// The priority of the route.
    priority: RoutingPriority,
    /// HTTP/2 may be spoken upstream.
    may_be_refused: bool,
    pub(super) limits: Limits,
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

fn plan(ctx: &mut Context, forward: &Forward, body: RequestBody) -> Result<Plan, Stop> {
    let cluster = ctx.cluster.clone().ok_or(Stop::NoCluster)?;
    let scope = ctx.route.as_ref().and_then(|chosen| chosen.table.stat_scope(chosen.vhost, chosen.route));
    ctx.route_stats = scope.map(|scope| ctx.conn.worker.stats.route(scope));
    let edits = ctx.cluster_edits.take();
    let times = timeouts(ctx, forward);
    headers::to_upstream(ctx, edits.as_deref(), times.per_try.or(times.response));
    ctx.cluster_edits = edits;
    let http2 = match cluster.config.protocol {
        HttpProtocol::Http2 => true,
        HttpProtocol::UseDownstream => ctx.is_http2,
        HttpProtocol::Http1 | HttpProtocol::Auto => false,
    };
    forward_expectation(ctx, cluster.config.protocol);
    let may_be_refused = http2 || cluster.config.protocol == HttpProtocol::Auto;
    let http10 = ctx.head.protocol() == "HTTP/1.0";
    let alpn =
        ctx.alpn.as_ref().and_then(|alpn| filters::alpn::resolve(alpn, cluster.mesh_alpn, http2, http10));
    let interim: Option<Rc<dyn Interim>> = Some(ctx.progress.clone());
    if let Some(limit) = forward.idle_timeout {
        ctx.stream_idle = (!limit.is_zero()).then_some(limit);
    }
    let hash = hash(ctx, forward, &cluster);
    let client = (ctx.conn.info.remote, ctx.conn.info.local);
    let tls_names = tls_names(&cluster.config, &ctx.head);
    let criteria = cluster.config.subsets.is_some().then(|| criteria(ctx, forward));
    Ok(Plan {
        hash,
        criteria,
        priority: forward.priority,
        stats: ctx.conn.worker.stats.cluster(&cluster.config.name),
        cluster,
        body,
        options: SendOptions {
            alpn,
            downstream_http2: ctx.is_http2,
            interim,
            priority: forward.priority,
            client: Some(client),
            fresh: false,
            raw: ends_connect(&forward.upgrades) && ctx.head.is_connect(),
            tls_names,
            left: Left::default(),
            watch: ctx.record.told.clone().map(|told| told as Rc<dyn Watch>),
        },
        may_be_refused,
        limits: Limits {
            response: times.response,
            per_try: times.per_try,
            per_try_idle: times.per_try_idle,
            idle: ctx.stream_idle,
            stream: ctx.deadline,
        },
    })
}

/// Counts for the route, where it has numbers of its own.
pub(super) fn of_route(ctx: &Context, counter: fn(&RouteStats) -> &Counter) {
    if let Some(stats) = &ctx.route_stats {
        counter(stats).inc();
    }
}

/// The server names that the cluster takes from the requests, as they go upstream.
pub(super) fn tls_names(cluster: &ir::Cluster, head: &RequestHead) -> Option<Rc<TlsNames>> {
    let config = cluster.tls_from_request.as_ref()?;
    Some(Rc::new(engine::tls_names::of_request(config, head)))
}

/// What the request sticks to an endpoint by. Clients are given the cookies that they lack.
fn hash(ctx: &mut Context, forward: &Forward, cluster: &Cluster) -> Option<u64> {
    if forward.hash_policy.is_empty() || !cluster.config.lb_policy.hashes() {
        return None;
    }
    let client = ctx.conn.info.remote.ip();
    let worker = ctx.conn.worker.clone();
    let fresh = || worker.with_dice(|dice| dice.roll());
    let found = engine::hash::of_request(&forward.hash_policy, &ctx.head, client, fresh);
    let cookies = found.cookies.iter().map(|(cookie, value)| engine::hash::set_cookie(cookie, *value));
    ctx.sticky = cookies.collect();
    found.hash
}

/// `metadata_match` of the route, and of the weighted cluster that was chosen.
fn criteria(ctx: &Context, forward: &Forward) -> Criteria {
    let mut criteria = forward.metadata_match.clone();
    if let (RouteClusters::Weighted(all), Some(index)) = (&forward.clusters, ctx.weighted)
        && let Some(cluster) = all.get(index)
    {
        criteria.extend(cluster.metadata_match.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
    criteria
}

/// Lets the upstream say 100, where HTTP/1 is spoken to it. Otherwise we say it, as soon as the body
/// is wanted.
fn forward_expectation(ctx: &mut Context, protocol: HttpProtocol) {
    let http1 = matches!(protocol, HttpProtocol::Http1 | HttpProtocol::UseDownstream);
    if let Some(body) = ctx.expectation.take().filter(|_| http1) {
        body.forward_expectation();
        ctx.head.set("expect", "100-continue");
    }
}

/// The request's times, which its stream and the upstream are told of.
fn timeouts(ctx: &mut Context, forward: &Forward) -> Timeouts {
    let grpc_timeout = ctx.head.get("grpc-timeout").and_then(grpc::parse_timeout);
    let asked = timeouts::Asked { is_grpc: ctx.is_grpc, grpc_timeout };
    let times = timeouts::of(forward, ctx.hcm.config.max_stream_duration, asked);
    ctx.deadline = times.stream.map(|limit| ctx.record.started + limit);
    if let Some(limit) = times.grpc_timeout {
        ctx.head.set("grpc-timeout", grpc::format_timeout(limit));
    }
    times
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
