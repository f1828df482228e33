//! Who is on the other side, told by headers inside mutual TLS of one trust domain.
//!
//! What comes over anything else is not believed, and never passed on: an application must not
//! be able to speak for a workload.

use identity::TlsInfo;
use upstream::{RequestHead, ResponseHead};

use crate::http::context::Context;
use crate::telemetry::peer::{METADATA, METADATA_ID};

/// Reads the client's metadata and takes it off the request.
pub fn of_request(ctx: &mut Context) {
    if !ctx.hcm.peer_metadata {
        return;
    }
    let trusted = ctx.conn.info.tls.as_deref().is_some_and(one_trust_domain);
    if trusted {
        ctx.downstream_peer =
            ctx.head.get(METADATA).and_then(|value| ctx.conn.worker.stats.istio.peer(value));
        ctx.tell_peer = ctx.head.get(METADATA_ID).is_some();
    }
    ctx.head.remove(METADATA);
    ctx.head.remove(METADATA_ID);
}

/// Tells the upstream who we are, if its connection is going to be mutual TLS.
pub fn to_upstream(ctx: &mut Context, mutual: bool) {
    if !ctx.hcm.peer_metadata {
        return;
    }
    let head: &mut RequestHead = &mut ctx.head;
    let local = &ctx.conn.worker.shared.local;
    match mutual {
        true => {
            head.set(METADATA, local.metadata.as_bytes());
            head.set(METADATA_ID, local.id.as_bytes());
        }
        false => {
            head.remove(METADATA);
            head.remove(METADATA_ID);
        }
    }
}

/// Reads the upstream's metadata, takes it off the response, and adds our own for the client.
pub fn of_response(ctx: &mut Context, head: &mut ResponseHead, tls: Option<&TlsInfo>) {
    if !ctx.hcm.peer_metadata {
        return;
    }
    if tls.is_some_and(one_trust_domain) {
        ctx.upstream_peer = head.get(METADATA).and_then(|value| ctx.conn.worker.stats.istio.peer(value));
    }
    head.remove(METADATA);
    head.remove(METADATA_ID);
    if ctx.tell_peer {
        let local = &ctx.conn.worker.shared.local;
        head.set(METADATA, local.metadata.as_bytes());
        head.set(METADATA_ID, local.id.as_bytes());
    }
}

fn one_trust_domain(tls: &TlsInfo) -> bool {
    let ours = tls.local.as_ref().and_then(|local| local.spiffe());
    let theirs = tls.peer.as_ref().and_then(|peer| peer.spiffe());
    matches!((ours, theirs), (Some(a), Some(b)) if a.trust_domain == b.trust_domain)
}
