//! The time, read once for all that a task does in one turn.
//!
//! Reading the clock takes as long as a hundred instructions, and a request asks for the time some seven times
//! in the two turns that it needs.

use std::cell::Cell;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

#[derive(Clone, Copy)]
enum Turn {
    /// Nobody said that one begins or ends here.
    Unknown,
    /// Nobody has asked yet.
    Unread,
    At(Instant),
}

thread_local! {
    static TURN: Cell<Turn> = const { Cell::new(Turn::Unknown) };
}

/// `Instant::now()`; but in a task of [`Timed`] the same from the first call of a turn to the turn's end.
/// For whatever is counted in milliseconds.
#[inline]
pub fn now() -> Instant {
    match TURN.get() {
        Turn::At(now) => now,
        turn => read(matches!(turn, Turn::Unread)),
    }
}

fn read(keep: bool) -> Instant {
    let now = Instant::now();
    if keep {
        TURN.set(Turn::At(now));
    }
    now
}

/// A future each of whose polls is a turn.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Timed<F>(pub F);

impl<F: Future + Unpin> Future for Timed<F> {
    type Output = F::Output;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let _end = Begun(TURN.replace(Turn::Unread));
        Pin::new(&mut self.0).poll(cx)
    }
}

/// The turn around this one, which goes on afterwards.
struct Begun(Turn);

impl Drop for Begun {
    fn drop(&mut self) {
        TURN.set(self.0);
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;
    use std::thread::sleep;
    use std::time::Duration;

    use super::*;

    fn later() -> Instant {
        sleep(Duration::from_millis(2));
        now()
    }

    #[test]
    fn time_stands_still_within_a_turn_only() {
        assert!(later() < later());
        let mut seen = Vec::new();
        let mut task = Timed(std::future::poll_fn(|_| {
            seen.push((later(), later()));
            Poll::<()>::Pending
        }));
        for _ in 0..2 {
            assert!(Pin::new(&mut task).poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        assert!(seen.iter().all(|(one, other)| one == other));
        assert!(seen[0].0 < seen[1].0 && seen[1].0 < later());
    }
}
