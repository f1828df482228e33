//! Status, flag and text of what we answer in an upstream's place.

use std::borrow::Cow;

use upstream::{Failure, SendError};

use super::{LocalReply, Stop};
use crate::access_log::Flag;
use crate::format::Entry;
use crate::http::context::Context;
use crate::http::seen::Seen;

/// Status, flag, details, text of a local reply.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) flag: Option<Flag>,
    pub(super) details: Cow<'static, str>,
    pub(super) body: Cow<'static, str>,
    pub(super) grpc_status: Option<u32>,
    pub(super) location: Option<Vec<u8>>,
    /// A circuit breaker said no.
    pub(super) overloaded: bool,
    pub(super) headers: Vec<(&'static str, Vec<u8>)>,
    pub(super) edits: Vec<ir::route::HeaderValue>,
    pub(super) raw: Vec<u8>,
    /// Of `raw`, where the route has formatted it.
    pub(super) content_type: Option<stdx::Str>,
}

impl Reply {
    /// What a stop comes to; counted.
    pub(super) fn of(ctx: &mut Context, stop: Stop) -> Self {
        let stats = ctx.conn.stats.clone();
        match stop {
            Stop::Refused { status, details, body } => Reply::new(status, None, details).body(body),
            Stop::Malformed { status, details } => {
                ctx.conn.malformed.set(true);
                stats.cx_protocol_error.inc();
                Reply::new(status, Some(Flag::DPE), details).body(phrase(status))
            }
            Stop::NoRoute => {
                stats.no_route.inc();
                Reply::new(404, Some(Flag::NR), "route_not_found")
            }
            Stop::NoCluster => {
                stats.no_cluster.inc();
                let status = match ctx.route.as_ref().map(|chosen| &chosen.route().action) {
                    Some(ir::RouteAction::Forward(forward)) => forward.cluster_not_found_status,
                    _ => 503,
                };
                Reply::new(status, Some(Flag::NC), "cluster_not_found")
            }
            Stop::NoHealthyUpstream => {
                Reply::new(503, Some(Flag::UH), "no_healthy_upstream").body("no healthy upstream")
            }
            Stop::Denied { policy } => {
                let policy = policy.as_deref().unwrap_or("none");
                let details = format!("rbac_access_denied_matched_policy[{policy}]");
                Reply::new(403, None, details).body("RBAC: access denied")
            }
            Stop::Aborted { status } => {
                let reply =
                    |code| Reply::new(code, Some(Flag::FI), "fault_filter_abort").body("fault filter abort");
                match status {
                    ir::fault::AbortStatus::Http(code) => reply(code),
                    // The header was read by who decided.
                    ir::fault::AbortStatus::Header => reply(503),
                    ir::fault::AbortStatus::Grpc(status) => {
                        // To a client that does not know gRPC the filter's status is 200, as in Envoy.
                        Reply { grpc_status: Some(status), ..reply(200) }
                    }
                }
            }
            Stop::Direct { status, body } => direct(ctx, status, &body),
            Stop::Redirect { status, location, details } => {
                Reply { location: Some(location), ..Reply::new(status, None, details) }
            }
            Stop::Upstream { error, retried } => upstream(ctx, &error, retried),
            Stop::Timeout => {
                Reply::new(504, Some(Flag::UT), "response_timeout").body("upstream request timeout")
            }
            Stop::PerTryTimeout { idle } => {
                let details = if idle { "upstream_per_try_idle_timeout" } else { "upstream_per_try_timeout" };
                Reply::new(504, Some(Flag::UT), details).body("upstream request timeout")
            }
            Stop::RequestTimeout => {
                stats.rq_timeout.inc();
                Reply::new(408, None, "request_overall_timeout").body("request timeout")
            }
            Stop::StreamIdle => {
                stats.rq_idle_timeout.inc();
                Reply::new(timeout_status(ctx), Some(Flag::SI), "stream_idle_timeout").body("stream timeout")
            }
            Stop::MaxDuration => {
                stats.rq_max_duration_reached.inc();
                let reply = Reply::new(timeout_status(ctx), None, "max_duration_timeout");
                // DEADLINE_EXCEEDED
                Reply { grpc_status: Some(4), ..reply.body("downstream duration timeout") }
            }
            Stop::Local(it) => {
                let LocalReply { status, flag, details, body, headers, edits, grpc_status, raw } = *it;
                Reply { headers, edits, grpc_status, raw, ..Reply::new(status, flag, details).body(body) }
            }
            Stop::Draining => Reply::new(503, None, "draining"),
        }
    }

    fn new(status: u16, flag: Option<Flag>, details: impl Into<Cow<'static, str>>) -> Self {
        let (details, body) = (details.into(), Cow::Borrowed(""));
        let (headers, edits, raw, overloaded) = Default::default();
        let (grpc_status, location, content_type) = (None, None, None);
        Reply {
            status,
            flag,
            details,
            body,
            grpc_status,
            location,
            overloaded,
            headers,
            edits,
            raw,
            content_type,
        }
    }

    fn body(self, body: impl Into<Cow<'static, str>>) -> Self {
        Reply { body: body.into(), ..self }
    }
}

/// The route's own response, its body as the route wants it.
fn direct(ctx: &mut Context, status: u16, body: &[u8]) -> Reply {
    let reply = Reply::new(status, None, "direct_response");
    let Some(chosen) = ctx.route.clone() else { return Reply { raw: body.to_vec(), ..reply } };
    let Some(format) = chosen.table.body_format(chosen.vhost, chosen.route) else {
        return Reply { raw: body.to_vec(), ..reply };
    };
    let content_type = match &chosen.route().action {
        ir::RouteAction::Direct(direct) => direct.format.as_ref().and_then(|it| it.content_type.clone()),
        _ => None,
    };
    let plain = if format.is_json() { "application/json" } else { "text/plain" };
    let content_type = content_type.unwrap_or_else(|| plain.into());
    ctx.measure();
    let mut raw = Vec::new();
    let seen = Seen { body, ..Seen::new(ctx) };
    format.write(&Entry { record: &ctx.record, conn: &ctx.conn.info, headers: &seen }, &mut raw);
    Reply { raw, content_type: Some(content_type), ..reply }
}

/// Who was too slow: the client, as long as its request is not wholly here.
fn timeout_status(ctx: &Context) -> u16 {
    if ctx.progress.request_end.get().is_some() { 504 } else { 408 }
}

/// No response came from upstream.
fn upstream(ctx: &mut Context, error: &SendError, retried: bool) -> Reply {
    if matches!(error.failure, Failure::Connect { .. }) && !error.detail.is_empty() {
        ctx.record.transport_failure = Some(error.detail.clone());
    }
    let flag = flag_of(error);
    let reason = error.reason();
    if let Failure::RequestBody(why) = &error.failure {
        let details =
            if let upstream::BodyError::Refused(why) = why { why.as_str() } else { "request_body_failed" };
        return Reply::new(400, Some(Flag::DPE), details).body(phrase(400));
    }
    if let Failure::Unsendable(why) = error.failure {
        return Reply::new(502, Some(Flag::UPE), format!("unsendable{{{why}}}")).body(why);
    }
    if let Failure::Overflow(_) = error.failure {
        let reply = Reply::new(503, flag, "upstream_reset_before_response_started{overflow}");
        let text = "upstream connect error or disconnect/reset before headers. reset reason: overflow";
        return Reply { overloaded: true, ..reply.body(text) };
    }
    let status = if matches!(error.failure, Failure::Protocol) { 502 } else { 503 };
    let mut details = reason.to_owned();
    if matches!(error.failure, Failure::Connect { .. }) && !error.detail.is_empty() {
        details = format!("{reason}|{}", error.detail);
    }
    let before = if retried { "retried and the latest " } else { "" };
    Reply::new(status, flag, format!("upstream_reset_before_response_started{{{details}}}")).body(format!(
        "upstream connect error or disconnect/reset before headers. {before}reset reason: {reason}"
    ))
}

fn flag_of(error: &SendError) -> Option<Flag> {
    Some(match error.failure {
        Failure::Connect { .. } => Flag::UF,
        Failure::Overflow(_) => Flag::UO,
        Failure::Closed => Flag::UC,
        Failure::Reset(_) | Failure::Refused => Flag::UR,
        Failure::Protocol => Flag::UPE,
        Failure::RequestBody(_) | Failure::Unsendable(_) => return None,
    })
}

/// What a client reads whose request could not be read.
fn phrase(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        408 => "Request Timeout",
        417 => "Expectation Failed",
        426 => "Upgrade Required",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}
