//! The phases of a request, in order.

use std::borrow::Cow;
use std::sync::Arc;

use engine::path::{Normalization, Verdict};
use engine::route::{RouteTable, Selection};
use ir::RouteAction;
use ir::http::{HeadersWithUnderscores, RouteSource};
use ir::route::Redirect;

use super::body::RequestBody;
use super::context::{ChosenRoute, Context};
use super::respond::{self, Answer, Stop};
use super::{filters, forward, headers};
use crate::config::snapshot::HttpFilter;

/// Serves a request. Always answers.
pub async fn serve_request(ctx: &mut Context, body: RequestBody) -> Answer {
    match run(ctx, body).await {
        Ok(answer) => answer,
        Err(stop) => respond::local(ctx, stop),
    }
}

async fn run(ctx: &mut Context, body: RequestBody) -> Result<Answer, Stop> {
    check(ctx)?;
    underscores(ctx)?;
    normalize(ctx)?;
    headers::of_client(ctx);
    filters::peer_metadata::of_request(ctx);
    let routed = route(ctx);
    filter(ctx).await?;
    let chosen = routed?;
    match &chosen.route().action {
        RouteAction::Direct(direct) => Err(Stop::Direct { status: direct.status, body: direct.body.clone() }),
        RouteAction::Redirect(redirect) => Err(redirected(ctx, redirect, &chosen)),
        RouteAction::Forward(forward) => forward::forward(ctx, forward, body).await,
    }
}

/// What no configuration makes us forward.
fn check(ctx: &mut Context) -> Result<(), Stop> {
    let head = &ctx.head;
    if ctx.conn.worker.shared.drain.is_forced() {
        return Err(Stop::Draining);
    }
    if head.is_connect() {
        // No route matches CONNECT.
        return Err(Stop::NoRoute);
    }
    if head.authority().is_empty() {
        let old = head.protocol() == "HTTP/1.0" && ctx.hcm.config.accept_http_10;
        let details = if old { "route_not_found" } else { "missing_host_header" };
        return Err(Stop::Refused { status: if old { 404 } else { 400 }, details, body: "" });
    }
    if head.protocol() == "HTTP/1.0" && !ctx.hcm.config.accept_http_10 {
        return Err(Stop::Malformed { status: 426, details: "low_version" });
    }
    // HTTP/1 refuses them while it reads.
    if ctx.is_http2 && head.field_count() > ctx.hcm.max_headers_count as usize {
        return Err(Stop::Malformed { status: 431, details: "http2.too_many_headers" });
    }
    let path = head.path();
    if path.first() != Some(&b'/') && !(path == b"*" && head.method() == b"OPTIONS") {
        return Err(Stop::Refused { status: 404, details: "missing_path_rejected", body: "" });
    }
    match head.upgrade() {
        Some(wanted) if !super::upgrade::allowed(&ctx.hcm.config.upgrades, wanted) => {
            Err(Stop::Refused { status: 403, details: "upgrade_failed", body: "" })
        }
        _ => Ok(()),
    }
}

/// Envoy's `headers_with_underscores_action`.
fn underscores(ctx: &mut Context) -> Result<(), Stop> {
    let action = ctx.hcm.config.headers_with_underscores;
    if action == HeadersWithUnderscores::Allow {
        return Ok(());
    }
    let mut names = Vec::new();
    ctx.head.for_each(|name, _| {
        if name.contains(&b'_') {
            names.push(String::from_utf8_lossy(name).into_owned());
        }
    });
    if action == HeadersWithUnderscores::RejectRequest && !names.is_empty() {
        let details =
            if ctx.is_http2 { "http2.unexpected_underscore" } else { "http1.unexpected_underscore" };
        return Err(Stop::Malformed { status: 400, details });
    }
    for name in names {
        ctx.head.remove(&name);
    }
    Ok(())
}

fn normalize(ctx: &mut Context) -> Result<(), Stop> {
    let keep_upgrade = ctx.head.upgrade().is_some();
    ctx.head.strip_hop_by_hop(keep_upgrade);
    let config = &ctx.hcm.config;
    let how = Normalization {
        normalize: config.normalize_path,
        merge_slashes: config.merge_slashes,
        escaped_slashes: config.escaped_slashes,
    };
    let details = "path_normalization_failed";
    let reject = Stop::Refused { status: 400, details, body: "" };
    let path = match engine::path::normalize(ctx.head.path(), how) {
        Verdict::Forward(Cow::Borrowed(_)) => return Ok(()),
        Verdict::Forward(Cow::Owned(path)) => path,
        // Clients of gRPC do not follow a redirect.
        Verdict::Redirect(location) if !ctx.is_grpc => {
            ctx.conn.stats.rq_redirected_with_normalized_path.inc();
            return Err(Stop::Redirect { status: 307, location, details });
        }
        Verdict::Redirect(_) | Verdict::Reject => {
            ctx.conn.stats.rq_failed_path_normalization.inc();
            return Err(reject);
        }
    };
    ctx.head.set_path(path);
    Ok(())
}

/// Finds the route. What has none still passes the filters: who may not ask learns nothing.
fn route(ctx: &mut Context) -> Result<ChosenRoute, Stop> {
    let table = table(ctx).ok_or(Stop::NoRoute)?;
    let selection = ctx.conn.worker.with_dice(|dice| table.select(&ctx.head, dice));
    if let Selection::Route { vhost, .. } | Selection::NoRoute { vhost } = selection
        && table.vhost(vhost).require_tls
        && ctx.head.scheme() != "https"
    {
        return Err(to_https(ctx));
    }
    let Selection::Route { vhost, route } = selection else { return Err(Stop::NoRoute) };
    let chosen = ChosenRoute { table, vhost, route };
    let named = |name: &stdx::Str| (!name.is_empty()).then(|| name.clone());
    ctx.record.route_name = named(&chosen.route().name);
    ctx.record.virtual_host = named(&chosen.vhost().name);
    ctx.route = Some(chosen.clone());
    if let RouteAction::Forward(forward) = &chosen.route().action {
        choose_cluster(ctx, forward);
    }
    Ok(chosen)
}

/// The cluster is known before the filters run: a record of a denied request names it.
fn choose_cluster(ctx: &mut Context, forward: &ir::route::Forward) {
    let found = ctx.conn.worker.with_dice(|dice| engine::route::cluster(forward, dice));
    let Some(found) = found else { return };
    let Some(cluster) = ctx.snapshot.cluster(found.name).cloned() else { return };
    ctx.cluster_edits = found.headers.filter(|edits| !edits.is_empty()).cloned().map(Box::new);
    ctx.record.cluster = Some(cluster.config.name.clone());
    ctx.service = cluster.config.services.first().cloned();
    ctx.cluster = Some(cluster);
}

fn table(ctx: &Context) -> Option<Arc<RouteTable>> {
    match &ctx.hcm.config.routes {
        RouteSource::Inline(_) => ctx.hcm.inline_routes.clone(),
        RouteSource::Rds(name) => ctx.snapshot.routes.get(name).cloned(),
    }
}

/// The HTTP filters, in their order.
async fn filter(ctx: &mut Context) -> Result<(), Stop> {
    let hcm = ctx.hcm.clone();
    for filter in &hcm.filters {
        match filter {
            HttpFilter::Rbac { rules, .. } => filters::rbac::decide(ctx, rules)?,
            HttpFilter::Fault => filters::fault::inject(ctx).await?,
            HttpFilter::Alpn(alpn) => filters::alpn::choose(ctx, alpn),
        }
    }
    Ok(())
}

/// The same again with TLS.
fn to_https(ctx: &Context) -> Stop {
    let location = [b"https://", ctx.head.authority(), ctx.head.path()].concat();
    Stop::Redirect { status: 301, location, details: "direct_response" }
}

/// Where a redirect leads, as Envoy composes it.
fn redirected(ctx: &Context, redirect: &Redirect, chosen: &ChosenRoute) -> Stop {
    let head = &ctx.head;
    let https = redirect.https || head.scheme() == "https";
    let authority = String::from_utf8_lossy(head.authority()).into_owned();
    let host = match &redirect.host {
        Some(host) => host.to_string(),
        None => String::from_utf8_lossy(engine::request::host_of(head.authority())).into_owned(),
    };
    let default = if https { 443 } else { 80 };
    let authority = match redirect.port {
        Some(port) if port != default => format!("{host}:{port}"),
        Some(_) => host,
        None if redirect.host.is_some() => host,
        None => authority,
    };
    let path = head.path();
    let only = engine::request::path_only(path);
    let query = &path[only.len()..];
    let mut target = match (&redirect.path, &redirect.prefix_rewrite) {
        (Some(new), _) => new.as_bytes().to_vec(),
        (None, Some(prefix)) => {
            use ir::route::PathMatch;
            let matched = match &chosen.route().matches.path {
                PathMatch::Prefix(p) | PathMatch::SeparatedPrefix(p) | PathMatch::Exact(p) => p.len(),
                PathMatch::Regex(_) => only.len(),
            };
            [prefix.as_bytes(), only.get(matched..).unwrap_or_default()].concat()
        }
        (None, None) => only.to_vec(),
    };
    if !redirect.strip_query && !target.contains(&b'?') {
        target.extend_from_slice(query);
    }
    let scheme = if https { "https" } else { "http" };
    let location = [format!("{scheme}://{authority}").as_bytes(), &target].concat();
    Stop::Redirect { status: redirect.status, location, details: "direct_response" }
}
