//! One attempt: the request is sent once, within its limits, and counted.

use std::cell::Cell;
use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use engine::outlier;
use engine::retry::{Conditions, GIVEN_UP, Outcome};
use ir::route::HostRewrite;
use upstream::{Breaker, Destination, Failure, Response, SendError, Traffic};

use super::body::{Attempt, Progress, number};
use super::context::Context;
use super::filters;
use super::forward::of_route;
use super::limits::{Clock, Over};
use super::plan::Plan;
use super::respond::Stop;
use crate::access_log::Record;

/// How an attempt ended, other than by a response.
pub(super) enum Ended {
    Failed(Box<SendError>),
    /// `idle`: nothing came for too long.
    PerTryTimeout {
        idle: bool,
    },
    /// Nothing more is tried after these.
    Final(Stop),
}

pub(super) type Sent = Result<Box<Response<Attempt>>, Ended>;

/// Sends the request once.
pub(super) async fn attempt(ctx: &mut Context, plan: &Plan, to: &Destination) -> Sent {
    ctx.record.upstream_host = Some(to.address());
    if let Some(told) = &ctx.record.told {
        told.attempt(to);
    }
    if ctx.route.as_ref().is_some_and(|chosen| chosen.vhost().include_request_attempt_count) {
        ctx.head.set("x-envoy-attempt-count", itoa::Buffer::new().format(ctx.record.attempts));
    }
    auto_host(ctx, to);
    filters::peer_metadata::to_upstream(ctx, plan.cluster.is_mutual(to));
    plan.stats.rq_total.inc();
    plan.stats.rq_active.inc();
    let worker = ctx.conn.worker.clone();
    let active = Active { plan, at: to.endpoint.traffic(), progress: &ctx.progress, over: Cell::new(false) };
    let result = {
        // Pinned where they are: `select!` would move both.
        let mut send = pin!(worker.upstream.send(to, &ctx.head, plan.body.attempt(), &plan.options));
        let mut clock = Clock::new(&plan.limits, &ctx.progress, &worker.timers);
        let sent = poll_fn(|cx| {
            if let Poll::Ready(result) = send.as_mut().poll(cx) {
                return Poll::Ready(result.map_err(Ended::Failed));
            }
            clock.poll_over(cx).map(|over| {
                Err(match over {
                    Over::Response => Ended::Final(Stop::Timeout),
                    Over::PerTry => Ended::PerTryTimeout { idle: false },
                    Over::PerTryIdle => Ended::PerTryTimeout { idle: true },
                    Over::Stream => Ended::Final(Stop::MaxDuration),
                    Over::Idle => Ended::Final(Stop::StreamIdle),
                })
            })
        });
        sent.await
    };
    active.over.set(true);
    if let Err(ended) = &result {
        note_connection(&mut ctx.record, plan, ended);
    }
    count(plan, to.endpoint.traffic(), &result);
    count_for_route(ctx, &result);
    if let Some(config) = &to.config.outlier {
        plan.cluster.report(&worker, config, to, outlier_outcome(ctx.is_grpc, &result));
    }
    result
}

/// What is known of the connection although there was no response.
fn note_connection(record: &mut Record, plan: &Plan, ended: &Ended) {
    match ended {
        Ended::Failed(error) => {
            record.upstream = error.over.clone();
            record.upstream_local = error.local;
        }
        Ended::PerTryTimeout { .. } | Ended::Final(_) => {
            record.upstream = plan.options.left.take();
            record.upstream_local = None;
        }
    }
}

/// `auto_host_rewrite`: the host is the endpoint's name, where it has one.
fn auto_host(ctx: &mut Context, to: &Destination) {
    let Some(named) = &to.named else { return };
    let Some(chosen) = ctx.route.clone() else { return };
    let ir::RouteAction::Forward(forward) = &chosen.route().action else { return };
    if forward.host_rewrite == Some(HostRewrite::Auto) {
        super::headers::rewrite_host(ctx, forward, named.hostname.as_bytes());
    }
}

fn count(plan: &Plan, at: &Traffic, result: &Sent) {
    let stats = &plan.stats;
    match result {
        Ok(response) => {
            stats.response(response.head.status());
            if response.head.status() >= 500 {
                bump(&at.error);
            }
            if !response.reused {
                stats.cx_total.inc();
                stats.cx_connect_ms.add(response.facts.dialed.millis());
                match response.facts.protocol {
                    "HTTP/2" => stats.cx_http2_total.inc(),
                    "HTTP/1.1" => stats.cx_http1_total.inc(),
                    _ => {}
                }
            }
        }
        Err(Ended::Failed(error)) => match error.failure {
            Failure::Connect { timeout, .. } => {
                stats.cx_total.inc();
                stats.cx_connect_fail.inc();
                bump(&at.error);
                bump(&at.unsent);
                if timeout {
                    stats.cx_connect_timeout.inc();
                }
            }
            Failure::Reset(_) | Failure::Refused | Failure::Closed => {
                stats.rq_rx_reset.inc();
                bump(&at.error);
            }
            // Requests that are too many have not even begun there.
            Failure::Overflow(Breaker::Requests) => stats.rq_pending_overflow.inc(),
            Failure::Overflow(_) => {
                stats.rq_pending_overflow.inc();
                bump(&at.error);
                bump(&at.unsent);
            }
            Failure::Protocol => bump(&at.error),
            Failure::RequestBody(_) | Failure::Unsendable(_) => bump(&at.neither),
        },
        Err(Ended::PerTryTimeout { idle }) => {
            match idle {
                false => stats.rq_per_try_timeout.inc(),
                true => stats.rq_per_try_idle_timeout.inc(),
            }
            bump(&at.timeout);
        }
        Err(Ended::Final(Stop::Timeout)) => {
            stats.rq_timeout.inc();
            bump(&at.timeout);
        }
        Err(Ended::Final(_)) => bump(&at.neither),
    }
}

/// As Envoy counts it: requests that there was a connection for.
fn count_for_route(ctx: &Context, result: &Sent) {
    match result {
        Err(Ended::Failed(error))
            if matches!(error.failure, Failure::Connect { .. } | Failure::Overflow(_)) => {}
        Err(Ended::Final(Stop::Timeout)) => {
            of_route(ctx, |route| &route.rq_total);
            of_route(ctx, |route| &route.rq_timeout);
        }
        _ => of_route(ctx, |route| &route.rq_total),
    }
}

fn bump(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// What the attempt says about its endpoint; `None`: nothing, the fault is elsewhere.
fn outlier_outcome(is_grpc: bool, result: &Sent) -> Option<outlier::Outcome> {
    match result {
        Ok(response) => {
            let grpc = is_grpc.then(|| response.head.get("grpc-status").and_then(number)).flatten();
            let status = grpc.map_or(response.head.status(), engine::grpc::http_of_status);
            Some(outlier::Outcome::Status(status))
        }
        Err(Ended::Failed(error)) => match error.failure {
            Failure::Connect { timeout: true, .. } => Some(outlier::Outcome::LocalTimeout),
            Failure::Overflow(_) | Failure::RequestBody(_) | Failure::Unsendable(_) => None,
            _ => Some(outlier::Outcome::LocalFailure),
        },
        Err(Ended::PerTryTimeout { .. } | Ended::Final(Stop::Timeout)) => {
            Some(outlier::Outcome::LocalTimeout)
        }
        Err(Ended::Final(_)) => None,
    }
}

pub(super) fn outcome_of(response: &Response<Attempt>, conditions: Option<&Conditions>) -> Outcome {
    let head = &response.head;
    let any = |name: &str, wanted: &mut dyn FnMut(&[u8]) -> bool| {
        if name == ":status" {
            return Some(wanted(head.status().to_string().as_bytes()));
        }
        let mut found = None;
        head.for_each(|field, value| {
            if field.eq_ignore_ascii_case(name.as_bytes()) {
                found = Some(found.unwrap_or(false) || wanted(value));
            }
        });
        found
    };
    Outcome::Response {
        status: head.status(),
        grpc_status: head.get("grpc-status").and_then(number),
        rate_limited: head.get("x-envoy-ratelimited").is_some(),
        retriable_header: conditions.is_some_and(|conditions| conditions.fit(any)),
        given_up: head.get(GIVEN_UP.0).is_some_and(|value| value == GIVEN_UP.1.as_bytes()),
    }
}

struct Active<'a> {
    plan: &'a Plan,
    at: &'a Traffic,
    progress: &'a Progress,
    /// It ended by itself; else the client went away.
    over: Cell<bool>,
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.plan.stats.rq_active.dec();
        if !self.over.get() {
            bump(&self.at.neither);
            self.progress.left.replace(self.plan.options.left.take());
        }
    }
}
