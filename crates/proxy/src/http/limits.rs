//! The times that an attempt has, behind one timer.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Poll, ready};
use std::time::{Duration, Instant};

use super::body::Progress;

/// What is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// The route's timeout, from the end of the request.
    Response,
    PerTry,
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
        let idle = self.idle.map(|limit| {
            let since = progress.last_moved.get().map_or(begin, |moved| moved.max(begin));
            (since + limit, Over::Idle)
        });
        let stream = self.stream.map(|end| (end, Over::Stream));
        response.into_iter().chain(stream).chain(per_try).chain(idle).min_by_key(|(end, _)| *end)
    }
}

/// Resolves when a limit is over; never without any. To be polled after what it limits, in the same
/// task: whatever moves or ends the request wakes that.
pub async fn over(limits: &Limits, progress: &Progress, begin: Instant) -> Over {
    let mut timer = pin!(None::<tokio::time::Sleep>);
    poll_fn(|cx| {
        loop {
            let Some((end, over)) = limits.next(progress, begin) else { return Poll::Pending };
            let Some(mut sleep) = timer.as_mut().as_pin_mut() else {
                timer.set(Some(tokio::time::sleep_until(end.into())));
                continue;
            };
            // The end of the request may bring an earlier end.
            if sleep.deadline() > end.into() {
                sleep.as_mut().reset(end.into());
            }
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= end.into() {
                return Poll::Ready(over);
            }
            // Bytes that move put it off, which is looked at only here.
            sleep.reset(end.into());
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Option<Duration> = |ms| Some(Duration::from_millis(ms));

    #[test]
    fn the_first_limit_counts() {
        let begin = Instant::now();
        let progress = Progress::default();
        let all =
            Limits { response: MS(50), per_try: MS(20), idle: MS(100), stream: MS(30).map(|d| begin + d) };
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
    }

    #[tokio::test]
    async fn what_moves_is_not_idle() {
        let progress = Progress::default();
        let limits = Limits { idle: MS(40), ..Limits::default() };
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
            end = over(&limits, &progress, begin) => end,
        };
        assert_eq!(end, Over::Idle);
        assert!(begin.elapsed() >= Duration::from_millis(115), "{:?}", begin.elapsed());
    }
}
