//! Timers that stay armed from one request to the next.

use std::cell::RefCell;
use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use stdx::WakerId;
use tokio::task::coop::has_budget_remaining;
use tokio::time::{Instant, Sleep, sleep_until};

/// A worker's timers that nobody waits for. To put one off when it fires too early is once in many requests,
/// where arming and disarming would be twice in each; and a task that gets back the one that it had needs
/// not even say that it waits.
pub struct Timers(RefCell<[Vec<Timer>; SETS]>);

/// Timers are kept in sets by their task: a look at a few finds the one that knows it.
const SETS: usize = 64;
const KEPT: usize = 4;

/// A timer, and which task it wakes.
pub struct Timer {
    sleep: Pin<Box<Sleep>>,
    knows: WakerId,
}

impl Default for Timers {
    fn default() -> Self {
        Timers(RefCell::new([const { Vec::new() }; SETS]))
    }
}

impl Timers {
    /// The timer that this task had, else one that fires at `end`, or before.
    pub fn take(&self, task: WakerId, end: Instant) -> Timer {
        let set = &mut self.0.borrow_mut()[index(task)];
        match set.iter().position(|timer| timer.knows == task) {
            Some(at) => set.swap_remove(at),
            None if set.len() == KEPT => set.swap_remove(0),
            None => Timer { sleep: Box::pin(sleep_until(end)), knows: WakerId::NOBODY },
        }
    }

    /// Keeps it, if it is worth it. (It holds the memory of its task, also when that is over.)
    pub fn give(&self, timer: Timer) {
        let set = &mut self.0.borrow_mut()[index(timer.knows)];
        if timer.knows != WakerId::NOBODY && !timer.sleep.is_elapsed() && set.len() < KEPT {
            set.push(timer);
        }
    }
}

/// Tasks are aligned to 128 bytes.
fn index(task: WakerId) -> usize {
    (task.address() >> 7) % SETS
}

impl Timer {
    /// Ready when `end` is over. It may be another one with every call.
    pub fn poll(&mut self, end: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let task = WakerId::of(cx.waker());
        loop {
            if self.sleep.deadline() > end {
                self.sleep.as_mut().reset(end);
                self.knows = WakerId::NOBODY;
            }
            // It has this task's waker until it fires, and whoever it fires too early for comes here again.
            if self.knows == task && !self.sleep.is_elapsed() {
                return Poll::Pending;
            }
            // Without budget tokio answers that it waits, and does not know whom to wake.
            let looked = has_budget_remaining();
            let fired = self.sleep.as_mut().poll(cx).is_ready();
            self.knows = if looked && !fired { task } else { WakerId::NOBODY };
            if !fired {
                return Poll::Pending;
            }
            if self.sleep.deadline() >= end {
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    async fn wait(timer: &mut Timer, end: Instant) {
        poll_fn(|cx| timer.poll(end, cx)).await;
        assert_eq!(Instant::now(), end);
    }

    async fn id() -> WakerId {
        poll_fn(|cx| Poll::Ready(WakerId::of(cx.waker()))).await
    }

    /// Looks once, in the middle of other things.
    async fn look(timer: &mut Timer, end: Instant) {
        assert!(poll_fn(|cx| Poll::Ready(timer.poll(end, cx))).await.is_pending());
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_gets_its_timer_back_and_is_woken_in_time() {
        let (timers, task, begin) = (Timers::default(), id().await, Instant::now());
        let mut timer = timers.take(task, begin + 50 * MS);
        look(&mut timer, begin + 50 * MS).await;
        timers.give(timer);
        // Later than it is armed for, sooner, and after it has fired for nobody.
        for (since, limit) in [(0, 80), (90, 20), (120, 1000), (130, 5)] {
            tokio::time::sleep_until(begin + since * MS).await;
            let end = Instant::now() + limit * MS;
            let mut timer = timers.take(task, end);
            if limit == 1000 {
                look(&mut timer, end).await;
            } else {
                wait(&mut timer, end).await;
            }
            timers.give(timer);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_that_knows_another_task_learns_of_this_one() {
        let end = Instant::now() + 50 * MS;
        let mut timer = Timers::default().take(id().await, end);
        look(&mut timer, end).await;
        tokio::spawn(async move { wait(&mut timer, end).await }).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_set_has_an_end() {
        let (timers, task, end) = (Timers::default(), id().await, Instant::now() + MS);
        let mut many: Vec<Timer> = (0..9).map(|_| timers.take(task, end)).collect();
        for timer in &mut many {
            look(timer, end).await;
        }
        many.into_iter().for_each(|timer| timers.give(timer));
        assert_eq!(timers.0.borrow().iter().map(Vec::len).sum::<usize>(), KEPT);
    }
}
