//! What is decided of a request once, before its first attempt.

use std::rc::Rc;
use std::sync::Arc;

use engine::balance::Criteria;
use engine::grpc;
use engine::timeouts::{self, Timeouts};
use engine::tls_names::TlsNames;
use engine::upgrade::ends_connect;
use ir::HttpProtocol;
use ir::route::{Forward, RouteClusters, RoutingPriority};
use upstream::{Interim, Left, RequestHead, SendOptions, Watch};

use super::body::RequestBody;
use super::context::Context;
use super::limits::Limits;
use super::respond::Stop;
use super::{filters, headers};
use crate::config::snapshot::Cluster;
use crate::telemetry::{ClusterStats, Own};

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
    pub(super) priority: RoutingPriority,
    /// HTTP/2 may be spoken upstream.
    pub(super) may_be_refused: bool,
    pub(super) limits: Limits,
}

/// Takes its times, names and cookies from its route, and makes its head what goes upstream.
pub(super) fn plan(ctx: &mut Context, forward: &Forward, body: RequestBody) -> Result<Plan, Stop> {
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
