//! HTTP/2 towards endpoints: many requests at a time on few connections.

mod connection;
mod error;
mod exchange;
mod pool;

pub(crate) use exchange::Exchange;
pub(crate) use pool::Pool;

use std::rc::Rc;

use crate::dial::Dialed;
use crate::h1::is_idempotent;
use crate::left::or_left;
use crate::send::{Call, Inner};
use crate::{Body, BodyKind, Failure, RequestHead, Response, SendError};

/// How often a request is sent again by itself: one that the endpoint says it did not look at,
/// or one without a body that was lost with a connection which had served others before.
const AGAIN: usize = 2;

/// Sends on a connection of the pool, else on a new one. `fresh` is one that stands already.
pub(crate) async fn send<B: Body>(
    inner: &Rc<Inner>,
    call: &Call<'_>,
    head: &RequestHead,
    mut body: B,
    mut fresh: Option<Dialed>,
) -> Result<Box<Response<B>>, SendError> {
    let upgrade = head.upgrade().is_some();
    let bodiless = matches!(body.kind(), BodyKind::None | BodyKind::Length(0));
    // RFC 9113, section 8.5: CONNECT is a tunnel, and needs nobody's leave to be asked.
    let tunnel = upgrade || head.is_connect();
    let ends = bodiless && !tunnel;
    if upgrade && !(bodiless && call.to.config.http2.allow_connect) {
        return Err(SendError::new(Failure::Unsendable("an upgrade over HTTP/2")));
    }
    let (mut again, mut refused_by) = (0, None);
    loop {
        let conn = match fresh.take() {
            Some(dialed) => Box::pin(connection::open(inner, dialed, call)).await?,
            None => pool::acquire(inner, call, refused_by.as_ref()).await?,
        };
        if upgrade && !conn.takes_upgrades().await {
            return Err(SendError::new(Failure::Unsendable("an upgrade to an endpoint without RFC 8441")));
        }
        let mut reused = false;
        let error = match connection::start(&conn, head, ends).await {
            Ok(stream) => {
                reused = stream.reused;
                if let Some(watch) = &call.options.watch {
                    watch.sending(&conn.facts);
                }
                let mut exchange = Exchange::new(stream, body, ends, tunnel, call.options.watch.as_ref());
                let interim = call.options.interim.as_deref();
                match or_left(
                    &call.options.left,
                    &mut exchange,
                    |_| conn.facts.clone(),
                    |it, cx| it.poll_head(interim, cx),
                )
                .await
                {
                    Ok(response) => {
                        if let Some(max_streams) = conn.settle() {
                            inner.h2.borrow_mut().learn(&call.key, max_streams);
                        }
                        return Ok(exchange.respond(response, &conn, head));
                    }
                    Err(error) => {
                        body = exchange.into_request_body();
                        error
                    }
                }
            }
            Err(error) => error,
        };
        conn.note(&error);
        inner.h2.borrow_mut().forget_dead(&call.key);
        let lost = reused && matches!(error.failure, Failure::Closed) && is_idempotent(head.method());
        if again < AGAIN && ((bodiless && (error.unseen || lost)) || (error.unseen && !error.started)) {
            again += 1;
            refused_by = Some(conn);
            continue;
        }
        return Err(SendError { reused, again: again > 0, ..error.into_send_error(&conn.facts) });
    }
}
