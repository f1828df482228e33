//! Delays, aborts and slow responses that a route or the filter asks for.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context as Task, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Sleep;
use upstream::{Body, BodyError, BodyKind, Frame};

use crate::access_log::Flag;
use crate::config::snapshot::FaultFilter;
use crate::http::body::BoxBody;
use crate::http::context::Context;
use crate::http::respond::Stop;

/// A fault under way counts until its request is over.
pub struct Active(Arc<FaultFilter>);

impl Drop for Active {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Waits, then maybe answers in the upstream's place.
pub async fn inject(ctx: &mut Context, filter: &Arc<FaultFilter>) -> Result<(), Stop> {
    let fault = ctx.overrides().find_map(|it| it.fault.as_ref()).unwrap_or(&filter.default);
    let cluster = ctx.record.cluster.as_deref();
    if !fault.is_for(&ctx.head, cluster) {
        return Ok(());
    }
    let plan = ctx.conn.worker.with_dice(|dice| fault.decide(&ctx.head, dice));
    if plan == engine::fault::Plan::default() {
        return Ok(());
    }
    let before = filter.active.fetch_add(1, Ordering::Relaxed);
    let active = Active(filter.clone());
    if fault.config.max_active.is_some_and(|max| before >= u64::from(max)) {
        ctx.conn.stats.faults_overflow.inc();
        return Ok(());
    }
    let state = ctx.filter_state();
    state.fault = Some(active);
    state.kbps = plan.kbps;
    if plan.kbps.is_some() {
        ctx.conn.stats.rls_injected.inc();
    }
    if let Some(delay) = plan.delay {
        ctx.record.flag(Flag::DI);
        ctx.conn.stats.delays_injected.inc();
        tokio::time::sleep(delay).await;
    }
    match plan.abort {
        None => Ok(()),
        Some(status) => {
            ctx.conn.stats.aborts_injected.inc();
            Err(Stop::Aborted { status })
        }
    }
}

/// Envoy lets bytes through in slices of this time.
const SLICE: Duration = Duration::from_millis(63);

/// A body that gives no more than so many bytes a slice.
pub struct Slow {
    source: BoxBody,
    per_slice: usize,
    left: usize,
    held: Option<Bytes>,
    timer: Pin<Box<Sleep>>,
}

impl Slow {
    pub fn new(source: BoxBody, kbps: u64) -> Self {
        // 16 slices a second, as in Envoy.
        let per_slice = usize::try_from(kbps.saturating_mul(1024) / 16).unwrap_or(usize::MAX).max(1);
        Slow { source, per_slice, left: per_slice, held: None, timer: Box::pin(tokio::time::sleep(SLICE)) }
    }
}

impl Body for Slow {
    fn poll_frame(&mut self, cx: &mut Task<'_>) -> Poll<Result<Option<Frame>, BodyError>> {
        if self.left == 0 {
            ready!(self.timer.as_mut().poll(cx));
            self.timer.as_mut().reset(tokio::time::Instant::now() + SLICE);
            self.left = self.per_slice;
        }
        let mut bytes = match self.held.take() {
            Some(bytes) => bytes,
            None => match ready!(self.source.poll_frame(cx)) {
                Ok(Some(Frame::Data(bytes))) => bytes,
                other => return Poll::Ready(other),
            },
        };
        if bytes.len() > self.left {
            self.held = Some(bytes.split_off(self.left));
        }
        self.left -= bytes.len();
        Poll::Ready(Ok(Some(Frame::Data(bytes))))
    }

    fn release(&mut self, bytes: usize) {
        self.source.release(bytes);
    }

    fn kind(&self) -> BodyKind {
        self.source.kind()
    }
}
