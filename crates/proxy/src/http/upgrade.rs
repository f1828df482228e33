//! Connections that become something else: WebSocket, and the tunnel of a CONNECT.

use std::rc::Rc;

use bytes::Bytes;
use http1::ServerConn;
use net::{CopyEnd, Direction, Io};
use tokio::io::{AsyncRead, AsyncWrite};
use upstream::{RequestHead, ResponseBody, ResponseHead, Tunnel};

use super::body::{Attempt, full};
use super::context::Context;
use super::respond::Answer;
use crate::access_log::Flag;

/// The upstream's side of an upgraded connection.
pub struct Upgraded(Tunnel);

/// Whether the upstream has granted an upgrade or a CONNECT.
pub fn is_granted(request: &RequestHead, status: u16) -> bool {
    status == 101 || ((200..300).contains(&status) && request.is_connect())
}

/// The answer to a request whose upstream has switched protocols.
pub fn answer(mut head: ResponseHead, body: ResponseBody<Attempt>) -> Box<Answer> {
    // What follows a CONNECT's success is no content (RFC 9110, section 9.3.6).
    head.remove("content-length");
    Box::new(match body.into_tunnel() {
        Ok(tunnel) => Answer { head, body: full(Bytes::new()), upgrade: Some(Upgraded(tunnel)) },
        Err(error) => {
            tracing::debug!(%error, "upstream switched protocols, but its stream is gone");
            Answer { head: ResponseHead::new(502), body: full(Bytes::new()), upgrade: None }
        }
    })
}

/// Joins both sides until one has had enough. A push or a drain does not end it.
pub async fn relay(mut ctx: Context, client: ServerConn<Io>, upgraded: Upgraded) {
    let Ok((mut client, first)) = client.into_upgraded() else { return ctx.client_gone() };
    client.unread(first);
    join(ctx, client, upgraded).await;
}

/// As [`relay`], whatever the client speaks.
pub async fn join<C>(mut ctx: Context, mut client: C, Upgraded(mut server): Upgraded)
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    let stats = ctx.conn.stats.clone();
    stats.cx_upgrades_total.inc();
    stats.cx_upgrades_active.inc();
    let idle = ctx.stream_idle;
    // An upgraded stream may live for days: let go of the configuration it began with.
    (ctx.snapshot, ctx.route, ctx.cluster) = (Rc::default(), None, None);
    let progress = ctx.progress.clone();
    let moved = |direction, bytes| {
        let total = match direction {
            Direction::ToServer => &progress.request_bytes,
            Direction::ToClient => &progress.response_bytes,
        };
        total.set(total.get() + bytes);
    };
    let forced = ctx.conn.worker.shared.drain.clone();
    let end = tokio::select! {
        (_, end) = net::copy_bidirectional(&mut client, &mut server, idle, moved) => Some(end),
        () = forced.forced() => None,
    };
    stats.cx_upgrades_active.dec();
    match end {
        Some(CopyEnd::Idle) => ctx.record.flag(Flag::SI),
        Some(CopyEnd::ClientFailed(_)) => ctx.record.flag(Flag::DC),
        Some(CopyEnd::ServerFailed(_)) => ctx.record.flag(Flag::UC),
        Some(CopyEnd::Finished) | None => {}
    }
}
