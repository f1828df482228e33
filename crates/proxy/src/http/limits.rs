//! The times that an attempt has, behind one timer.

use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use stdx::{WakerId, turn};

use super::body::Progress;
use super::timers::{Timer, Timers};

/// What is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// The route's timeout, from the end of the request.
    Response,
    PerTry,
    /// Nothing came from the upstream, or went there.
    PerTryIdle,
    /// The stream's duration.
    Stream,
    /// Nothing moved.
    Idle,
}

/// `None` is without a limit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    pub response: Option<Duration>,
    pub per_try: Option<Duration>,
    pub per_try_idle: Option<Duration>,
    pub idle: Option<Duration>,
    pub stream: Option<Instant>,
}

impl Limits {
    /// What is over first, and when, of an attempt that began at `begin`.
    fn next(&self, progress: &Progress, begin: Instant) -> Option<(Instant, Over)> {
        // An upstream's time begins with the end of the request.
        let end = progress.request_end.get();
        let response = self.response.and_then(|limit| Some((end? + limit, Over::Response)));
        let per_try = self.per_try.and_then(|limit| Some((end?.max(begin) + limit, Over::PerTry)));
        let moved = progress.last_moved.get().map_or(begin, |moved| moved.max(begin));
        let idle = self.idle.map(|limit| (moved + limit, Over::Idle));
        let try_idle = self.per_try_idle.map(|limit| (moved + limit, Over::PerTryIdle));
        let stream = self.stream.map(|end| (end, Over::Stream));
        let first = |a: Option<(Instant, Over)>, b: Option<(Instant, Over)>| match (a, b) {
            (Some(a), Some(b)) => Some(if b.0 < a.0 { b } else { a }),
            (one, other) => one.or(other),
        };
        first(first(first(first(response, stream), per_try), try_idle), idle)
    }
}

/// Watches the limits of one attempt.
pub struct Clock<'a> {
    limits: &'a Limits,
    progress: &'a Progress,
    begin: Instant,
    timers: &'a Timers,
    timer: Option<Timer>,
}

impl<'a> Clock<'a> {
    /// The attempt begins now.
    pub fn new(limits: &'a Limits, progress: &'a Progress, timers: &'a Timers) -> Self {
        Clock { limits, progress, begin: turn::now(), timers, timer: None }
    }

    /// Ready when a limit is over; never without any. To be polled after what it limits, in the same
    /// task: whatever moves or ends the request wakes that.
    pub fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<Over> {
        // Bytes that move put the end off, and the end of the request may bring an earlier one.
        let Some((end, over)) = self.limits.next(self.progress, self.begin) else { return Poll::Pending };
        let end = end.into();
        let timer = self.timer.get_or_insert_with(|| self.timers.take(WakerId::of(cx.waker()), end));
        timer.poll(end, cx).map(|()| over)
    }
}

impl Drop for Clock<'_> {
    fn drop(&mut self) {
        if let Some(timer) = self.timer.take() {
            self.timers.give(timer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Option<Duration> = |ms| Some(Duration::from_millis(ms));

    #[test]
    fn the_first_limit_counts() {
        let begin = Instant::now();
        let progress = Progress::default();
        let all = Limits {
            response: MS(50),
            per_try: MS(20),
            idle: MS(100),
            stream: MS(30).map(|d| begin + d),
            ..Limits::default()
        };
        let next = |limits: &Limits| limits.next(&progress, begin).map(|(end, over)| (end - begin, over));
        assert_eq!(next(&Limits::default()), None);
        let no_stream = Limits { stream: None, ..all };
        assert_eq!(next(&no_stream).unwrap().1, Over::Idle, "the request is not over");
        assert_eq!(next(&all).unwrap(), (Duration::from_millis(30), Over::Stream));
        progress.request_end.set(Some(begin));
        assert_eq!(next(&all).unwrap(), (Duration::from_millis(20), Over::PerTry));
        assert_eq!(next(&Limits { per_try: None, ..no_stream }).unwrap().1, Over::Response);
        progress.last_moved.set(MS(40).map(|d| begin + d));
        let idle = Limits { idle: MS(100), ..Limits::default() };
        assert_eq!(next(&idle).unwrap().0, Duration::from_millis(140));
        let of_try = Limits { per_try_idle: MS(30), ..idle };
        assert_eq!(next(&of_try).unwrap(), (Duration::from_millis(70), Over::PerTryIdle));
    }

    #[tokio::test]
    async fn what_moves_is_not_idle() {
        let progress = Progress::default();
        let limits = Limits { idle: MS(40), ..Limits::default() };
        let timers = Timers::default();
        let mut clock = Clock::new(&limits, &progress, &timers);
        let begin = Instant::now();
        let moves = async {
            for _ in 0..4 {
                tokio::time::sleep(Duration::from_millis(20)).await;
                progress.touch();
            }
            std::future::pending().await
        };
        let end = tokio::select! {
            () = moves => unreachable!(),
            end = std::future::poll_fn(|cx| clock.poll_over(cx)) => end,
        };
        assert_eq!(end, Over::Idle);
        assert!(begin.elapsed() >= Duration::from_millis(115), "{:?}", begin.elapsed());
    }

    #[tokio::test]
    async fn a_timer_serves_again_for_other_times() {
        let (timers, progress) = (Timers::default(), Progress::default());
        for ms in [10_000, 30, 10_000, 60, 5] {
            let limits = Limits { idle: MS(ms), ..Limits::default() };
            let mut clock = Clock::new(&limits, &progress, &timers);
            let begin = Instant::now();
            let over = tokio::time::timeout(
                Duration::from_millis(100),
                std::future::poll_fn(|cx| clock.poll_over(cx)),
            );
            assert_eq!(over.await.is_ok(), ms < 100, "{ms}");
            assert!(begin.elapsed() >= Duration::from_millis(ms.min(100)), "{ms}");
        }
    }
}
