//! Questions of filters: a request of our own to a cluster, and its whole answer.

use std::task::{Context as Task, Poll};
use std::time::Duration;

use bytes::Bytes;
use upstream::{Body, BodyError, BodyKind, Frame, RequestHead, ResponseHead, SendOptions, Trailers};

use super::context::Context;
use super::plan::tls_names;
use crate::worker::Worker;

/// More than this nobody answers a filter.
const MAX_BODY: usize = 1 << 20;

/// What came back.
pub struct Reply {
    pub head: ResponseHead,
    pub body: Vec<u8>,
    pub trailers: Option<Trailers>,
}

/// Why nothing came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// There is no such cluster, or no endpoint in it.
    NoCluster,
    Timeout,
    /// The connection failed, or the answer was none.
    Failed,
}

/// The body of a question: its length is said, also where it is none.
struct Whole(Option<Bytes>);

impl Body for Whole {
    fn poll_frame(&mut self, _: &mut Task<'_>) -> Poll<Result<Option<Frame>, BodyError>> {
        Poll::Ready(Ok(self.0.take().filter(|bytes| !bytes.is_empty()).map(Frame::Data)))
    }

    fn kind(&self) -> BodyKind {
        self.0.as_ref().map_or(BodyKind::None, |bytes| BodyKind::Length(bytes.len() as u64))
    }

    fn is_end(&self) -> bool {
        self.0.as_ref().is_none_or(Bytes::is_empty)
    }
}

/// Sends a request to a cluster and waits for the whole of its answer.
///
/// # Errors
/// There is none within `limit`.
pub async fn ask(
    ctx: &Context,
    cluster: &str,
    mut head: RequestHead,
    body: Option<Bytes>,
    limit: Duration,
) -> Result<Reply, Unanswered> {
    let worker = ctx.conn.worker.clone();
    let original = ctx.conn.info.original();
    // As Envoy marks its own requests.
    head.set("x-envoy-internal", "true");
    if !limit.is_zero() {
        head.set("x-envoy-expected-rq-timeout-ms", limit.as_millis().to_string());
    }
    let cluster = ctx.snapshot.cluster(cluster).ok_or(Unanswered::NoCluster)?;
    let to = super::pick::destination(&worker, original, cluster).ok_or(Unanswered::NoCluster)?;
    let exchange = exchange(&worker, &to, &head, body);
    if limit.is_zero() {
        return exchange.await;
    }
    let answered = tokio::time::timeout(limit, exchange).await;
    answered.unwrap_or_else(|_| {
        worker.stats.cluster(&cluster.config.name).rq_timeout.inc();
        Err(Unanswered::Timeout)
    })
}

async fn exchange(
    worker: &Worker,
    to: &upstream::Destination,
    head: &RequestHead,
    body: Option<Bytes>,
) -> Result<Reply, Unanswered> {
    let stats = worker.stats.cluster(&to.config.name);
    stats.rq_total.inc();
    let mut options = SendOptions { tls_names: tls_names(&to.config, head), ..SendOptions::default() };
    let response = loop {
        match worker.upstream.send(to, head, Whole(body.clone()), &options).await {
            Ok(response) => break response,
            // Once more, where the connection was closed in place of an answer.
            Err(error) if !options.fresh && error.may_be_sent_again(head.method()) => options.fresh = true,
            Err(_) => return Err(Unanswered::Failed),
        }
    };
    stats.response(response.head.status());
    let mut reply = Reply { head: response.head, body: Vec::new(), trailers: None };
    let mut body = response.body;
    loop {
        match std::future::poll_fn(|cx| body.poll_frame(cx)).await {
            Ok(Some(Frame::Data(bytes))) => {
                body.release(bytes.len());
                if reply.body.len() + bytes.len() > MAX_BODY {
                    return Err(Unanswered::Failed);
                }
                reply.body.extend_from_slice(&bytes);
            }
            Ok(Some(Frame::Trailers(trailers))) => reply.trailers = Some(trailers),
            Ok(None) => return Ok(reply),
            Err(_) => return Err(Unanswered::Failed),
        }
    }
}
