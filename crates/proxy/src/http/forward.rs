//! Sending a request on: pick → pool → send → retry?

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::retry::{Decision, Outcome, Retries};
use ir::route::Forward;
use ir::{Address, ClusterDiscovery, HttpProtocol, RouteAction};
use upstream::{Destination, Failure, Interim, Response, SendError, SendOptions};

use super::body::{Attempt, RequestBody, number};
use super::context::Context;
use super::outgoing::Outgoing;
use super::respond::{Answer, Stop};
use super::{filters, headers, stream_idle_timeout, upgrade};
use crate::access_log::Flag;
use crate::config::snapshot::Cluster;
use crate::telemetry::ClusterStats;

/// Envoy's default for a route.
const ROUTE_TIMEOUT: Duration = Duration::from_secs(15);

/// What does not change between the attempts of a request.
struct Plan {
    cluster: Arc<Cluster>,
    stats: Arc<ClusterStats>,
    body: RequestBody,
    options: SendOptions,
    /// For the whole exchange, from the end of the request.
    timeout: Option<Duration>,
    per_try: Option<Duration>,
    idle: Option<Duration>,
}

/// How an attempt ended, other than by a response.
enum Ended {
    Failed(SendError),
    PerTryTimeout,
    /// Nothing more is tried after these.
    Final(Stop),
}

/// Sends a request to the cluster that its route names.
pub async fn forward(ctx: &mut Context, forward: &Forward, body: RequestBody) -> Result<Answer, Stop> {
    let plan = plan(ctx, forward, body)?;
    let policy = forward.retry.as_ref();
    let mut retries = Retries::new(policy);
    if retries.possible() {
        plan.body.keep();
    }
    let mut tried: Vec<Address> = Vec::new();
    loop {
        ctx.record.attempts += 1;
        let Some(to) = pick(ctx, &plan, &tried) else {
            plan.stats.cx_none_healthy.inc();
            return Err(Stop::NoHealthyUpstream);
        };
        let sent = attempt(ctx, &plan, &to).await;
        let outcome = match &sent {
            Ok(response) => Some(outcome_of(response)),
            Err(Ended::Failed(error)) => error.outcome(),
            Err(Ended::PerTryTimeout) => Some(Outcome::PerTryTimeout),
            Err(Ended::Final(_)) => None,
        };
        let decision = match outcome {
            Some(outcome) if plan.body.replayable() => {
                ctx.conn.worker.with_dice(|dice| retries.decide(outcome, dice))
            }
            _ => Decision::Final,
        };
        if let Decision::Retry { after } = decision {
            plan.stats.rq_retry.inc();
            if policy.is_some_and(|policy| policy.avoid_previous_hosts) {
                tried.push(to.endpoint.address.clone());
            }
            drop(sent);
            wait(&plan, after).await?;
            continue;
        }
        plan.body.forget();
        return settle(ctx, &plan, sent, decision == Decision::Exhausted, retries.done() > 0);
    }
}

fn plan(ctx: &mut Context, forward: &Forward, body: RequestBody) -> Result<Plan, Stop> {
    let cluster = ctx.cluster.clone().ok_or(Stop::NoCluster)?;
    let edits = ctx.cluster_edits.take();
    let (timeout, per_try) = timeouts(ctx, forward);
    headers::to_upstream(ctx, edits.as_deref(), per_try.or(timeout));
    ctx.cluster_edits = edits;
    let http2 = match cluster.config.protocol {
        HttpProtocol::Http2 => true,
        HttpProtocol::UseDownstream => ctx.is_http2,
        HttpProtocol::Http1 | HttpProtocol::Auto => false,
    };
    forward_expectation(ctx, cluster.config.protocol);
    let http10 = ctx.head.protocol() == "HTTP/1.0";
    let alpn = ctx.alpn.as_ref().map(|alpn| filters::alpn::resolve(alpn, http2, http10));
    let interim: Option<Rc<dyn Interim>> = if ctx.is_http2 { None } else { Some(ctx.progress.clone()) };
    Ok(Plan {
        stats: ctx.conn.worker.stats.cluster(&cluster.config.name),
        cluster,
        body,
        options: SendOptions { alpn, downstream_http2: ctx.is_http2, interim },
        timeout,
        per_try,
        idle: idle_timeout(ctx),
    })
}

/// How long nothing may move on this request: as its route says, or else the connection manager.
pub fn idle_timeout(ctx: &Context) -> Option<Duration> {
    let of_route = ctx.route.as_ref().and_then(|chosen| match &chosen.route().action {
        RouteAction::Forward(forward) => forward.idle_timeout,
        RouteAction::Direct(_) | RouteAction::Redirect(_) => None,
    });
    match of_route {
        Some(limit) => (!limit.is_zero()).then_some(limit),
        None => stream_idle_timeout(&ctx.hcm),
    }
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

/// The time for the whole exchange and for one attempt.
fn timeouts(ctx: &Context, forward: &Forward) -> (Option<Duration>, Option<Duration>) {
    let of_route = forward.timeout.unwrap_or(ROUTE_TIMEOUT);
    let timeout = match forward.max_grpc_timeout {
        Some(max) if ctx.is_grpc => {
            let wanted =
                ctx.head.get("grpc-timeout").and_then(engine::grpc::parse_timeout).unwrap_or_default();
            match (wanted.is_zero(), max.is_zero()) {
                (true, _) => max,
                (false, true) => wanted,
                (false, false) => wanted.min(max),
            }
        }
        _ => of_route,
    };
    let timeout = (!timeout.is_zero()).then_some(timeout);
    let per_try = forward.retry.as_ref().and_then(|retry| retry.per_try_timeout).filter(|t| !t.is_zero());
    // An attempt has no more time than the whole.
    let per_try = per_try.filter(|per_try| timeout.is_none_or(|timeout| *per_try < timeout));
    (timeout, per_try)
}

fn pick(ctx: &mut Context, plan: &Plan, tried: &[Address]) -> Option<Rc<Destination>> {
    let (worker, cluster) = (ctx.conn.worker.clone(), &plan.cluster);
    if matches!(cluster.config.discovery, ClusterDiscovery::OriginalDst) {
        return Some(worker.original(cluster, ctx.conn.info.local));
    }
    let load = |index: usize| cluster.destinations.get(index).map_or(0, |to| to.endpoint.load());
    let set = &cluster.endpoints;
    let policy = cluster.config.lb_policy;
    let index = worker.with_cursor(&cluster.config.name, |cursor, dice| {
        let skip = |index: usize| tried.contains(set.address(index));
        let fresh = set.pick(policy, cursor, load, skip, dice);
        // Rather an endpoint that was tried before than none.
        fresh
            .or_else(|| if tried.is_empty() { None } else { set.pick(policy, cursor, load, |_| false, dice) })
    })?;
    ctx.endpoint_workload = set.endpoints().get(index).and_then(|endpoint| endpoint.workload.clone());
    cluster.destinations.get(index).cloned().map(Rc::new)
}

/// Sends the request once.
async fn attempt(ctx: &mut Context, plan: &Plan, to: &Destination) -> Result<Response<Attempt>, Ended> {
    ctx.record.upstream_host = Some(to.endpoint.address.clone());
    if ctx.route.as_ref().is_some_and(|chosen| chosen.vhost().include_request_attempt_count) {
        ctx.head.set("x-envoy-attempt-count", itoa::Buffer::new().format(ctx.record.attempts));
    }
    filters::peer_metadata::to_upstream(ctx, plan.cluster.is_mutual(to));
    plan.stats.rq_total.inc();
    plan.stats.rq_active.inc();
    let _active = Active(&plan.stats);
    let worker = ctx.conn.worker.clone();
    let send = worker.upstream.send(to, &ctx.head, plan.body.attempt(), &plan.options);
    let progress = ctx.progress.clone();
    let begin = Instant::now();
    let result = tokio::select! {
        biased;
        result = send => result.map_err(Ended::Failed),
        () = after_request(&ctx.progress, None, plan.timeout) => Err(Ended::Final(Stop::Timeout)),
        () = after_request(&ctx.progress, Some(begin), plan.per_try) => Err(Ended::PerTryTimeout),
        () = super::body::idle(progress, plan.idle) => Err(Ended::Final(Stop::StreamIdle)),
    };
    count(plan, &result);
    result
}

/// Resolves that long after the request's end, which is when an upstream's time begins, but that of
/// a later attempt not before `begin`.
async fn after_request(progress: &super::body::Progress, begin: Option<Instant>, limit: Option<Duration>) {
    let Some(limit) = limit else { return std::future::pending().await };
    // Polled after the sending future, in the same task: whatever ends the request wakes us.
    let end = std::future::poll_fn(|_| match progress.request_end.get() {
        Some(end) => std::task::Poll::Ready(end),
        None => std::task::Poll::Pending,
    })
    .await;
    let from = begin.map_or(end, |begin| begin.max(end));
    tokio::time::sleep_until((from + limit).into()).await;
}

fn count(plan: &Plan, result: &Result<Response<Attempt>, Ended>) {
    let stats = &plan.stats;
    match result {
        Ok(response) => {
            stats.response(response.head.status());
            if !response.facts.reused {
                stats.cx_total.inc();
                match response.facts.protocol {
                    "HTTP/2" => stats.cx_http2_total.inc(),
                    _ => stats.cx_http1_total.inc(),
                }
            }
        }
        Err(Ended::Failed(error)) => match error.failure {
            Failure::Connect { timeout, .. } => {
                stats.cx_total.inc();
                stats.cx_connect_fail.inc();
                if timeout {
                    stats.cx_connect_timeout.inc();
                }
            }
            Failure::Reset(_) | Failure::Refused | Failure::Closed => stats.rq_rx_reset.inc(),
            Failure::Overflow | Failure::Protocol | Failure::RequestBody(_) | Failure::Unsendable(_) => {}
        },
        Err(Ended::PerTryTimeout) => stats.rq_per_try_timeout.inc(),
        Err(Ended::Final(Stop::Timeout)) => stats.rq_timeout.inc(),
        Err(Ended::Final(_)) => {}
    }
}

fn outcome_of(response: &Response<Attempt>) -> Outcome {
    let head = &response.head;
    Outcome::Response {
        status: head.status(),
        grpc_status: head.get("grpc-status").and_then(number),
        rate_limited: head.get("x-envoy-ratelimited").is_some(),
    }
}

async fn wait(plan: &Plan, after: Duration) -> Result<(), Stop> {
    tokio::time::sleep(after).await;
    match plan.body.time_is_over(plan.timeout) {
        true => Err(Stop::Timeout),
        false => Ok(()),
    }
}

/// The last attempt's end becomes the answer.
fn settle(
    ctx: &mut Context,
    plan: &Plan,
    sent: Result<Response<Attempt>, Ended>,
    exhausted: bool,
    retried: bool,
) -> Result<Answer, Stop> {
    if exhausted {
        ctx.record.flag(Flag::URX);
        plan.stats.rq_retry_limit_exceeded.inc();
    }
    match sent {
        Ok(response) => {
            if retried && !exhausted {
                plan.stats.rq_retry_success.inc();
            }
            Ok(answer(ctx, plan, response))
        }
        Err(Ended::Failed(error)) => Err(Stop::Upstream { error, retried }),
        Err(Ended::PerTryTimeout) => Err(Stop::PerTryTimeout),
        Err(Ended::Final(stop)) => Err(stop),
    }
}

/// The upstream's response as the client gets it.
fn answer(ctx: &mut Context, plan: &Plan, response: Response<Attempt>) -> Answer {
    let Response { mut head, body, facts } = response;
    ctx.record.details = "via_upstream".into();
    ctx.record.upstream_local = facts.local;
    ctx.record.response_begin = Some(ctx.record.started.elapsed());
    let principal = facts.tls.as_ref().and_then(|tls| tls.peer.as_ref());
    ctx.upstream_principal = principal.and_then(|peer| peer.uri_sans.first().cloned());
    let local = facts.tls.as_ref().and_then(|tls| tls.local.as_ref());
    ctx.local_principal = local.and_then(|local| local.uri_sans.first().cloned());
    let switching = head.status() == 101;
    head.strip_hop_by_hop(switching);
    filters::peer_metadata::of_response(ctx, &mut head, facts.tls.as_deref());
    let begin = ctx.progress.request_end.get().unwrap_or(ctx.record.started);
    let service_time = Instant::now().saturating_duration_since(begin).as_millis() as u64;
    head.set("x-envoy-upstream-service-time", itoa::Buffer::new().format(service_time));
    headers::of_response(ctx, &mut head, true);
    ctx.note_response(&head);
    if switching {
        return upgrade::answer(head, body);
    }
    let outgoing = Outgoing::new(Box::new(body), ctx.progress.clone(), plan.timeout, plan.idle);
    ctx.outgoing = Some(outgoing.ending());
    Answer { head, body: Box::new(outgoing), upgrade: None }
}

struct Active<'a>(&'a ClusterStats);

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.0.rq_active.dec();
    }
}
