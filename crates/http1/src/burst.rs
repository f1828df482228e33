//! Writing in bursts: what was composed in one turn of the event loop is written together at its end.
//!
//! A peer on another CPU that sleeps is woken by the first message of the burst and finds the rest
//! without being woken again. Waking costs more than a small message itself (an interrupt between
//! CPUs, in virtual machines with an exit to the hypervisor): with reads and writes taking turns a hop
//! spent 5 µs more per request in the kernel. One task writes for all connections of a thread: to wait
//! for the end of the turn in each connection's own task would poll that once more for every message.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// A connection with bytes that wait.
pub(crate) trait Waiting {
    /// Writes what can be written now. Whoever owns the connection sees to the rest.
    fn write_now(&self, cx: &mut Context<'_>);
}

#[derive(Default)]
struct Burst {
    waiting: Vec<Rc<dyn Waiting>>,
    /// Of the task that writes; `None`: this thread has none.
    writer: Option<Waker>,
}

thread_local! {
    static BURST: RefCell<Burst> = RefCell::default();
}

/// Has the connection written to at the end of this turn. `false`: nobody does that on this thread.
pub(crate) fn join(conn: impl FnOnce() -> Rc<dyn Waiting>) -> bool {
    BURST.with_borrow_mut(|burst| {
        let Some(writer) = &burst.writer else { return false };
        if burst.waiting.is_empty() {
            // Behind whoever is in the queue already.
            writer.wake_by_ref();
        }
        burst.waiting.push(conn());
        true
    })
}

/// Writes for all connections of this thread. Never resolves: spawn it once for each thread that
/// serves many connections. Without it every connection writes for itself, at once.
pub async fn write_bursts() {
    let _ending = Ending;
    let mut taken = Vec::new();
    poll_fn(|cx| {
        BURST.with_borrow_mut(|burst| {
            if !burst.writer.as_ref().is_some_and(|writer| writer.will_wake(cx.waker())) {
                burst.writer = Some(cx.waker().clone());
            }
            std::mem::swap(&mut burst.waiting, &mut taken);
        });
        taken.drain(..).for_each(|conn| conn.write_now(cx));
        Poll::<()>::Pending
    })
    .await;
}

/// Nobody is to wait for a task that is gone.
struct Ending;

impl Drop for Ending {
    fn drop(&mut self) {
        // While the thread ends there is no burst.
        let left = BURST.try_with(RefCell::take);
        drop(left);
    }
}
