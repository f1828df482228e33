//! JSON web tokens: [`engine::jwt`] with keys that are fetched from elsewhere.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwapOption;
use engine::Problem;
use engine::jwt::{Good, Jwt, Keys, Known, Requirement, Status, Verdict, told};
use ir::jwt::{Jwks, JwtOverride, RemoteJwks};
use stdx::Str;
use upstream::RequestHead;

use super::super::callout;
use super::super::context::Context;
use super::super::respond::{LocalReply, Stop};
use crate::telemetry::JwtStats;

/// Key of what tokens said, in dynamic metadata.
const NAME: &str = "envoy.filters.http.jwt_authn";
/// Envoy's default of `cache_duration`.
const CACHE: Duration = Duration::from_secs(600);
/// Of the request's target in `www-authenticate`, at most so many bytes of the path.
const MAX_PATH: usize = 256;

/// A compiled [`ir::JwtAuthn`], with the keys that were fetched.
pub struct JwtAuthn {
    jwt: Jwt,
    /// As the providers.
    fetched: Vec<ArcSwapOption<Fetched>>,
    /// Headers that only verified tokens may write.
    sanitized: Vec<Str>,
    /// `http.<prefix>.jwt_authn`
    stats: Str,
}

/// Keys of a provider, and until when they are good.
struct Fetched {
    keys: Arc<Keys>,
    until: Instant,
}

impl JwtAuthn {
    /// # Errors
    /// What cannot be compiled.
    pub fn compile(config: &ir::JwtAuthn, http_prefix: &str) -> Result<Self, Problem> {
        let jwt = Jwt::compile(config)?;
        let dot = if config.stat_prefix.is_empty() { "" } else { "." };
        let providers = config.providers.values();
        let sanitized = providers.flat_map(|it| {
            let claims = it.claim_to_headers.iter().map(|it| it.header.clone());
            it.forward_payload_header.iter().cloned().chain(claims)
        });
        Ok(JwtAuthn {
            fetched: jwt.providers.iter().map(|_| ArcSwapOption::empty()).collect(),
            sanitized: sanitized.collect(),
            stats: format!("http.{http_prefix}.jwt_authn{dot}{}", config.stat_prefix).into(),
            jwt,
        })
    }

    fn known(&self, provider: usize) -> Known {
        match self.jwt.providers.get(provider).and_then(|it| it.keys.as_ref()) {
            Some(Ok(keys)) => return Known::Keys(keys.clone()),
            Some(Err(status)) => return Known::Bad(*status),
            None => {}
        }
        let fetched = self.fetched.get(provider).and_then(|it| it.load_full());
        match fetched.filter(|it| Instant::now() < it.until) {
            Some(it) => Known::Keys(it.keys.clone()),
            None => Known::Unknown,
        }
    }
}

/// Lets requests pass whose tokens are as required.
pub async fn decode(ctx: &mut Context, filter: &Arc<JwtAuthn>) -> Result<(), Stop> {
    let stats = ctx.conn.worker.stats.jwt(&filter.stats);
    let jwt = &filter.jwt;
    if jwt.config.bypass_cors_preflight && is_preflight(ctx) {
        stats.cors_preflight_bypassed.inc();
        stats.allowed.inc();
        return Ok(());
    }
    let of_route = ctx.overrides().find_map(|it| it.config.jwt.as_deref());
    let required = match of_route {
        Some(JwtOverride::Disabled) => None,
        Some(JwtOverride::Requirement(name)) => match jwt.named(name) {
            Some(it) => Some(it),
            None => {
                let names: Vec<&str> = jwt.config.requirements.keys().map(Str::as_str).collect();
                let text =
                    format!("Wrong requirement_name: {name}. It should be one of [{}]", names.join(","));
                stats.denied.inc();
                return Err(wrong_name(&text));
            }
        },
        None => ctx.conn.worker.with_dice(|dice| jwt.required(&ctx.head, dice)),
    };
    let Some(required) = required else {
        stats.allowed.inc();
        return Ok(());
    };
    for name in &filter.sanitized {
        ctx.head.remove(name);
    }
    match judge(ctx, filter, required, &stats).await {
        Ok(good) => {
            good.iter().for_each(|it| apply(ctx, jwt, it));
            stats.allowed.inc();
            Ok(())
        }
        Err(status) => {
            stats.denied.inc();
            Err(refused(ctx, status, jwt.config.strip_failure_response))
        }
    }
}

/// Asks until all keys are there; each provider is asked for its keys once.
async fn judge(
    ctx: &Context,
    filter: &JwtAuthn,
    required: &Requirement,
    stats: &JwtStats,
) -> Result<Vec<Good>, Status> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut asked: Vec<(usize, Known)> = Vec::new();
    loop {
        let known = |provider: usize| match asked.iter().find(|(of, _)| *of == provider) {
            Some((_, known)) => known.clone(),
            None => filter.known(provider),
        };
        let provider = match filter.jwt.judge(required, &ctx.head, now, &known) {
            Verdict::Passed(good) => return Ok(good),
            Verdict::Refused(status) => return Err(status),
            Verdict::Fetch(provider) => provider,
        };
        asked.push((provider, fetch(ctx, filter, provider, stats).await));
    }
}

/// Fetches keys, for this request and for those after it.
async fn fetch(ctx: &Context, filter: &JwtAuthn, provider: usize, stats: &JwtStats) -> Known {
    let config = filter.jwt.providers.get(provider).map(|it| &it.config.jwks);
    let (Some(Jwks::Remote(remote)), Some(cache)) = (config, filter.fetched.get(provider)) else {
        return Known::Bad(Status::FetchFailed);
    };
    match get(ctx, remote).await {
        Ok(keys) => {
            stats.fetch_success.inc();
            let keys = Arc::new(keys);
            let until = Instant::now() + remote.cache_duration.unwrap_or(CACHE);
            cache.store(Some(Arc::new(Fetched { keys: keys.clone(), until })));
            Known::Keys(keys)
        }
        Err(status) => {
            stats.fetch_failed.inc();
            Known::Bad(status)
        }
    }
}

async fn get(ctx: &Context, remote: &RemoteJwks) -> Result<Keys, Status> {
    let (scheme, rest) = match remote.uri.split_once("://") {
        Some(("https", rest)) => ("https", rest),
        Some((_, rest)) => ("http", rest),
        None => ("http", remote.uri.as_str()),
    };
    let (host, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let head = RequestHead::new("GET", scheme, host, path);
    let reply = callout::ask(ctx, &remote.cluster, head, None, remote.timeout).await;
    match reply {
        Ok(reply) if reply.head.status() == 200 => Keys::parse(&reply.body),
        Ok(_) | Err(_) => Err(Status::FetchFailed),
    }
}

/// What a good token changes.
fn apply(ctx: &mut Context, jwt: &Jwt, good: &Good) {
    let edits = told(jwt, good, ctx.head.path());
    for name in &edits.remove {
        ctx.head.remove(name);
    }
    if let Some(path) = edits.path {
        ctx.head.set_path(path);
    }
    for (name, value) in &edits.add {
        ctx.head.append(name, value);
    }
    if !edits.metadata.is_empty() {
        ctx.filter_state().metadata.entry(NAME.into()).or_default().extend(edits.metadata);
    }
}

fn is_preflight(ctx: &Context) -> bool {
    let there = |name| ctx.head.get(name).is_some_and(|value| !value.is_empty());
    ctx.head.method() == b"OPTIONS" && there("origin") && there("access-control-request-method")
}

fn refused(ctx: &Context, status: Status, strip: bool) -> Stop {
    let text = status.text();
    let details = format!("jwt_authn_access_denied{{{}}}", text.replace(' ', "_"));
    let reply = LocalReply::new(status.http(), None, details);
    if strip {
        return Stop::Local(Box::new(reply));
    }
    let path = ctx.head.get("x-envoy-original-path").unwrap_or(ctx.head.path());
    let target =
        [ctx.head.scheme().as_bytes(), b"://", ctx.head.authority(), &path[..path.len().min(MAX_PATH)]]
            .concat();
    let mut challenge = [b"Bearer realm=\"", &target[..], b"\""].concat();
    if status != Status::Missing {
        challenge.extend_from_slice(b", error=\"invalid_token\"");
    }
    let headers = vec![("www-authenticate", challenge)];
    Stop::Local(Box::new(LocalReply { headers, ..reply.body(text) }))
}

/// A route asks for what is not there: nobody passes.
fn wrong_name(text: &str) -> Stop {
    let details = format!("jwt_authn_access_denied{{{}}}", text.replace(' ', "_"));
    let body = format!("Failed JWT authentication: {text}");
    Stop::Local(Box::new(LocalReply::new(403, None, details).body(body)))
}
