//! HTTP/1 towards endpoints: one request at a time on a connection, then the next one.

mod exchange;
mod pool;
mod queue;

pub(crate) use exchange::Exchange;
pub(crate) use pool::{Idle, Pool};
pub(crate) use queue::Queue;

use std::rc::Rc;

use queue::{Counted, Turn};

use crate::dial::{Dialed, dial_beyond};
use crate::left::or_left;
use crate::send::{Call, Inner};
use crate::{Body, BodyKind, Breaker, Failure, Limits, RequestHead, Response, SendError};

/// Sends on a connection of the pool, else on a new one. `fresh` is one that stands already.
pub(crate) async fn send<B: Body>(
    inner: &Rc<Inner>,
    call: &Call<'_>,
    head: &RequestHead,
    mut body: B,
    mut fresh: Option<Dialed>,
) -> Result<Box<Response<B>>, SendError> {
    let head = head.to_h1();
    let mut may_reuse = fresh.is_none() && !call.options.fresh;
    let mut again = false;
    loop {
        let pooled = if may_reuse { inner.h1.borrow_mut().take(&call.key) } else { None };
        let (conn, reused) = match (pooled, fresh.take()) {
            (Some(conn), _) => (conn, true),
            (None, Some(dialed)) => {
                (Box::new(Idle::new(dialed, call, Counted::new(inner, &call.key))), false)
            }
            (None, None) => {
                // In a box: most requests find a connection, and all would have room for this.
                stdx::pinned(|| connect(inner, call, may_reuse)).await?
            }
        };
        let mut exchange = Exchange::start(conn, inner, call, &head, body);
        let error =
            match or_left(&call.options.left, &mut exchange, |it| it.facts().clone(), Exchange::poll_head)
                .await
            {
                Ok(head) => return Ok(exchange.respond(head, reused)),
                Err(error) => SendError { reused, again, ..error },
            };
        body = exchange.into_request_body();
        // The endpoint closed an idle connection just as we took it.
        if reused && error.may_be_sent_again(head.method()) && body.kind() == BodyKind::None {
            (may_reuse, again) = (false, true);
            continue;
        }
        return Err(error);
    }
}

/// A new connection, or where there may be no more of them, the next that is free, which has served
/// others. The request counts as pending until it has one.
async fn connect(
    inner: &Rc<Inner>,
    call: &Call<'_>,
    may_reuse: bool,
) -> Result<(Box<Idle>, bool), SendError> {
    let limits = Limits::of(&call.to.config, call.priority());
    let overflow = || SendError::new(Failure::Overflow(Breaker::Pending));
    let _pending = call.to.cluster.start_pending(&limits).ok_or_else(overflow)?;
    loop {
        let first = inner.queue.borrow().connections(&call.key) == 0;
        let counted = Counted::new(inner, &call.key);
        let error = match dial_beyond(call.to, call.options, call.fallback(), first).await {
            Ok(dialed) => return Ok((Box::new(Idle::new(dialed, call, counted)), false)),
            Err(error) => error,
        };
        if !may_reuse || !matches!(error.failure, Failure::Overflow(Breaker::Connections)) {
            return Err(error);
        }
        // It never was one, and nobody has to be told.
        counted.forget(inner);
        let turn = inner.queue.borrow_mut().wait(&call.key);
        match turn.await {
            Ok(Turn::Connection(idle)) => return Ok((idle, true)),
            Ok(Turn::Room) => {}
            Err(_) => return Err(error),
        }
    }
}

/// May be sent again without asking (RFC 9110, section 9.2.2).
pub fn is_idempotent(method: &[u8]) -> bool {
    matches!(method, b"GET" | b"HEAD" | b"OPTIONS" | b"PUT" | b"DELETE" | b"TRACE")
}
