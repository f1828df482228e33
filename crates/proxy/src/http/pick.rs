//! Where a request goes.

use std::net::SocketAddr;
use std::rc::Rc;

use engine::forward_proxy::Target;
use ir::{Address, ClusterDiscovery};
use upstream::Destination;

use super::context::Context;
use super::plan::Plan;
use super::respond::{LocalReply, Stop};
use crate::access_log::Flag;
use crate::balance::{Asked, Pick};
use crate::config::snapshot::Cluster;
use crate::forward_proxy::{Refused, pick as forward_proxy};
use crate::worker::Worker;

/// Where an attempt goes. An endpoint of the cluster is not copied: its counts are shared by all
/// workers, and so would be the cache lines that a copy writes to.
pub(super) enum Picked {
    Endpoint(usize),
    Original(Rc<Destination>),
}

impl Picked {
    pub(super) fn destination<'a>(&'a self, cluster: &'a Cluster) -> Option<&'a Destination> {
        match self {
            Picked::Endpoint(index) => cluster.destinations.get(*index),
            Picked::Original(to) => Some(to),
        }
    }

    /// Which priority it is of, where there are some.
    pub(super) fn priority(&self, cluster: &Cluster) -> u32 {
        match self {
            Picked::Endpoint(index) => cluster.endpoints.place(*index).map_or(0, |(_, priority)| priority),
            Picked::Original(_) => 0,
        }
    }
}

/// Of none of the priorities in `avoid`; of those that were tried only if there is no other.
pub(super) fn pick(ctx: &mut Context, plan: &Plan, tried: &[Address], avoid: &[u32]) -> Option<Picked> {
    let asked = Asked { hash: plan.hash, criteria: plan.criteria.as_ref(), avoid };
    let picked = match find(&ctx.conn.worker, original(ctx, &plan.cluster), &plan.cluster, asked, tried)? {
        Found::Original(to) => return Some(Picked::Original(to)),
        Found::Endpoint(picked) => picked,
    };
    if picked.panic {
        plan.stats.lb_healthy_panic.inc();
    }
    ctx.endpoint_workload =
        plan.cluster.endpoints.endpoints().get(picked.index).and_then(|endpoint| endpoint.workload.clone());
    Some(Picked::Endpoint(picked.index))
}

/// Where a request goes that brings the name along. It has the host of the moment: the route may have
/// rewritten it.
pub(super) async fn of_name(ctx: &Context, plan: &Plan) -> Result<Picked, Stop> {
    let cluster = &plan.cluster;
    let to = Target::of(ctx.head.authority(), forward_proxy::default_port(cluster));
    let (Some(to), Some(cache)) = (to, &cluster.forward_proxy) else {
        plan.stats.cx_none_healthy.inc();
        return Err(Stop::NoHealthyUpstream);
    };
    let found = forward_proxy::find(&ctx.conn.worker, cluster, cache, to).await;
    found.map(Picked::Original).map_err(|why| {
        // Envoy's choice of an endpoint has not failed then, it was put off.
        if !matches!(why, Refused::Failed(_)) {
            plan.stats.cx_none_healthy.inc();
        }
        let reply = LocalReply::new(503, Some(Flag::UH), why.details()).body("no healthy upstream");
        Stop::Local(Box::new(reply))
    })
}

/// Where the client wanted to go: `use_http_header` says it in place of the connection.
fn original(ctx: &Context, cluster: &Cluster) -> Option<SocketAddr> {
    let header = cluster.config.original_dst.header.as_ref();
    let said = header.and_then(|name| ctx.head.get(name));
    let said = said.and_then(|value| std::str::from_utf8(value).ok()?.trim().parse().ok());
    said.or(ctx.conn.info.original())
}

/// A destination in a cluster, for requests that are nobody's (mirrors, questions of filters).
pub(super) fn destination(
    worker: &Rc<Worker>,
    original: Option<SocketAddr>,
    cluster: &Cluster,
) -> Option<Destination> {
    match find(worker, original, cluster, Asked::default(), &[])? {
        Found::Original(to) => Some((*to).clone()),
        Found::Endpoint(picked) => cluster.destinations.get(picked.index).cloned(),
    }
}

enum Found {
    Endpoint(Pick),
    Original(Rc<Destination>),
}

fn find(
    worker: &Rc<Worker>,
    original: Option<SocketAddr>,
    cluster: &Cluster,
    asked: Asked<'_>,
    tried: &[Address],
) -> Option<Found> {
    if matches!(cluster.config.discovery, ClusterDiscovery::OriginalDst) {
        // Nowhere, if nobody was led here: not back to ourselves.
        return original.map(|to| Found::Original(worker.original(cluster, to)));
    }
    cluster.pick(worker, asked, tried).map(Found::Endpoint)
}
