//! The body of a response on its way to the client.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::Sleep;
use upstream::{Body, BodyError, BodyKind, Frame};

use super::body::{Progress, number};
use super::limits::Limits;

/// How the body of a response came to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// It has not, or as it should.
    #[default]
    Fine,
    TimedOut,
    /// Of the stream's `max_stream_duration`.
    MaxDuration,
    Idle,
    /// The upstream's connection broke.
    Broken,
    /// It ended too early, or what came was no body.
    Malformed,
    /// The upstream reset the stream, with this code.
    Reset(u32),
}

/// A response's body on its way to the client: counted, and stopped when its time is over.
pub struct Outgoing<B> {
    source: B,
    progress: Rc<Progress>,
    /// From the end of the request.
    timeout: Option<Duration>,
    idle: Option<Duration>,
    /// As that, of the upstream.
    try_idle: Option<Duration>,
    /// Of request and response together.
    deadline: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<B: Body> Outgoing<B> {
    pub fn new(source: B, progress: Rc<Progress>, limits: &Limits) -> Self {
        let Limits { response: timeout, idle, per_try_idle: try_idle, stream: deadline, .. } = *limits;
        if source.is_end() {
            progress.received();
        }
        Outgoing { source, progress, timeout, idle, try_idle, deadline, timer: None }
    }

    /// Nothing to give on: is it time to give up?
    fn poll_time(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>, BodyError>> {
        loop {
            let now = Instant::now();
            let timeout = self.timeout.and_then(|limit| Some(self.progress.request_end.get()? + limit));
            let moved = self.progress.last_moved.get().unwrap_or(now);
            let idle = self.idle.map(|limit| moved + limit);
            let try_idle = self.try_idle.map(|limit| moved + limit);
            if [timeout, try_idle].into_iter().flatten().any(|end| end <= now) {
                self.progress.ending.set(End::TimedOut);
                return Poll::Ready(Err(BodyError::Stopped("response timeout")));
            }
            if idle.is_some_and(|end| end <= now) {
                self.progress.ending.set(End::Idle);
                return Poll::Ready(Err(BodyError::Stopped("stream timeout")));
            }
            if self.deadline.is_some_and(|end| end <= now) {
                self.progress.ending.set(End::MaxDuration);
                return Poll::Ready(Err(BodyError::Stopped("max stream duration")));
            }
            let Some(end) = timeout.into_iter().chain(idle).chain(try_idle).chain(self.deadline).min() else {
                return Poll::Pending;
            };
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(end.into())));
            if timer.deadline() != end.into() {
                timer.as_mut().reset(end.into());
            }
            std::task::ready!(timer.as_mut().poll(cx));
        }
    }
}

impl<B: Body> Body for Outgoing<B> {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>, BodyError>> {
        let Poll::Ready(frame) = self.source.poll_frame(cx) else { return self.poll_time(cx) };
        match &frame {
            Ok(Some(Frame::Data(bytes))) => {
                self.progress.response_bytes.set(self.progress.response_bytes.get() + bytes.len() as u64);
                // Only where somebody is going to look at it: reading the clock is not free.
                if (self.idle.is_some() || self.try_idle.is_some()) && !self.source.is_end() {
                    self.progress.touch();
                }
            }
            Ok(Some(Frame::Trailers(trailers))) => {
                if let Some(status) = trailers.get("grpc-status").and_then(number) {
                    self.progress.grpc_status.set(Some(status));
                }
                *self.progress.trailers.borrow_mut() = Some(trailers.clone());
            }
            Ok(None) => {}
            Err(BodyError::Reset(code)) => self.progress.ending.set(End::Reset(*code)),
            Err(BodyError::Incomplete | BodyError::Refused(_)) => self.progress.ending.set(End::Malformed),
            Err(_) => self.progress.ending.set(End::Broken),
        }
        if self.source.is_end() || !matches!(frame, Ok(Some(_))) {
            self.progress.received();
        }
        Poll::Ready(frame)
    }

    fn release(&mut self, bytes: usize) {
        self.source.release(bytes);
    }

    fn kind(&self) -> BodyKind {
        self.source.kind()
    }

    fn is_end(&self) -> bool {
        self.source.is_end()
    }
}
