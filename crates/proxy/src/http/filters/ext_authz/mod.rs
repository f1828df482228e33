//! Asking somebody else whether a request may pass.

mod apply;
mod grpc;
mod http;
mod question;

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::Problem;
use engine::matcher::Text;
use ir::StringMatcher;
use ir::ext_authz::{AuthzBody, AuthzService, ExtAuthzOverride};
use stdx::Str;
use xds_codec::authz::{Answer, Denied};

use super::super::body::{Part, RequestBody};
use super::super::context::Context;
use super::super::respond::{LocalReply, Stop};
use crate::access_log::Flag;
use crate::telemetry::AuthzStats;

pub use apply::encode;

/// A compiled [`ir::ExtAuthz`].
pub struct ExtAuthz {
    pub config: ir::ExtAuthz,
    allowed: Vec<Text>,
    disallowed: Vec<Text>,
    /// Of a service that is asked over HTTP.
    http: http::Headers,
    /// `ext_authz`, or `ext_authz.<prefix>`.
    name: String,
    /// `http.<prefix>.ext_authz`
    stats: Str,
}

impl ExtAuthz {
    /// # Errors
    /// An expression that is not RE2's, or what has no effect.
    pub fn compile(config: &ir::ExtAuthz, http_prefix: &str) -> Result<Self, Problem> {
        if config.include_peer_certificate {
            return Err(Problem::new("include_peer_certificate", "is not supported"));
        }
        let dot = if config.stat_prefix.is_empty() { "" } else { "." };
        let name = format!("ext_authz{dot}{}", config.stat_prefix);
        Ok(ExtAuthz {
            allowed: texts(&config.allowed_headers, "allowed_headers")?,
            disallowed: texts(&config.disallowed_headers, "disallowed_headers")?,
            http: match &config.service {
                AuthzService::Http(it) => http::Headers::compile(it)?,
                AuthzService::Grpc(_) => http::Headers::default(),
            },
            stats: format!("http.{http_prefix}.{name}").into(),
            name,
            config: config.clone(),
        })
    }

    /// Whether the service is told of a header.
    fn tells(&self, name: &[u8]) -> bool {
        let any = |list: &[Text]| list.iter().any(|text| text.matches(name));
        if any(&self.disallowed) {
            return false;
        }
        match &self.config.service {
            AuthzService::Grpc(_) => self.allowed.is_empty() || any(&self.allowed),
            AuthzService::Http(_) => {
                matches!(name, b":method" | b":path" | b":authority" | b"authorization") || any(&self.allowed)
            }
        }
    }
}

fn texts(all: &[StringMatcher], field: &str) -> Result<Vec<Text>, Problem> {
    let one = |(i, it)| Text::compile(it).map_err(|p| p.inside(format!("{field}.patterns[{i}]")));
    all.iter().enumerate().map(one).collect()
}

/// What a route says, all of its levels together.
struct Settings {
    context_extensions: BTreeMap<Str, Str>,
    body: Option<AuthzBody>,
}

/// `None`: nobody is asked.
fn settings(ctx: &Context, config: &ir::ExtAuthz) -> Option<Settings> {
    let mut settings = Settings { context_extensions: BTreeMap::new(), body: config.with_request_body };
    for (level, it) in ctx.overrides().filter_map(|it| it.config.ext_authz.as_deref()).enumerate() {
        let ExtAuthzOverride::Check { context_extensions, disable_request_body_buffering, with_request_body } =
            it
        else {
            match level {
                0 => return None,
                _ => continue,
            }
        };
        for (key, value) in context_extensions {
            settings.context_extensions.entry(key.clone()).or_insert_with(|| value.clone());
        }
        if level == 0 {
            let of_filter = settings.body.filter(|_| !disable_request_body_buffering);
            settings.body = with_request_body.or(of_filter);
        }
    }
    Some(settings)
}

/// Lets a request pass, changed as the service wants it; or answers as it says.
pub async fn check(ctx: &mut Context, filter: &Arc<ExtAuthz>, body: &RequestBody) -> Result<(), Stop> {
    if ctx.route.is_none() {
        // Answered 404, whoever asks.
        return Ok(());
    }
    let Some(settings) = settings(ctx, &filter.config) else { return Ok(()) };
    let stats = ctx.conn.worker.stats.authz(&filter.stats);
    if !ctx.conn.worker.with_dice(|dice| engine::dice::happens(dice, filter.config.enabled)) {
        stats.disabled.inc();
        return Ok(());
    }
    let part = match settings.body.filter(|_| !body.ended() && ctx.head.upgrade().is_none()) {
        // A length of nought announces no body.
        Some(wanted) => Some((wanted, read(ctx, body, wanted).await?))
            .filter(|(_, part)| part.more || !part.bytes.is_empty()),
        None => None,
    };
    let question = question::Question { ctx, filter, settings: &settings, part: part.as_ref() };
    let answer = match &filter.config.service {
        AuthzService::Grpc(service) => grpc::ask(&question, service).await,
        AuthzService::Http(service) => http::ask(&question, service).await,
    };
    let cluster = ctx.record.cluster.as_ref();
    let of_cluster =
        cluster.map(|name| ctx.conn.worker.stats.authz(&format!("cluster.{name}.{}", filter.name).into()));
    let count = |which: fn(&AuthzStats) -> &crate::telemetry::Counter| {
        which(&stats).inc();
        if let Some(stats) = &of_cluster {
            which(stats).inc();
        }
    };
    match answer {
        Ok(Answer::Allowed(allowed)) => {
            count(|it| &it.ok);
            apply::allowed(ctx, allowed);
            Ok(())
        }
        Ok(Answer::Denied(it)) => {
            count(|it| &it.denied);
            apply::metadata(ctx, it.metadata.clone());
            let status = it.status.unwrap_or(403);
            Err(stop(status, "ext_authz_denied", it))
        }
        Ok(Answer::Failed(_)) | Err(()) if filter.config.failure_mode_allow => {
            count(|it| &it.error);
            count(|it| &it.failure_mode_allowed);
            if filter.config.failure_mode_allow_header_add {
                ctx.head.set("x-envoy-auth-failure-mode-allowed", "true");
            }
            Ok(())
        }
        Ok(Answer::Failed(it)) => {
            count(|it| &it.error);
            let status = it.status.unwrap_or(filter.config.status_on_error);
            Err(stop(status, "ext_authz_error", it))
        }
        Err(()) => {
            count(|it| &it.error);
            Err(stop(filter.config.status_on_error, "ext_authz_error", Denied::default()))
        }
    }
}

/// As much of the body as the service wants to see.
async fn read(ctx: &mut Context, body: &RequestBody, wanted: AuthzBody) -> Result<Part, Stop> {
    // The body is wanted now, whatever the upstream would say.
    drop(ctx.expectation.take());
    match body.collect_some(wanted.max_bytes as usize, &ctx.conn.kept).await {
        Ok(part) if part.more && !wanted.allow_partial => {
            let reply = LocalReply::new(413, None, "request_payload_too_large").body("Payload Too Large");
            Err(Stop::Local(Box::new(reply)))
        }
        Ok(part) => Ok(part),
        Err(()) => Err(Stop::Refused { status: 400, details: "request_body_failed", body: "Bad Request" }),
    }
}

fn stop(status: u16, details: &'static str, it: Denied) -> Stop {
    let reply = LocalReply::new(status, Some(Flag::UAEX), details);
    Stop::Local(Box::new(LocalReply { edits: apply::edits(it.headers), raw: it.body, ..reply }))
}
