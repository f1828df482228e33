//! Requests that are sent elsewhere as well. Nobody waits for them, and nobody hears of their responses.

use std::rc::Rc;
use std::sync::Arc;

use ir::route::{ClusterRef, Forward, Mirror};
use upstream::{Body, RequestHead, SendOptions};

use super::body::RequestBody;
use super::context::Context;
use super::plan::tls_names;
use crate::config::snapshot::Cluster;
use crate::worker::Worker;

/// Sends copies to the mirrors of a route, else of its virtual host, else of the configuration.
pub(super) fn send(ctx: &Context, forward: &Forward, body: &RequestBody) {
    let Some(chosen) = &ctx.route else { return };
    let levels = [&forward.mirrors, &chosen.vhost().mirrors, &chosen.table.config().mirrors];
    let Some(mirrors) = levels.into_iter().find(|mirrors| !mirrors.is_empty()) else { return };
    for mirror in mirrors {
        let wanted = mirror
            .fraction
            .is_none_or(|share| ctx.conn.worker.with_dice(|dice| engine::dice::happens(dice, share)));
        if wanted && let Some(cluster) = cluster(ctx, mirror) {
            let head = copy(&ctx.head, mirror);
            let tls_names = tls_names(&cluster.config, &head);
            let options = SendOptions { downstream_http2: ctx.is_http2, tls_names, ..SendOptions::default() };
            let limit = forward.timeout.filter(|limit| !limit.is_zero());
            let sending = exchange(
                ctx.conn.worker.clone(),
                cluster,
                ctx.conn.info.original(),
                head,
                body.tap(),
                options,
            );
            tokio::task::spawn_local(async move {
                let _ = tokio::time::timeout(limit.unwrap_or(MAX_TIME), sending).await;
            });
        }
    }
}

/// Of a mirrored exchange whose route has no timeout.
const MAX_TIME: std::time::Duration = std::time::Duration::from_secs(300);

fn cluster(ctx: &Context, mirror: &Mirror) -> Option<Arc<Cluster>> {
    match &mirror.cluster {
        ClusterRef::Name(name) => ctx.snapshot.cluster(name).cloned(),
        ClusterRef::Header(name) => {
            let name = engine::route::named_by(&ctx.head, name)?;
            ctx.snapshot.cluster(&name).cloned()
        }
    }
}

/// The head as it goes upstream, with the mark of a copy on its host.
fn copy(head: &RequestHead, mirror: &Mirror) -> RequestHead {
    let mut head = head.clone();
    let authority = match &mirror.host_rewrite {
        Some(host) => host.as_bytes().to_vec(),
        None => head.authority().to_vec(),
    };
    if !mirror.keep_host {
        let host = engine::request::host_of(&authority);
        let shadow = [host, b"-shadow", &authority[host.len()..]].concat();
        head.set_authority(shadow);
    } else if mirror.host_rewrite.is_some() {
        head.set_authority(authority);
    }
    head.set("x-envoy-internal", "true");
    head
}

async fn exchange(
    worker: Rc<Worker>,
    cluster: Arc<Cluster>,
    original: Option<std::net::SocketAddr>,
    head: RequestHead,
    body: super::body::Tap,
    options: SendOptions,
) {
    let Some(to) = super::pick::destination(&worker, original, &cluster) else { return };
    let stats = worker.stats.cluster(&cluster.config.name);
    stats.rq_total.inc();
    if let Ok(response) = worker.upstream.send(&to, &head, body, &options).await {
        stats.response(response.head.status());
        let mut body = response.body;
        // To its end: the connection can be used again.
        while let Ok(Some(frame)) = std::future::poll_fn(|cx| body.poll_frame(cx)).await {
            if let upstream::Frame::Data(bytes) = frame {
                body.release(bytes.len());
            }
        }
    }
}
