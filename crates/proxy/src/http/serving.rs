//! Serving a request within its time, for a client that stays.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use super::body::{Progress, RequestBody};
use super::context::Context;
use super::phases;
use super::respond::{self, Answer, Stop};

/// What the client gets; `None`: it went away, as `gone` says, which is polled whenever nothing else goes on.
pub async fn answer(
    ctx: &mut Context,
    body: RequestBody,
    mut gone: impl FnMut(&mut TaskContext<'_>) -> Poll<()>,
) -> Option<Box<Answer>> {
    let progress = ctx.progress.clone();
    let limit = ctx.hcm.config.request_timeout;
    let served = {
        // Pinned where they are: `select!` would move both.
        let mut serving = pin!(phases::serve_request(ctx, body));
        let mut overdue = pin!(overdue(&progress, limit));
        let served = poll_fn(|cx| {
            if let Poll::Ready(answer) = serving.as_mut().poll(cx) {
                return Poll::Ready(Some(Ok(answer)));
            }
            if overdue.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Some(Err(Stop::RequestTimeout)));
            }
            gone(cx).map(|()| None)
        });
        served.await?
    };
    Some(served.unwrap_or_else(|stop| respond::local(ctx, stop)))
}

/// Resolves when the whole request should have been here, and is not.
async fn overdue(progress: &Progress, limit: Option<Duration>) {
    let Some(limit) = limit.filter(|limit| !limit.is_zero()) else { return std::future::pending().await };
    tokio::time::sleep(limit).await;
    if progress.request_end.get().is_some() {
        std::future::pending::<()>().await;
    }
}
