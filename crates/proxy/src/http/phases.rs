//! The phases of a request, in order.

use std::borrow::Cow;
use std::sync::Arc;

use engine::path::{Normalization, Verdict};
use engine::route::Selection;
use ir::http::{HeadersWithUnderscores, RouteSource};
use ir::route::{RequireTls, RouteUpgrade};
use ir::{OverloadAction, RouteAction};

use super::body::RequestBody;
use super::context::{ChosenRoute, Context};
use super::forward::Outcome;
use super::respond::{self, Answer, Stop};
use super::{filters, forward, headers};
use crate::config::routes::Routes;

/// Serves a request. Always answers.
pub async fn serve_request(ctx: &mut Context, body: RequestBody) -> Box<Answer> {
    match run(ctx, body).await {
        Ok(answer) => answer,
        Err(stop) => respond::local(ctx, stop),
    }
}

async fn run(ctx: &mut Context, mut body: RequestBody) -> Result<Box<Answer>, Stop> {
    check(ctx)?;
    underscores(ctx)?;
    normalize(ctx)?;
    headers::of_client(ctx);
    filters::peer_metadata::of_request(ctx);
    loop {
        let routed = route(ctx);
        if ctx.filters.as_ref().is_some_and(|state| state.redirects > 0) {
            ctx.write_redirect();
        }
        if let Ok(chosen) = &routed {
            switches(ctx, chosen)?;
        }
        filters::decode(ctx, &mut body).await?;
        let chosen = routed?;
        let forward = match &chosen.route().action {
            RouteAction::Direct(direct) => {
                let body = chosen.table.body(chosen.vhost, chosen.route, direct);
                return Err(Stop::Direct { status: direct.status, body });
            }
            RouteAction::Redirect(redirect) => return Err(redirected(ctx, redirect, &chosen)),
            RouteAction::Forward(forward) => forward,
        };
        match forward::forward(ctx, &chosen, forward, body.clone()).await? {
            Outcome::Answer(answer) => return Ok(answer),
            Outcome::Redirected => {}
        }
    }
}

/// The same again with TLS: Envoy's `require_tls`. Without `internal_address_config`, which is refused,
/// every client is an external one.
fn to_https(ctx: &Context) -> Stop {
    let redirect = ir::route::Redirect { https: true, ..Default::default() };
    let matches = ir::route::RouteMatch::prefix("/");
    let location = engine::redirect::location(&redirect, None, &matches, &ctx.head);
    Stop::Redirect { status: 301, location, details: "direct_response" }
}

fn redirected(ctx: &Context, redirect: &ir::route::Redirect, chosen: &ChosenRoute) -> Stop {
    ctx.conn.stats.rq_redirect.inc();
    let target = match chosen.table.action(chosen.vhost, chosen.route) {
        Some(engine::overrides::Action::Redirect(target)) => Some(target),
        _ => None,
    };
    let location = engine::redirect::location(redirect, target, &chosen.route().matches, &ctx.head);
    Stop::Redirect { status: redirect.status, location, details: "direct_response" }
}

/// What no configuration makes us forward.
fn check(ctx: &mut Context) -> Result<(), Stop> {
    let head = &ctx.head;
    if ctx.conn.worker.shared.drain.is_forced() {
        return Err(Stop::Draining);
    }
    if ctx.conn.worker.shared.pressure.is_active(OverloadAction::StopAcceptingRequests) {
        ctx.conn.stats.rq_overload_close.inc();
        return Err(Stop::Refused { status: 503, details: "overload", body: "envoy overloaded" });
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
    if path == b"*" && head.method() == b"OPTIONS" {
        return Err(Stop::Refused { status: 404, details: "absolute_path_rejected", body: "" });
    }
    match path.first() {
        Some(b'/') => Ok(()),
        None if head.is_connect() => Ok(()),
        _ => Err(Stop::Refused { status: 404, details: "missing_path_rejected", body: "" }),
    }
}

/// Whether the request may ask for another protocol, or for a tunnel. Before any filter runs, as nobody
/// should wait for the end of such a request.
fn switches(ctx: &Context, chosen: &ChosenRoute) -> Result<(), Stop> {
    let wanted = if ctx.head.is_connect() { Some(ctx.head.method()) } else { ctx.head.upgrade() };
    let Some(wanted) = wanted else { return Ok(()) };
    let of_route: &[RouteUpgrade] = match &chosen.route().action {
        RouteAction::Forward(forward) => &forward.upgrades,
        RouteAction::Direct(_) | RouteAction::Redirect(_) => &[],
    };
    match engine::upgrade::allowed(&ctx.hcm.config.upgrades, of_route, wanted) {
        true => Ok(()),
        false => Err(Stop::Refused { status: 403, details: "upgrade_failed", body: "" }),
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
    let keep_upgrade = ctx.head.upgrade().is_some() && !ctx.head.is_connect();
    ctx.head.strip_hop_by_hop(keep_upgrade);
    if ctx.head.path().is_empty() {
        return Ok(());
    }
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

/// The route that a request would take now, and its name.
pub(super) fn where_to(ctx: &Context) -> Option<((usize, usize), stdx::Str)> {
    let table = table(ctx)?;
    match ctx.conn.worker.with_dice(|dice| table.select(&ctx.head, ctx.conn.info.client_certificate(), dice))
    {
        Selection::Route { vhost, route } => Some(((vhost, route), table.route(vhost, route).name.clone())),
        Selection::NoVirtualHost | Selection::NoRoute { .. } => None,
    }
}

/// Finds the route. What has none still passes the filters: who may not ask learns nothing.
fn route(ctx: &mut Context) -> Result<ChosenRoute, Stop> {
    let table = table(ctx).ok_or(Stop::NoRoute)?;
    let selection =
        ctx.conn.worker.with_dice(|dice| table.select(&ctx.head, ctx.conn.info.client_certificate(), dice));
    if let Selection::Route { vhost, .. } | Selection::NoRoute { vhost } = selection
        && table.vhost(vhost).require_tls != RequireTls::None
        && ctx.head.scheme() != "https"
    {
        return Err(to_https(ctx));
    }
    let Selection::Route { vhost, route } = selection else { return Err(Stop::NoRoute) };
    let chosen = ChosenRoute { table, vhost, route };
    let name = &chosen.route().name;
    ctx.record.route_name = (!name.is_empty()).then(|| name.clone());
    ctx.route = Some(chosen.clone());
    if let RouteAction::Forward(forward) = &chosen.route().action {
        choose_cluster(ctx, forward);
    }
    Ok(chosen)
}

/// The cluster is known before the filters run: a record of a denied request names it.
fn choose_cluster(ctx: &mut Context, forward: &ir::route::Forward) {
    let found = ctx.conn.worker.with_dice(|dice| engine::route::cluster(forward, &ctx.head, dice));
    let Some(found) = found else { return };
    let Some(cluster) = ctx.snapshot.cluster(&found.name).cloned() else { return };
    ctx.weighted = found.weighted.map(|(index, _)| index);
    let edits = found.weighted.map(|(_, cluster)| &cluster.headers);
    ctx.cluster_edits = edits.filter(|edits| !edits.is_empty()).cloned().map(Box::new);
    ctx.record.cluster = Some(cluster.config.name.clone());
    ctx.service = cluster.config.services.first().cloned();
    ctx.cluster = Some(cluster);
}

fn table(ctx: &Context) -> Option<Arc<Routes>> {
    match &ctx.hcm.config.routes {
        RouteSource::Inline(_) => ctx.hcm.inline_routes.clone(),
        RouteSource::Rds(_) | RouteSource::RdsFrom(..) => ctx.snapshot.routes.get(&ctx.hcm.routes).cloned(),
    }
}
